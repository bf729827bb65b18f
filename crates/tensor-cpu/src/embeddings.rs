//! Token ids and positions to the first hidden states.
//!
//! It must not know how positions are counted. Invariant: words are kept in the numbers that the model came with, so
//! that half precision stays half as large; they are widened exactly.

use std::sync::Arc;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::kernels::Kernels;
use super::layer::{LayerNorm, LayerNormWeights};
use super::prepacked::{PrepackedBuilder, PrepackedSlice, PrepackedWeights};
use super::shape::EncoderSizes;

/// Rows of numbers in the type that they came in, in row-major order.
#[derive(Debug, Clone)]
pub enum WordWeights {
    /// Single precision.
    F32(Vec<f32>),
    /// Half precision.
    F16(Vec<f16>),
    /// Brain floating point.
    Bf16(Vec<bf16>),
}

/// The weights of the embeddings as models have them.
#[derive(Debug)]
pub struct EmbeddingWeights {
    /// Shape `[vocabulary, hidden]`.
    pub words: WordWeights,
    /// Shape `[positions, hidden]`, with what all tokens have in common added to each row.
    pub positions: Vec<f32>,
    /// Of their sum.
    pub norm: LayerNormWeights,
}

/// Word and position embeddings, summed and normalised.
#[derive(Debug)]
pub(super) struct Embeddings {
    words: WordTable,
    positions: PrepackedSlice<f32>,
    norm: LayerNorm,
}

#[derive(Debug)]
enum WordTable {
    F32(PrepackedSlice<f32>),
    F16(PrepackedSlice<f16>),
    Bf16(PrepackedSlice<bf16>),
}

/// Adds the embeddings to prepacked weights.
pub fn pack_embeddings(prepacked: &mut PrepackedBuilder, weights: &EmbeddingWeights) {
    match &weights.words {
        WordWeights::F32(words) => prepacked.add("words.f32", words),
        WordWeights::F16(words) => prepacked.add("words.f16", words),
        WordWeights::Bf16(words) => prepacked.add("words.bf16", words),
    }
    prepacked.add("positions", &weights.positions);
    LayerNorm::pack(prepacked, "norm", &weights.norm);
}

impl Embeddings {
    pub(super) fn open(prepacked: &Arc<PrepackedWeights>, sizes: &EncoderSizes) -> Option<Self> {
        let width = sizes.shape.hidden;
        let count = sizes.vocabulary * width;
        let words = prepacked.numbers("words.f32", count).map(WordTable::F32);
        let words = words.or_else(|| prepacked.numbers("words.f16", count).map(WordTable::F16));
        Some(Self {
            words: words.or_else(|| prepacked.numbers("words.bf16", count).map(WordTable::Bf16))?,
            positions: prepacked.numbers("positions", sizes.positions * width)?,
            norm: LayerNorm::open(prepacked, "norm", width)?,
        })
    }

    /// The first hidden state of a token.
    /// Written to `state`, `[hidden]`.
    pub(super) fn state(&self, kernels: &Kernels, id: u32, position: u32, eps: f32, state: &mut [f32]) {
        let width = state.len();
        let row = |index: u32| index as usize * width..(index as usize + 1) * width;
        match &self.words {
            WordTable::F32(words) => state.copy_from_slice(&words[row(id)]),
            WordTable::F16(words) => words[row(id)].convert_to_f32_slice(state),
            WordTable::Bf16(words) => words[row(id)].convert_to_f32_slice(state),
        }
        self.norm.add(kernels, state, &self.positions[row(position)], eps);
    }
}
