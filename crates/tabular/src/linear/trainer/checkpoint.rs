//! Where a training is, as bytes.
//!
//! Magic and version, length of the header (`u32` little endian), the header in JSON, what all rows are known by, then numbers in
//! double precision, little endian: the parameters, and each step that is remembered with its change of the gradient; and the BLAKE3
//! hash of everything before. It must not know what is learned. Invariant: what is read is what was written, or is refused.

use std::collections::VecDeque;

use ecommerce_ml_predictor::Sink;
use ecommerce_ml_protocol::training::{CheckpointPart, JobOutput};
use ecommerce_ml_protocol::{EngineError, ErrorKind, UPLOAD_CHUNK_BYTES};
use ecommerce_ml_training::RowId;
use serde::{Deserialize, Serialize};

use super::lbfgs::LbfgsState;

/// The last byte is the version of the format.
const MAGIC: &[u8; 8] = b"ecmlcol\x01";
const HASH_BYTES: usize = blake3::OUT_LEN;

/// Everything but numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    /// Stands for the call.
    pub(super) fingerprint: String,
    /// How many rows.
    pub(super) rows: usize,
    /// How many parameters.
    pub(super) parameters: usize,
    /// How many steps are remembered.
    pub(super) steps: usize,
    /// Iterations so far.
    pub(super) iterations: u64,
    /// How far it was from the end when it began.
    pub(super) first_distance: f64,
    /// Time that the current epoch has taken.
    pub(super) seconds: f64,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Checkpoint {
    pub(super) header: Header,
    /// What rows are known by, sorted.
    pub(super) ids: Vec<RowId>,
    pub(super) state: LbfgsState,
}

/// Sends a checkpoint.
///
/// # Errors
/// If it can't be sent.
pub(super) fn send(
    header: &Header,
    ids: &[RowId],
    state: &LbfgsState,
    sink: &mut dyn Sink,
) -> Result<(), EngineError> {
    let json = serde_json::to_vec(header).map_err(|error| {
        EngineError::new(ErrorKind::Internal, format!("could not write a checkpoint: {error}"))
    })?;
    let mut bytes = Vec::from(MAGIC);
    bytes.extend((json.len() as u32).to_le_bytes());
    bytes.extend(json);
    bytes.extend_from_slice(ids.as_flattened());
    let pairs = state.steps.iter().flat_map(|(step, change)| [step, change]);
    for numbers in std::iter::once(&state.at).chain(pairs) {
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    let begin = CheckpointPart::Begin { step: header.iterations, size: bytes.len() as u64 };
    sink.send(JobOutput::Checkpoint(begin))?;
    for chunk in bytes.chunks(UPLOAD_CHUNK_BYTES) {
        sink.send(JobOutput::Checkpoint(CheckpointPart::Chunk(chunk.to_vec())))?;
    }
    sink.send(JobOutput::Checkpoint(CheckpointPart::End))
}

impl Checkpoint {
    /// Reads a checkpoint; `None` if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedModel`] if the bytes are not what was written, [`ErrorKind::InvalidRequest`] if they are of another
    /// training.
    pub(super) fn read(bytes: &[u8], fingerprint: &str) -> Result<Option<Self>, EngineError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let (content, hash) = bytes.split_last_chunk::<HASH_BYTES>().ok_or_else(damaged)?;
        let (magic, rest) = content.split_first_chunk::<8>().ok_or_else(damaged)?;
        if magic[..7] != MAGIC[..7] || blake3::hash(content).as_bytes() != hash {
            return Err(damaged());
        }
        let other_version = || refused("checkpoint is of another version of this engine");
        if magic != MAGIC {
            return Err(other_version());
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (json, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
        // What has the right hash may still be of another build, whose headers have other keys.
        let header: Header = serde_json::from_slice(json).map_err(|_| other_version())?;
        if header.fingerprint != fingerprint {
            return Err(refused("checkpoint is of a training with other options or columns"));
        }
        if header.size() != Some(rest.len()) {
            return Err(damaged());
        }
        let (ids, numbers) = rest.split_at(header.rows * size_of::<RowId>());
        let ids = ids.as_chunks().0.to_vec();
        let numbers = numbers.as_chunks::<8>().0;
        let mut vectors = numbers
            .chunks(header.parameters.max(1))
            .map(|numbers| numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect::<Vec<f64>>());
        let at = vectors.next().ok_or_else(damaged)?;
        let mut steps = VecDeque::with_capacity(header.steps);
        while let (Some(step), Some(change)) = (vectors.next(), vectors.next()) {
            steps.push_back((step, change));
        }
        Ok(Some(Self { header, ids, state: LbfgsState { at, steps } }))
    }
}

impl Header {
    /// Bytes of all that follows.
    fn size(&self) -> Option<usize> {
        let vectors = self.steps.checked_mul(2)?.checked_add(1)?;
        let numbers = self.parameters.checked_mul(vectors)?.checked_mul(size_of::<f64>())?;
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
