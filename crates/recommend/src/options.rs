//! What a training is asked to do, and why it may refuse.
//!
//! It must not know how settings are chosen. Invariant: what is `None` is left to the training.

use std::fmt;

use crate::weighting::Weighting;

/// Of factors, if that isn't chosen.
pub const DEFAULT_ITERATIONS: usize = 10;

/// Which algorithm is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Item-item weights up to so many items if they fit, factors above.
    Auto {
        /// Most items.
        most_items: usize,
    },
    /// Item-item weights.
    Ease,
    /// Factors.
    Als,
}

/// What the caller chooses; what isn't chosen is selected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// The algorithm.
    pub algorithm: Wanted,
    /// λ of either.
    pub regularization: Option<f64>,
    /// See [`crate::ease::EaseSettings`].
    pub dropout: Option<f64>,
    /// See [`crate::ease::EaseSettings`].
    pub power: Option<f64>,
    /// See [`crate::als::AlsSettings`].
    pub factors: Option<usize>,
    /// See [`crate::als::AlsSettings`].
    pub alpha: Option<f64>,
    /// See [`crate::als::AlsSettings`].
    pub iterations: usize,
    /// What a pair counts.
    pub weighting: Option<Weighting>,
    /// How a history fades; inside, none for not at all.
    pub half_life: Option<Option<f64>>,
    /// Whether interactions have times: the last pairs are held out then.
    pub has_times: bool,
    /// The part of pairs that is held out where there are no times.
    pub eval_fraction: f64,
    /// Of chance.
    pub seed: u64,
    /// Bytes.
    pub memory_limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            algorithm: Wanted::Auto { most_items: 10_000 },
            regularization: None,
            dropout: None,
            power: None,
            factors: None,
            alpha: None,
            iterations: DEFAULT_ITERATIONS,
            weighting: None,
            half_life: None,
            has_times: false,
            eval_fraction: 0.2,
            seed: 42,
            memory_limit: u64::MAX,
        }
    }
}

/// Why there is no model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainingError {
    /// Nothing can be learned from one customer or one item.
    TooFew {
        /// Customers that there are.
        customers: usize,
        /// Items that there are.
        items: usize,
    },
    /// It would take more memory than it may.
    DoesNotFit {
        /// Bytes that it would take.
        needed: u64,
        /// Bytes that it may take.
        limit: u64,
    },
    /// λ is too small for the weights.
    NotPositiveDefinite,
    /// The caller gave up.
    Cancelled,
}

impl fmt::Display for TrainingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrainingError::TooFew { customers, items } => write!(
                formatter,
                "too few rows to recommend from: {customers} customers and {items} items, and at least 2 of both are needed"
            ),
            TrainingError::DoesNotFit { needed, limit } => {
                write!(formatter, "training would take about {needed} bytes of memory, and may take {limit}")
            }
            TrainingError::NotPositiveDefinite => {
                formatter.write_str("regularization is too small for these weights")
            }
            TrainingError::Cancelled => formatter.write_str("training was cancelled"),
        }
    }
}

impl std::error::Error for TrainingError {}
