//! What confidence in answers is worth: rows with how sure each answer is, and whether it is right.
//!
//! It must not know what an answer is: a class, or a sentiment that several classes mean. Invariant: all of it is of the same
//! rows.

use crate::{Calibration, Coverage, Refused};

/// Rows by confidence.
#[derive(Debug, Clone, Default)]
pub struct Confidence {
    calibration: Calibration,
    coverage: Coverage,
}

impl Confidence {
    /// Counts a row: how sure its answer is, from 0 to 1, and whether it is right.
    ///
    /// # Errors
    /// [`Refused::NotFinite`].
    pub fn add(&mut self, confidence: f64, right: bool) -> Result<(), Refused> {
        self.calibration.add(confidence, right)?;
        self.coverage.add(confidence, right)
    }

    /// The share of right answers.
    pub fn accuracy(&self) -> Option<f64> {
        self.coverage.accuracy_at(1.0)
    }

    /// The expected calibration error, from 0 to 1.
    pub fn calibration_error(&self) -> Option<f64> {
        self.calibration.expected_error()
    }

    /// The share of right answers among the surest `coverage`, from 0 to 1, of all rows.
    pub fn accuracy_at(&self, coverage: f64) -> Option<f64> {
        self.coverage.accuracy_at(coverage)
    }
}
