//! The head of a sequence classification model: two dense layers over a sequence's pooled state, in `f32`.
//!
//! It must not know what the outputs mean. Invariant: a row's outputs depend on its own state alone.

use std::sync::Arc;

use super::kernels::Kernels;
use super::linear::{DenseInput, DenseWeights, Linear, QuantisedRows, pack, padded};
use super::prepacked::{PrepackedBuilder, PrepackedWeights};

/// Between the two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadActivation {
    /// BERT and RoBERTa.
    Tanh,
    /// DistilBERT.
    Relu,
}

/// The weights of a head as models have them.
#[derive(Debug)]
pub struct HeadWeights {
    /// Shape `[hidden, hidden]`.
    pub hidden: DenseWeights,
    /// Shape `[outputs, hidden]`.
    pub output: DenseWeights,
}

/// A head, ready to compute.
#[derive(Debug)]
pub struct Head {
    hidden: Linear,
    output: Linear,
    activation: HeadActivation,
    width: usize,
    outputs: usize,
}

/// Adds a head to prepacked weights.
pub fn pack_head(prepacked: &mut PrepackedBuilder, width: usize, weights: &HeadWeights) {
    // A head is hardly any work, and the last one to decide.
    pack(prepacked, "head.hidden", width, &[&weights.hidden], None);
    pack(prepacked, "head.output", width, &[&weights.output], None);
}

impl Head {
    /// The head of prepacked weights, over states of `width` numbers; `None` if parts are missing or of other sizes.
    pub fn open(
        prepacked: &Arc<PrepackedWeights>,
        width: usize,
        outputs: usize,
        activation: HeadActivation,
    ) -> Option<Self> {
        let hidden = Linear::open(prepacked, "head.hidden", width, padded(width))?;
        let output = Linear::open(prepacked, "head.output", width, padded(outputs))?;
        Some(Self { hidden, output, activation, width, outputs })
    }

    /// Logits, a row for each of the states that lie in rows of `width`.
    /// `states`: `[rows, width]`, which are changed; `[outputs]` each come out.
    pub fn logits(&self, kernels: &Kernels, states: &mut [f32]) -> Vec<Vec<f32>> {
        let count = states.len() / self.width;
        let (inner, outer) = (padded(self.width), padded(self.outputs));
        let (mut hidden, mut logits) = (vec![0.0; count * inner], vec![0.0; count * outer]);
        let mut bytes = QuantisedRows::default();
        let input = DenseInput { numbers: states, stride: self.width, count };
        self.hidden.forward(kernels, input, None, 0..inner, &mut bytes, (&mut hidden, inner));
        for number in &mut hidden {
            *number = match self.activation {
                HeadActivation::Tanh => number.tanh(),
                // Not `max`, which would hide NaN.
                HeadActivation::Relu if *number < 0.0 => 0.0,
                HeadActivation::Relu => *number,
            };
        }
        let input = DenseInput { numbers: &mut hidden, stride: inner, count };
        self.output.forward(kernels, input, None, 0..outer, &mut bytes, (&mut logits, outer));
        logits.chunks_exact(outer).map(|row| row[..self.outputs].to_vec()).collect()
    }
}

/// Probabilities from logits, in their place.
/// `row`: `[classes]`.
pub fn softmax(row: &mut [f32]) {
    let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|number| *number = (*number - greatest).exp());
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|number| *number /= sum);
}
