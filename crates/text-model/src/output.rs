//! What is asked of a forward pass, and what comes of it.
//!
//! It must not know what the numbers mean. Invariant: a row counts at least once beside others.

use ecommerce_ml_checkpoint::tokenizer::Window;

/// What a forward pass shall compute for each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForwardOutput {
    /// Class probabilities, or the one value of a regression.
    Head,
    /// The mean over all tokens of the last hidden state, not normalised.
    Embedding,
}

/// What the model made of one window.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowRow {
    /// Content tokens of the window, at least 1: how much the row counts beside those of other windows.
    pub weight: usize,
    /// Probabilities, `[labels]`, the value of a regression, `[1]`, or an embedding, `[hidden]`.
    pub values: Box<[f32]>,
}

impl WindowRow {
    /// A row of a forward pass with the weight of its window.
    /// `values`: `[outputs]`, or `[hidden]` of an embedding.
    pub fn new(window: &Window, values: Vec<f32>) -> Self {
        Self { weight: window.content_tokens.max(1), values: values.into_boxed_slice() }
    }
}

/// What the head says of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Prediction {
    /// The probabilities of a classification, `[labels]`.
    Probabilities(Vec<f32>),
    /// The value of a regression.
    Number(f64),
}
