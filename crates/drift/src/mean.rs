//! Means and shares of two groups, and whether they differ.
//!
//! It must not know of what. Invariant: no variance is negative, and nothing has no mean.

use serde::{Deserialize, Serialize};

use crate::null_distribution::NullDistribution;
use crate::stability::to_f64;

/// z of an interval that holds the truth with a probability of 95 %.
const INTERVAL: f64 = 1.959_963_984_540_054;
/// Rows that shares are pulled towards, so that a share of next to nothing has an error too: the square of the z of one in a
/// hundred thousand, as Wilson's interval has it.
const PULL: f64 = 19.0;

/// Count, mean and sum of squared differences from it, as Welford has them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Mean {
    count: u64,
    mean: f64,
    squares: f64,
}

/// A change of a mean or a share.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Current minus baseline.
    pub value: f64,
    /// Where it is with a probability of 95 %.
    pub interval: [f64; 2],
    /// What it is where nothing has changed.
    pub null: NullDistribution,
}

impl Mean {
    /// Adds a number that is finite; others are passed over.
    pub fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.count += 1;
            let off = value - self.mean;
            self.mean += off / to_f64(self.count);
            self.squares += off * (value - self.mean);
        }
    }

    /// Rows.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// None of no rows.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// Of a row.
    fn variance(&self) -> f64 {
        self.squares / to_f64(self.count.saturating_sub(1).max(1))
    }

    /// How the mean has changed; none if either group has fewer than two rows. The standard error is Welch's, with the degrees of
    /// freedom of the smaller group.
    pub fn change(&self, current: &Mean) -> Option<Change> {
        let fewest = self.count.min(current.count);
        if fewest < 2 {
            return None;
        }
        let of = |one: &Mean| one.variance() / to_f64(one.count);
        let error = (of(self) + of(current)).max(0.0).sqrt();
        Some(change(current.mean - self.mean, error, to_f64(fewest - 1)))
    }
}

/// Rows of which some have something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Share {
    /// Rows that have it.
    pub part: u64,
    /// Rows in all.
    pub rows: u64,
}

impl Share {
    /// None of no rows.
    pub fn value(self) -> Option<f64> {
        (self.rows > 0).then(|| to_f64(self.part) / to_f64(self.rows))
    }

    /// How it has changed; none if either group has no rows. The error is that of the share of both groups together, pulled towards
    /// a half.
    pub fn change(self, current: Share) -> Option<Change> {
        let value = current.value()? - self.value()?;
        let (part, rows) = (to_f64(self.part + current.part), to_f64(self.rows + current.rows));
        let share = (part + PULL / 2.0) / (rows + PULL);
        let error = (share * (1.0 - share) * (1.0 / to_f64(self.rows) + 1.0 / to_f64(current.rows))).sqrt();
        Some(change(value, error, f64::INFINITY))
    }
}

fn change(value: f64, error: f64, degrees: f64) -> Change {
    let half = INTERVAL * error;
    Change {
        value,
        interval: [value - half, value + half],
        null: NullDistribution::Normal { error, degrees },
    }
}
