//! Where a file is cut into chunks.
//!
//! Chunks are shared by all content that has them, so files that have tensors in common must be cut alike there, wherever
//! the tensors lie: a safetensors file is cut where a large tensor begins and ends, any other after each full chunk. It must
//! not know what tensors mean, and believes nothing that a header says. Invariant: chunks one after another are the file,
//! and none is empty or has more than [`UPLOAD_CHUNK_BYTES`].

use std::collections::VecDeque;

use ecommerce_ml_protocol::UPLOAD_CHUNK_BYTES;
use serde_json::Value;

use crate::error::Error;

/// Largest chunk.
const MOST: u64 = UPLOAD_CHUNK_BYTES as u64;

/// Smallest tensor that has chunks of its own. Smaller ones, such as biases, lie in one with their neighbours: a row for each
/// would cost more than they do.
const LARGE: u64 = 64 << 10;

/// Bytes that say how long the header is.
const LENGTH: u64 = 8;

/// Cuts the bytes of one file.
pub struct Chunker {
    /// The chunk that is being filled.
    chunk: Vec<u8>,
    /// Where it begins in the file.
    start: u64,
    next: Next,
}

/// What the next place to stop at is.
enum Next {
    /// Where the length of the header has been read.
    Length,
    /// The end of the header.
    Header(u64),
    /// The first of these that lies ahead, if it isn't too far.
    Cuts(VecDeque<u64>),
}

impl Chunker {
    /// For a file of this name.
    pub fn new(name: &str) -> Self {
        let next = if name.ends_with(".safetensors") { Next::Length } else { Next::Cuts(VecDeque::new()) };
        Self { chunk: Vec::new(), start: 0, next }
    }

    /// Adds bytes of the file, and hands out the chunks that they complete.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn add(
        &mut self,
        mut bytes: &[u8],
        take: &mut impl FnMut(Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while !bytes.is_empty() {
            let room = usize::try_from(self.stop() - self.position()).unwrap_or(usize::MAX);
            let (some, rest) = bytes.split_at(bytes.len().min(room));
            self.chunk.extend_from_slice(some);
            bytes = rest;
            if self.position() == self.stop() && self.is_cut() {
                take(self.cut())?;
            }
        }
        Ok(())
    }

    /// The last chunk, if there are bytes left.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        (!self.chunk.is_empty()).then(|| self.cut())
    }

    fn position(&self) -> u64 {
        self.start + self.chunk.len() as u64
    }

    fn stop(&self) -> u64 {
        match &self.next {
            Next::Length => LENGTH,
            Next::Header(end) => *end,
            Next::Cuts(cuts) => cuts.front().map_or(u64::MAX, |cut| *cut).min(self.start + MOST),
        }
    }

    /// Whether the place that was reached is a cut; finds the next.
    fn is_cut(&mut self) -> bool {
        match &mut self.next {
            Next::Length => {
                let length = self.chunk.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
                let fits = length <= MOST - LENGTH;
                self.next = if fits { Next::Header(LENGTH + length) } else { Next::Cuts(VecDeque::new()) };
                false
            }
            Next::Header(end) => {
                self.next = Next::Cuts(cuts(&self.chunk[LENGTH as usize..], *end));
                true
            }
            Next::Cuts(cuts) => {
                let position = self.start + self.chunk.len() as u64;
                while cuts.front().is_some_and(|cut| *cut <= position) {
                    cuts.pop_front();
                }
                true
            }
        }
    }

    fn cut(&mut self) -> Vec<u8> {
        self.start = self.position();
        std::mem::take(&mut self.chunk)
    }
}

/// Where large tensors begin and end in the file, given its header and where that ends; nothing for what is no header.
fn cuts(header: &[u8], end: u64) -> VecDeque<u64> {
    let Ok(Value::Object(entries)) = serde_json::from_slice(header) else { return VecDeque::new() };
    let range = |entry: &Value| {
        let offset = |at: usize| entry.get("data_offsets")?.get(at)?.as_u64()?.checked_add(end);
        Some((offset(0)?, offset(1)?))
    };
    let mut tensors: Vec<(u64, u64)> = entries.values().filter_map(range).collect();
    tensors.retain(|(begin, end)| end.saturating_sub(*begin) >= LARGE);
    tensors.sort_unstable();
    let mut cuts = VecDeque::new();
    let mut last = end;
    for (begin, end) in tensors {
        // In a damaged file they may overlap.
        if begin >= last {
            cuts.extend([begin, end].into_iter().filter(|cut| *cut > last));
            last = end;
        }
    }
    cuts
}
