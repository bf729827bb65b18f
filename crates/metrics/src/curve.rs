//! The area under a ROC curve: the chance that a row of the class is scored above one that isn't, ties counting half.
//!
//! Rows are counted by score, so memory goes with the number of different scores: about 32 bytes each. Beyond a limit,
//! the lowest bits of all scores are dropped, one after the other, until half of the limit is free; scores that are equal
//! then count as ties. Invariant: up to that limit the area is exact; beyond, it errs by at most half the share of pairs
//! that became ties.

use std::collections::BTreeMap;

use crate::Refused;

#[derive(Debug, Clone, Copy, Default)]
struct Rows {
    of_class: u64,
    others: u64,
}

/// Rows by score.
#[derive(Debug, Clone)]
pub struct Curve {
    rows: BTreeMap<u32, Rows>,
    most: usize,
    /// Bits that all keys have lost.
    dropped: u32,
}

impl Curve {
    /// Of no rows, to hold at most so many different scores.
    pub fn new(most: usize) -> Self {
        Self { rows: BTreeMap::new(), most: most.max(2), dropped: 0 }
    }

    /// Counts a row: its score, and whether it is of the class.
    ///
    /// # Errors
    /// [`Refused::NotFinite`].
    pub fn add(&mut self, score: f32, of_class: bool) -> Result<(), Refused> {
        if !score.is_finite() {
            return Err(Refused::NotFinite);
        }
        let rows = self.rows.entry(ordered(score) >> self.dropped).or_default();
        rows.of_class += u64::from(of_class);
        rows.others += u64::from(!of_class);
        if self.rows.len() > self.most {
            self.coarsen();
        }
        Ok(())
    }

    fn coarsen(&mut self) {
        while self.rows.len() > self.most / 2 && self.dropped < 31 {
            self.dropped += 1;
            for (key, rows) in std::mem::take(&mut self.rows) {
                let merged = self.rows.entry(key >> 1).or_default();
                merged.of_class += rows.of_class;
                merged.others += rows.others;
            }
        }
    }

    /// The area; none unless there are rows of the class and others.
    #[allow(clippy::cast_precision_loss)]
    pub fn area(&self) -> Option<f64> {
        // Twice the number of pairs in the right order, so that ties are whole numbers.
        let (mut pairs, mut of_class, mut below) = (0u128, 0u64, 0u64);
        for rows in self.rows.values() {
            pairs += u128::from(rows.of_class) * (2 * u128::from(below) + u128::from(rows.others));
            of_class += rows.of_class;
            below += rows.others;
        }
        let all = 2 * u128::from(of_class) * u128::from(below);
        (all > 0).then(|| pairs as f64 / all as f64)
    }

    /// Rows of the class, and others.
    pub fn counts(&self) -> (u64, u64) {
        let sum = |(of_class, others), rows: &Rows| (of_class + rows.of_class, others + rows.others);
        self.rows.values().fold((0, 0), sum)
    }

    /// The average precision: over all scores from the highest on, what part of the rows down to there is of the class, weighted by the
    /// part of the class that has this score; as scikit-learn's `average_precision_score`. None unless there are rows of the class.
    #[allow(clippy::cast_precision_loss)]
    pub fn average_precision(&self) -> Option<f64> {
        let (all, _) = self.counts();
        let (mut sum, mut of_class, mut seen) = (0.0, 0, 0);
        for rows in self.rows.values().rev() {
            of_class += rows.of_class;
            seen += rows.of_class + rows.others;
            sum += rows.of_class as f64 * of_class as f64 / seen as f64;
        }
        (all > 0).then(|| sum / all as f64)
    }

    /// Whether scores that differ may have been counted as ties.
    pub fn is_coarse(&self) -> bool {
        self.dropped > 0
    }
}

/// A number whose order is that of the score; zero has one sign.
fn ordered(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}
