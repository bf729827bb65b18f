//! A loaded model.
//!
//! It must not know requests or clients. Invariant: an answer has a row for each input, in order.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ecommerce_ml_protocol::{Answers, Input, ModelInfo, Output};

use crate::pending::Pending;

/// A model that answers. How inputs of many requests are put together, and where they are computed, is its own affair.
pub trait Predictor: Send + Sync {
    /// What the model is.
    fn info(&self) -> &ModelInfo;

    /// What it is computed in, for statistics.
    fn precision(&self) -> &ModelPrecision;

    /// Takes inputs in and begins to answer; never waits. What can't be answered, be it because the model reads something else or
    /// has no such output, is told by the answer.
    fn submit(&self, input: Input, output: Output) -> Pending;
}

/// Answers to the inputs of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// A row for each input.
    pub answers: Answers,
    /// Tokens that went through the model, special tokens included; 0 of a model that reads none.
    pub tokens: u64,
    /// Inputs whose answer was remembered from an earlier request.
    pub cached: u64,
}

/// What a model is computed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPrecision {
    /// As the setting calls it: `f32`, `int8`, `f16` or `bf16`; or `f64`, which no setting asks for.
    pub name: &'static str,
    /// Why, in a few words; empty where there was no choice.
    pub note: String,
}

/// A loaded model with a number that no other load has in this process, be it of the same files: answers of two loads
/// can differ, since a built-in model's files may be replaced.
pub struct Loaded<P: ?Sized = dyn Predictor> {
    model: Arc<P>,
    number: u64,
}

impl<P: ?Sized> Loaded<P> {
    /// Gives a model that has just been loaded its number.
    pub fn new(model: Arc<P>) -> Self {
        static LOADS: AtomicU64 = AtomicU64::new(0);
        Self { model, number: LOADS.fetch_add(1, Ordering::Relaxed) }
    }

    /// Tells this load from all others.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl<P: ?Sized> Clone for Loaded<P> {
    fn clone(&self) -> Self {
        Self { model: Arc::clone(&self.model), number: self.number }
    }
}

impl<P: ?Sized> Deref for Loaded<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.model
    }
}
