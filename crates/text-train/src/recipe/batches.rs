//! Which rows come together in a batch, and in which order batches come.
//!
//! It must not know texts, only how long they are. Invariants: each epoch has every row exactly once; an epoch's
//! batches depend on lengths, batch size, seed and the epoch's number alone, so a checkpoint needs just a
//! [`Position`].

use std::hash::Hasher;

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use ecommerce_ml_training::random::{SplitMix64, hash};

/// Most batches whose rows are sorted together, and least number of such groups, where there are as many batches: as in
/// `get_length_grouped_indices` of `transformers`. Larger groups waste less room, smaller ones leave more to chance.
const BATCHES_PER_GROUP: usize = 50;
const LEAST_GROUPS: usize = 4;

/// Sets the hash of this module apart from others with the same seed.
const PURPOSE: u64 = u64::from_be_bytes(*b"batches ");

/// The data order of a whole training.
#[derive(Debug, Clone)]
pub struct Batches {
    /// Tokens of each row.
    lengths: Vec<u32>,
    batch_size: usize,
    seed: u64,
}

/// Where in the data order a training is, for a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Counted from 0.
    pub epoch: u32,
    /// Batches of this epoch that are done.
    pub batch: usize,
    /// Stands for the data that the position is in.
    fingerprint: u64,
}

impl Batches {
    /// The data order of rows with these lengths, in tokens; at least one row a batch.
    pub fn new(lengths: Vec<u32>, batch_size: usize, seed: u64) -> Self {
        Self { lengths, batch_size: batch_size.max(1), seed }
    }

    /// Batches of an epoch; only one of them may be smaller than the others.
    pub fn per_epoch(&self) -> usize {
        self.lengths.len().div_ceil(self.batch_size)
    }

    /// The batches of an epoch, as numbers of rows.
    ///
    /// All rows are shuffled and dealt into groups of some batches. Each group is sorted by length, longest first, and
    /// cut into batches; then the batches are shuffled.
    pub fn epoch(&self, epoch: u32) -> Vec<Vec<usize>> {
        let mut random = SplitMix64::of_part(hash(self.seed, PURPOSE, &[]), u64::from(epoch));
        let mut rows: Vec<usize> = (0..self.lengths.len()).collect();
        random.shuffle(&mut rows);
        // Stable, so that chance decides among rows of the same length.
        for group in rows.chunks_mut(self.rows_per_group()) {
            group.sort_by_key(|&row| std::cmp::Reverse(self.lengths.get(row)));
        }
        let mut batches: Vec<Vec<usize>> = rows.chunks(self.batch_size).map(<[usize]>::to_vec).collect();
        random.shuffle(&mut batches);
        batches
    }

    /// Before the first batch of the first epoch.
    pub fn start(&self) -> Position {
        self.position(0, 0)
    }

    /// After some batches of an epoch; after the last one that is the start of the next epoch.
    pub fn position(&self, epoch: u32, batch: usize) -> Position {
        let ended = batch >= self.per_epoch();
        let (epoch, batch) = if ended { (epoch.saturating_add(1), 0) } else { (epoch, batch) };
        Position { epoch, batch, fingerprint: self.fingerprint() }
    }

    /// What is left of the epoch that a position is in.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if the position is one in other data, or for another seed or batch size.
    pub fn rest(&self, position: Position) -> Result<Vec<Vec<usize>>, EngineError> {
        if position.fingerprint != self.fingerprint() || position.batch > self.per_epoch() {
            let message = "training can't go on from its checkpoint because its rows have changed";
            return Err(
                EngineError::new(ErrorKind::InvalidRequest, message).with_hint("Train the model anew.")
            );
        }
        Ok(self.epoch(position.epoch).split_off(position.batch))
    }

    /// A multiple of the batch size, so that only the last group has a batch that isn't full.
    fn rows_per_group(&self) -> usize {
        let batches = self.lengths.len() / (self.batch_size * LEAST_GROUPS);
        batches.clamp(1, BATCHES_PER_GROUP) * self.batch_size
    }

    /// Stands for all that decides the order of the data.
    fn fingerprint(&self) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.seed, PURPOSE);
        hasher.write(&(self.batch_size as u64).to_le_bytes());
        self.lengths.iter().for_each(|length| hasher.write(&length.to_le_bytes()));
        hasher.finish()
    }
}

/// Updates of the weights in an epoch of so many batches, when the gradients of `accumulation` of them are added up for
/// each; the last update of an epoch takes what is left, as in `transformers`.
pub fn updates(batches: usize, accumulation: usize) -> usize {
    batches.div_ceil(accumulation.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_order_never_changes() {
        let batches = Batches::new((0..11).map(|row| row % 4).collect(), 3, 42);
        assert_eq!(batches.epoch(1), ORDER.map(<[usize]>::to_vec));
        assert_eq!(batches.fingerprint(), 10_273_382_655_296_624_979);
    }

    /// Written down once; a change would give every seed another meaning, and every checkpoint another rest.
    const ORDER: [&[usize]; 4] = [&[1, 0, 4], &[7, 5, 8], &[3, 10], &[2, 6, 9]];

    #[test]
    fn position_after_the_last_batch_is_the_next_epoch() {
        let batches = Batches::new(vec![1; 10], 4, 0);
        assert_eq!((batches.position(0, 2).epoch, batches.position(0, 2).batch), (0, 2));
        assert_eq!((batches.position(0, 3).epoch, batches.position(0, 3).batch), (1, 0));
    }

    #[test]
    fn positions_in_other_data_are_refused() {
        let position = Batches::new(vec![1, 2, 3], 2, 0).start();
        for other in [
            Batches::new(vec![1, 2, 4], 2, 0),
            Batches::new(vec![1, 2, 3], 1, 0),
            Batches::new(vec![1, 2, 3], 2, 1),
            Batches::new(vec![], 2, 0),
        ] {
            assert_eq!(other.rest(position).unwrap_err().kind, ErrorKind::InvalidRequest);
        }
    }

    #[test]
    fn no_rows_make_no_batches() {
        let batches = Batches::new(Vec::new(), 8, 0);
        assert_eq!((batches.per_epoch(), batches.epoch(0).len()), (0, 0));
    }

    #[test]
    fn last_update_of_an_epoch_takes_what_is_left() {
        assert_eq!([updates(10, 4), updates(8, 4), updates(0, 4), updates(3, 0)], [3, 2, 0, 3]);
    }
}
