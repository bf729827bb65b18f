//! Which rows a training has seen, so that later ones can be told to be new.
//!
//! A row stands for itself by 8 bytes of the SHA-256 of its label and text: no text is kept, and a million rows take
//! 8 MB. Two of ten million different rows are taken for one with a probability of 3 in a million. Invariant: hashes of
//! a row are the same in every process and release, because they are kept in a table.

use ecommerce_ml_protocol::training::Label;
use sha2::{Digest, Sha256};

use crate::catalog::seen;
use crate::error::Error;

/// Hashes in a chunk: 1 MiB.
const CHUNK: usize = 1 << 17;
const HASH_BYTES: usize = 8;

/// A set of rows, for whatever model.
#[derive(Default)]
pub struct Seen {
    hashes: Vec<u64>,
}

impl Seen {
    /// Those that the latest training of a model has seen; none if there was none, or its version has been dropped.
    ///
    /// # Errors
    /// When our table can't be read.
    pub fn by(model: &str) -> Result<Self, Error> {
        let mut hashes = Vec::new();
        seen::for_each_chunk(model, |data| {
            let (whole, _) = data.as_chunks::<HASH_BYTES>();
            hashes.extend(whole.iter().map(|bytes| u64::from_be_bytes(*bytes)));
            Ok(())
        })?;
        // As they were stored; sorting what is sorted takes one look at each.
        hashes.sort_unstable();
        Ok(Self { hashes })
    }

    /// Adds a row.
    pub fn add(&mut self, text: &str, label: &Label) {
        self.hashes.push(hash(text, label));
    }

    /// Stores them as those of a job, in place of what it had.
    ///
    /// # Errors
    /// When our table can't be written.
    pub fn store(mut self, job: i64) -> Result<(), Error> {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        seen::delete(job)?;
        for (chunk, hashes) in (0..).zip(self.hashes.chunks(CHUNK)) {
            let data = hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect();
            seen::store(job, chunk, data)?;
        }
        Ok(())
    }

    /// Whether a row is among those of [`by`](Self::by).
    pub fn contains(&self, text: &str, label: &Label) -> bool {
        self.hashes.binary_search(&hash(text, label)).is_ok()
    }
}

/// The label goes first, with its length: no other label and text are the same bytes.
fn hash(text: &str, label: &Label) -> u64 {
    let mut sha256 = Sha256::new();
    match label {
        Label::Class(class) => {
            sha256.update(b"class");
            sha256.update((class.len() as u64).to_be_bytes());
            sha256.update(class);
        }
        Label::Number(number) => {
            sha256.update(b"number");
            // Both zeros are the same number.
            sha256.update((number + 0.0).to_bits().to_be_bytes());
        }
    }
    sha256.update(text);
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(sha256.finalize());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
