//! How right the surest answers are: accuracy against coverage.
//!
//! Whoever has people look at the least sure part of the answers asks how right the rest is. Coverage c is the share of rows that
//! are answered, the surest first; the accuracy at c is the share of right ones among them. El-Yaniv, Wiener: On the Foundations
//! of Noise-free Selective Classification (JMLR 2010), where 1 - accuracy is the risk.
//!
//! Rows are counted in bins of -ln(1 - confidence), each .4 % wide in 1 - confidence: so that the near-certain are told apart
//! from each other. Of rows in the bin that the coverage ends in, each is as good as their mean. Invariant: at coverage 1 it is
//! the accuracy of all rows.

use crate::{Refused, ratio};

/// Bins for each unit of -ln(1 - confidence); together they reach to the largest confidence below 1 in single precision.
const BINS_PER_UNIT: f64 = 256.0;
const BINS: usize = 4352;

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    right: u64,
    rows: u64,
}

/// Rows by the confidence of their answer.
#[derive(Debug, Clone)]
pub struct Coverage {
    /// `[BINS]`
    bins: Vec<Bin>,
}

impl Default for Coverage {
    fn default() -> Self {
        Self { bins: vec![Bin::default(); BINS] }
    }
}

impl Coverage {
    /// Counts a row: how sure its answer is, from 0 to 1, and whether it is right.
    ///
    /// # Errors
    /// [`Refused::NotFinite`].
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn add(&mut self, confidence: f64, right: bool) -> Result<(), Refused> {
        if !confidence.is_finite() {
            return Err(Refused::NotFinite);
        }
        let place = -(1.0 - confidence.clamp(0.0, 1.0)).ln() * BINS_PER_UNIT;
        // A conversion from infinity gives the largest number.
        let bin = &mut self.bins[(place as usize).min(BINS - 1)];
        bin.rows += 1;
        bin.right += u64::from(right);
        Ok(())
    }

    /// The share of right answers among the surest `coverage`, from 0 to 1, of all rows; none of no rows.
    #[allow(clippy::cast_precision_loss)]
    pub fn accuracy_at(&self, coverage: f64) -> Option<f64> {
        let rows: u64 = self.bins.iter().map(|bin| bin.rows).sum();
        // One row at least.
        let wanted = (coverage.clamp(0.0, 1.0) * rows as f64).max(1.0);
        let (mut taken, mut right) = (0.0, 0.0);
        for bin in self.bins.iter().rev().filter(|bin| bin.rows > 0) {
            let own = (bin.rows as f64).min(wanted - taken);
            right += own * bin.right as f64 / bin.rows as f64;
            taken += own;
        }
        ratio(right / wanted, u64::from(rows > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(f64, bool)]) -> Coverage {
        let mut coverage = Coverage::default();
        rows.iter().for_each(|&(confidence, right)| coverage.add(confidence, right).unwrap());
        coverage
    }

    #[test]
    fn the_surest_are_taken_first() {
        let coverage = of(&[(0.5, false), (0.99, true), (0.999, true), (0.6, true), (0.2, false)]);
        for (part, accuracy) in [(0.4, 1.0), (0.6, 1.0), (0.8, 0.75), (1.0, 0.6), (0.0, 1.0), (7.0, 0.6)] {
            assert!((coverage.accuracy_at(part).unwrap() - accuracy).abs() < 1e-12, "{part}");
        }
    }

    #[test]
    fn equals_are_as_good_as_their_mean() {
        let coverage = of(&[(0.7, true), (0.7, false), (0.7, true), (0.7, false)]);
        assert_eq!(coverage.accuracy_at(0.25), Some(0.5));
        // Certain ones, and those that are nearly so, aren't equal.
        let coverage = of(&[(1.0, true), (0.999_999, false), (0.9999, true), (0.99, false)]);
        let at = [0.25, 0.5, 0.75, 1.0].map(|part| coverage.accuracy_at(part).unwrap());
        assert!(
            (at[0] - 1.0).abs() + (at[1] - 0.5).abs() + (at[2] - 2.0 / 3.0).abs() + (at[3] - 0.5).abs()
                < 1e-12
        );
    }

    #[test]
    fn nothing_has_no_accuracy_and_what_is_no_number_is_refused() {
        assert_eq!(Coverage::default().accuracy_at(0.5), None);
        assert_eq!(Coverage::default().add(f64::NAN, true), Err(Refused::NotFinite));
        assert_eq!(of(&[(-3.0, true), (9.0, false)]).accuracy_at(0.5), Some(0.0));
    }
}
