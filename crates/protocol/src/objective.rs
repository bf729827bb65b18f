//! What models are trained for, which requests and jobs say alike.
//!
//! Invariant: the order of variants is their number on the wire.

use serde::{Deserialize, Serialize};

/// What a model is trained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Objective {
    /// Classes without an order.
    Classification,
    /// One to five stars.
    Rating,
    /// A number.
    Regression,
}
