//! Where a training is, as bytes.
//!
//! Magic and version, length of the header (`u32` little endian), the header in JSON, what all rows are known by, then numbers
//! in single precision: trained parameters, means of their gradients, means of the squares, best parameters, each in the
//! order of the parameters; and the BLAKE3 hash of everything before.
//! It must not know networks or where checkpoints are kept. Invariant: what is read is what was written, or is refused.

use ecommerce_ml_predictor::Sink;
use ecommerce_ml_protocol::training::{CheckpointPart, JobOutput};
use ecommerce_ml_protocol::{EngineError, ErrorKind, UPLOAD_CHUNK_BYTES};
use ecommerce_ml_training::RowId;
use ecommerce_ml_training::early_stopping::EarlyStopping;
use serde::{Deserialize, Serialize};

use super::search::Settings;
use crate::recipe::batches::Position;

/// The last byte is the version of the format; rows of version 1 were known by other hashes.
const MAGIC: &[u8; 8] = b"ecmlckp\x02";
const HASH_BYTES: usize = blake3::OUT_LEN;

/// Everything but numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Header {
    /// Stands for the plan: objective, options, base.
    pub(super) fingerprint: String,
    /// How many rows.
    pub(super) rows: usize,
    /// How many trained parameters.
    pub(super) trained: usize,
    /// Whether the optimizer has moments.
    pub(super) moments: bool,
    /// The epoch of the best parameters, if there are any.
    pub(super) best: Option<u32>,
    pub(super) step: u64,
    pub(super) position: Position,
    pub(super) stopping: EarlyStopping,
    /// Whether no more is to be learned.
    pub(super) stopped: bool,
    /// Sum and number of the losses of the current epoch's updates.
    pub(super) losses: (f64, u64),
    /// Time that the current epoch has taken.
    pub(super) seconds: f64,
    /// What a search had found, or what holds without one.
    #[serde(default)]
    pub(super) settings: Option<Settings>,
}

/// A checkpoint that was read.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) header: Header,
    bytes: Vec<u8>,
    /// Where what rows are known by begins.
    start: usize,
}

/// The numbers of a checkpoint.
pub(super) struct CheckpointTensors<'a> {
    pub(super) trained: &'a [f32],
    /// Means of gradients and of their squares, in pairs that lie as the parameters do; none before the first update.
    pub(super) moments: Vec<(&'a [f32], &'a [f32])>,
    pub(super) best: Option<&'a [f32]>,
}

/// Sends a checkpoint, holding no more of it than a message at a time.
///
/// # Errors
/// If it can't be sent.
pub(super) fn send(
    header: &Header,
    rows: &[RowId],
    numbers: &CheckpointTensors<'_>,
    sink: &mut dyn Sink,
) -> Result<(), EngineError> {
    let json = serde_json::to_vec(header).map_err(|error| {
        EngineError::new(ErrorKind::Internal, format!("could not write a checkpoint: {error}"))
    })?;
    let length = (json.len() as u32).to_le_bytes();
    let mut parts: Vec<&[u8]> = vec![MAGIC, &length, &json, rows.as_flattened()];
    let (exp_avg, exp_avg_sq): (Vec<&[f32]>, Vec<&[f32]>) = numbers.moments.iter().copied().unzip();
    let slices = std::iter::once(numbers.trained).chain(exp_avg).chain(exp_avg_sq).chain(numbers.best);
    // Every machine that this runs on is little endian.
    parts.extend(slices.map(bytemuck::cast_slice::<f32, u8>));
    let size = parts.iter().map(|part| part.len()).sum::<usize>() + HASH_BYTES;
    let begin = CheckpointPart::Begin { step: header.step, size: size as u64 };
    sink.send(JobOutput::Checkpoint(begin))?;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = Vec::with_capacity(UPLOAD_CHUNK_BYTES);
    for part in parts {
        hasher.update(part);
        fill(&mut chunk, part, sink)?;
    }
    fill(&mut chunk, hasher.finalize().as_bytes(), sink)?;
    if !chunk.is_empty() {
        sink.send(JobOutput::Checkpoint(CheckpointPart::Chunk(chunk)))?;
    }
    sink.send(JobOutput::Checkpoint(CheckpointPart::End))
}

/// Adds bytes to a chunk, which is sent whenever it is full.
fn fill(chunk: &mut Vec<u8>, mut bytes: &[u8], sink: &mut dyn Sink) -> Result<(), EngineError> {
    while !bytes.is_empty() {
        let (some, rest) = bytes.split_at(bytes.len().min(UPLOAD_CHUNK_BYTES - chunk.len()));
        chunk.extend_from_slice(some);
        bytes = rest;
        if chunk.len() == UPLOAD_CHUNK_BYTES {
            let full = std::mem::replace(chunk, Vec::with_capacity(UPLOAD_CHUNK_BYTES));
            sink.send(JobOutput::Checkpoint(CheckpointPart::Chunk(full)))?;
        }
    }
    Ok(())
}

impl Checkpoint {
    /// Reads a checkpoint; `None` if there is none, or one of an earlier version, with which a training begins anew.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedModel`] if the bytes are not what was written.
    pub(super) fn read(bytes: Vec<u8>) -> Result<Option<Self>, EngineError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let (content, hash) = bytes.split_last_chunk::<HASH_BYTES>().ok_or_else(damaged)?;
        let (magic, rest) = content.split_first_chunk::<8>().ok_or_else(damaged)?;
        if magic[..7] != MAGIC[..7] || blake3::hash(content).as_bytes() != hash {
            return Err(damaged());
        }
        if magic < MAGIC {
            return Ok(None);
        }
        if magic != MAGIC {
            return Err(refused("checkpoint is of another version of this engine"));
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let json = rest.get(..u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
        let start = MAGIC.len() + 4 + json.len();
        // What has the right hash may still be of another build, whose headers have other keys.
        let header: Header = serde_json::from_slice(json)
            .map_err(|_| refused("checkpoint is of another version of this engine"))?;
        if header.size().is_none_or(|size| size != content.len() - start) {
            return Err(damaged());
        }
        Ok(Some(Self { header, bytes, start }))
    }

    /// Refuses the checkpoint of another training.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`].
    pub(super) fn check(&self, fingerprint: &str) -> Result<(), EngineError> {
        if self.header.fingerprint == fingerprint {
            return Ok(());
        }
        Err(refused("checkpoint is of a training with other options or another base"))
    }

    /// What the rows are known by, sorted.
    pub(super) fn rows(&self) -> Vec<RowId> {
        let bytes = &self.bytes[self.start..self.start + self.header.rows * size_of::<RowId>()];
        bytes.as_chunks().0.to_vec()
    }

    /// The trained parameters.
    /// `[parameters]`, end to end.
    pub(super) fn trained(&self) -> Vec<f32> {
        self.numbers(0)
    }

    /// The means of their gradients, and of the squares.
    /// Both `[parameters]`, end to end.
    pub(super) fn moments(&self) -> Option<(Vec<f32>, Vec<f32>)> {
        self.header.moments.then(|| (self.numbers(1), self.numbers(2)))
    }

    /// The best parameters and their epoch.
    /// `[parameters]`, end to end.
    pub(super) fn best(&self) -> Option<(u32, Vec<f32>)> {
        let epoch = self.header.best?;
        Some((epoch, self.numbers(if self.header.moments { 3 } else { 1 })))
    }

    fn numbers(&self, block: usize) -> Vec<f32> {
        let bytes = self.header.trained * size_of::<f32>();
        let start = self.start + self.header.rows * size_of::<RowId>() + block * bytes;
        bytemuck::pod_collect_to_vec(&self.bytes[start..start + bytes])
    }
}

impl Header {
    /// Bytes of what rows are known by, and of numbers.
    fn size(&self) -> Option<usize> {
        let blocks = 1 + 2 * usize::from(self.moments) + usize::from(self.best.is_some());
        let numbers = self.trained.checked_mul(blocks)?.checked_mul(size_of::<f32>())?;
        self.rows.checked_mul(size_of::<RowId>())?.checked_add(numbers)
    }
}

fn damaged() -> EngineError {
    EngineError::new(ErrorKind::DamagedModel, "checkpoint of the training is damaged")
        .with_hint("Train the model anew.")
}

fn refused(message: &str) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message).with_hint("Train the model anew.")
}
