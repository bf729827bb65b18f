//! Numbers predicted for numbers.
//!
//! Means and squares, counted from the first value, are brought up to date with each row (Welford 1962; Chan, Golub,
//! LeVeque 1983 for the product and the shift), so that values far from zero lose no digits. Invariant: R2 is what scikit-learn's `r2_score` gives: of a constant, 1
//! when every prediction is right and 0 otherwise, and nothing for a single row.

use crate::{Refused, ratio};

/// Sums over the rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Regression {
    rows: u64,
    absolute: f64,
    squared: f64,
    predicted: Spread,
    actual: Spread,
    /// Sum of products of the deviations from the means.
    product: f64,
}

/// Mean, counted from the first value, and sum of squared deviations from it.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    first: Option<f64>,
    mean: f64,
    squares: f64,
}

impl Spread {
    /// Takes a value in and returns its deviations from the mean before and after.
    fn add(&mut self, value: f64, rows: f64) -> (f64, f64) {
        let value = value - *self.first.get_or_insert(value);
        let before = value - self.mean;
        self.mean += before / rows;
        let after = value - self.mean;
        self.squares += before * after;
        (before, after)
    }
}

impl Regression {
    /// Counts a row.
    ///
    /// # Errors
    /// [`Refused::NotFinite`]; the row isn't counted then.
    #[allow(clippy::cast_precision_loss)]
    pub fn add(&mut self, actual: f64, predicted: f64) -> Result<(), Refused> {
        if !actual.is_finite() || !predicted.is_finite() {
            return Err(Refused::NotFinite);
        }
        self.rows += 1;
        let error = predicted - actual;
        self.absolute += error.abs();
        self.squared += error * error;
        let (before, _) = self.actual.add(actual, self.rows as f64);
        let (_, after) = self.predicted.add(predicted, self.rows as f64);
        self.product += before * after;
        Ok(())
    }

    /// Rows counted.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Mean absolute error.
    pub fn mae(&self) -> Option<f64> {
        finite(ratio(self.absolute, self.rows)?)
    }

    /// Root of the mean squared error.
    pub fn rmse(&self) -> Option<f64> {
        finite(ratio(self.squared, self.rows)?.sqrt())
    }

    /// Coefficient of determination.
    pub fn r2(&self) -> Option<f64> {
        match self.rows {
            0 | 1 => None,
            _ if self.actual.squares == 0.0 => Some(if self.squared > 0.0 { 0.0 } else { 1.0 }),
            _ => finite(1.0 - self.squared / self.actual.squares),
        }
    }

    /// Pearson's correlation; none if either side is constant.
    pub fn pearson(&self) -> Option<f64> {
        let spread = self.actual.squares.sqrt() * self.predicted.squares.sqrt();
        let correlation = (spread > 0.0).then(|| self.product / spread)?;
        finite(correlation).map(|correlation| correlation.clamp(-1.0, 1.0))
    }
}

/// Sums of huge numbers overflow; what comes of that has no value.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
