//! Sizes of an encoder.
//!
//! It must not know where they come from. Invariant: heads divide the width.

use super::functions::Activation;
use super::linear::padded;

/// Sizes that all layers share.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Width of the hidden states.
    pub hidden: usize,
    /// Attention heads, a divisor of `hidden`.
    pub heads: usize,
    /// Width of the feed-forward part.
    pub inner: usize,
    /// Its nonlinearity.
    pub activation: Activation,
    /// Added to variances.
    pub eps: f32,
}

/// Sizes of a whole encoder.
#[derive(Debug, Clone, Copy)]
pub struct EncoderSizes {
    /// What all layers share.
    pub shape: Shape,
    /// How many layers.
    pub layers: usize,
    /// Rows of the embeddings of words.
    pub vocabulary: usize,
    /// Rows of the embeddings of positions.
    pub positions: usize,
}

impl Shape {
    /// From one row of hidden states to the next.
    pub(super) fn stride(&self) -> usize {
        padded(self.hidden)
    }
}
