//! Errors of numbers.
//!
//! It must not know what the numbers measure. Invariant: the gradient points from the target to the value, or is 0
//! where both are the same.

use ecommerce_ml_protocol::EngineError;

use super::{Loss, mismatch};

/// The shape of a regression's loss, in the difference d between value and target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RegressionLoss {
    /// `d^2`: `torch.nn.functional.mse_loss`.
    SquaredError,
    /// `d^2 / (2 beta)` where |d| is below beta, else `|d| - beta / 2`: `torch.nn.functional.smooth_l1_loss`. Outliers
    /// pull no harder than beta does.
    SmoothL1 {
        /// Positive; in the unit of the values.
        beta: f64,
    },
}

/// The loss of a regression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regression {
    /// Its shape.
    pub loss: RegressionLoss,
}

impl Regression {
    /// Loss of some rows, one value and one target each: the sum over the rows, divided by `denominator`. That is the
    /// number of rows of the update for a mean (`reduction="mean"`); nothing is left if it is 0.
    /// `values` and `targets`: `[rows]`.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](ecommerce_ml_protocol::ErrorKind::Internal) if there are more of one than of the other.
    pub fn compute(&self, values: &[f32], targets: &[f32], denominator: f64) -> Result<Loss, EngineError> {
        if values.len() != targets.len() {
            return Err(mismatch(values.len(), targets.len()));
        }
        let scale = if denominator > 0.0 { denominator.recip() } else { 0.0 };
        let mut loss = Loss { value: 0.0, gradient: Vec::with_capacity(values.len()) };
        for (&value, &target) in values.iter().zip(targets) {
            let (error, slope) = self.loss.of(f64::from(value) - f64::from(target));
            loss.value += scale * error;
            loss.gradient.push((scale * slope) as f32);
        }
        Ok(loss)
    }
}

impl RegressionLoss {
    /// Loss of a difference, and its derivative.
    fn of(self, difference: f64) -> (f64, f64) {
        match self {
            Self::SmoothL1 { beta } if difference.abs() < beta => {
                (difference * difference / (2.0 * beta), difference / beta)
            }
            Self::SmoothL1 { beta } => (difference.abs() - beta / 2.0, difference.signum()),
            Self::SquaredError => (difference * difference, 2.0 * difference),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_pull_no_harder_than_beta() {
        let by = Regression { loss: RegressionLoss::SmoothL1 { beta: 0.5 } };
        let loss = by.compute(&[1.0, 1.25, 101.0, -99.0], &[1.0; 4], 1.0).unwrap();
        assert_eq!(loss.gradient, [0.0, 0.5, 1.0, -1.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let by = Regression { loss: RegressionLoss::SquaredError };
        assert!(by.compute(&[1.0], &[], 1.0).is_err());
        assert_eq!(by.compute(&[1.0], &[2.0], 0.0).unwrap(), Loss { value: 0.0, gradient: vec![-0.0] });
    }
}
