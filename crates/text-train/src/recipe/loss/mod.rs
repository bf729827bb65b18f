//! How wrong the outputs of a head are, and the gradient of that with respect to them.
//!
//! # Layout
//! - `classification`: cross entropy and, for stars, the squared earth mover's distance.
//! - `regression`: squared and smooth absolute errors.
//!
//! It must not know networks or tokens. Invariant: what rows of a batch add to loss and gradient doesn't depend on how
//! the rows of one update are cut into batches, because all of them are divided by the same denominator.

use ecommerce_ml_protocol::{EngineError, ErrorKind};

mod classification;
mod regression;

pub use classification::{CrossEntropy, Target};
pub use regression::{Regression, RegressionLoss};

/// A loss and its gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// Sum over the rows, divided by the denominator.
    pub value: f64,
    /// Derivative of `value` with respect to each output; of the outputs' shape.
    pub gradient: Vec<f32>,
}

/// A head and its targets don't fit: a defect of the training loop.
fn mismatch(outputs: usize, targets: usize) -> EngineError {
    EngineError::new(ErrorKind::Internal, format!("{outputs} outputs don't belong to {targets} targets"))
}
