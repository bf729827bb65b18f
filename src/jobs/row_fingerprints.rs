//! Fingerprints of the rows that a training has seen, so that later ones can be told to be new.
//!
//! A row stands for itself by 8 bytes of the hash that protocol gives it: nothing of it is kept, and a million rows take
//! 8 MB. Two of ten million different rows are taken for one with a probability of 3 in a million.
//! Invariant: who asks whether a row is new has it hashed as it was when it was learned from.

use std::collections::HashMap;

use ecommerce_ml_protocol::Field;
use ecommerce_ml_protocol::row_hash::{RowBytes, short};
use ecommerce_ml_protocol::training::TrainingRows;

use crate::catalog::trained_rows;
use crate::error::Error;

/// Hashes in a chunk: 1 MiB.
const HASHES_PER_CHUNK: usize = 1 << 17;
const HASH_BYTES: usize = 8;

/// The fingerprints of a set of rows, for whatever model.
#[derive(Default)]
pub struct RowFingerprints {
    hashes: Vec<u64>,
}

impl RowFingerprints {
    /// Those that the latest training of a model has seen; none if there was none, or its version has been dropped.
    ///
    /// # Errors
    /// When our table can't be read.
    pub fn by(model: &str) -> Result<Self, Error> {
        let mut hashes = Vec::new();
        trained_rows::for_each_chunk(model, |data| {
            let (whole, _) = data.as_chunks::<HASH_BYTES>();
            hashes.extend(whole.iter().map(|bytes| u64::from_be_bytes(*bytes)));
            Ok(())
        })?;
        // As they were stored; sorting what is sorted takes one look at each.
        hashes.sort_unstable();
        Ok(Self { hashes })
    }

    /// Adds rows, of which these columns are read.
    pub fn add(&mut self, rows: &TrainingRows, fields: &[Field]) {
        self.hashes.extend(hashes(rows, fields));
    }

    /// Stores them as those of a job, in place of what it had.
    ///
    /// # Errors
    /// When our table can't be written.
    pub fn store(mut self, job: i64) -> Result<(), Error> {
        self.hashes.sort_unstable();
        trained_rows::delete(job)?;
        for (chunk, hashes) in (0..).zip(self.hashes.chunks(HASHES_PER_CHUNK)) {
            let data = hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect();
            trained_rows::store(job, chunk, data)?;
        }
        Ok(())
    }

    /// Which of these rows are not among those of [`by`](Self::by), by place and hash.
    pub fn missing<'a>(
        &'a self,
        rows: &'a TrainingRows,
        fields: &'a [Field],
    ) -> impl Iterator<Item = (usize, u64)> + 'a {
        hashes(rows, fields).enumerate().filter(move |(_, hash)| self.hashes.binary_search(hash).is_err())
    }
}

/// How many rows of each fingerprint there are, to be taken one by one.
pub struct Remaining<'a> {
    fingerprints: &'a RowFingerprints,
    taken: HashMap<u64, usize>,
}

impl RowFingerprints {
    /// All of them, none of which is taken.
    pub fn remaining(&self) -> Remaining<'_> {
        Remaining { fingerprints: self, taken: HashMap::new() }
    }

    /// Those of rows, in their order.
    pub fn of<'a>(rows: &'a TrainingRows, fields: &'a [Field]) -> impl Iterator<Item = u64> + 'a {
        hashes(rows, fields)
    }
}

impl Remaining<'_> {
    /// Takes one of this fingerprint; false if there is none left.
    pub fn take(&mut self, hash: u64) -> bool {
        let all = &self.fingerprints.hashes;
        let first = all.partition_point(|one| *one < hash);
        let taken = self.taken.entry(hash).or_insert(0);
        let is_there = all.get(first + *taken) == Some(&hash);
        *taken += usize::from(is_there);
        is_there
    }
}

fn hashes<'a>(rows: &'a TrainingRows, fields: &'a [Field]) -> impl Iterator<Item = u64> + 'a {
    let bytes = RowBytes::new(&rows.input, fields);
    rows.labels
        .iter()
        .enumerate()
        .map(move |(row, label)| short(&bytes.hash(row, label, rows.times.get(row).copied())))
}
