//! Whether probabilities are what they say: the expected calibration error.
//!
//! ECE = sum over bins b of n_b / n * |acc(b) - conf(b)|, with 15 bins of equal width ((i - 1) / 15, i / 15] of the
//! probability of the predicted class; acc is the share of right predictions in a bin, conf the mean of those
//! probabilities. Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks (ICML 2017), equation 3.

use crate::{Refused, ratio};

const BINS: usize = 15;

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    right: u64,
    rows: u64,
    confidence: f64,
}

/// Rows by the probability of the class that was predicted.
#[derive(Debug, Clone, Default)]
pub struct Calibration {
    bins: [Bin; BINS],
}

impl Calibration {
    /// Counts a row: the probability of the predicted class, and whether that is the actual one.
    ///
    /// # Errors
    /// [`Refused::NotFinite`].
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn add(&mut self, confidence: f64, right: bool) -> Result<(), Refused> {
        if !confidence.is_finite() {
            return Err(Refused::NotFinite);
        }
        let bin = (confidence * BINS as f64).ceil().clamp(1.0, BINS as f64) as usize - 1;
        let bin = &mut self.bins[bin];
        bin.rows += 1;
        bin.right += u64::from(right);
        bin.confidence += confidence;
        Ok(())
    }

    /// The expected calibration error, from 0 to 1.
    #[allow(clippy::cast_precision_loss)]
    pub fn expected_error(&self) -> Option<f64> {
        let rows = self.bins.iter().map(|bin| bin.rows).sum();
        // n_b cancels out: n_b * |right / n_b - confidence / n_b|.
        let error = self.bins.iter().map(|bin| (bin.right as f64 - bin.confidence).abs()).sum();
        ratio(error, rows)
    }
}
