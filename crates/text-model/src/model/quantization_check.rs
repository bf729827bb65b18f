//! Weights into `int8`, and whether the model then says the same as in `f32`: both run over a built-in set of texts, layer by
//! layer, so that no more than one layer is in memory in both precisions. What goes through a layer in `f32` tells how its
//! inputs are best turned into bytes.
//!
//! It must not know files. Invariant: the same weights get the same verdict on every machine with the same kernels.

use std::sync::Arc;

use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::head::HeadPlan;
use ecommerce_ml_checkpoint::positions::Positions;
use ecommerce_ml_checkpoint::tokenizer::{Tokenizer, Window};
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_tensor_cpu::{
    EmbeddingWeights, Head, HeadWeights, Kernels, LayerRanges, LayerWeights, LayerwiseStates,
    PrepackedBuilder, Sequence, Shape, pack_embeddings, pack_head, pack_layer,
};

use super::packed::{head_activation, outputs};
use crate::shape::{shape, sizes};

/// Reviews, one a line, in English and Chinese; `texts.md` says where they come from.
const TEXTS: &str = include_str!("quantization_check/texts.txt");

/// Least share of texts that must get the same label.
const LEAST_AGREEMENT: f64 = 0.99;
/// Labels whose probabilities are no further apart are equally good: which of them wins is chance in any precision, and of a few
/// hundred texts some have such a pair.
const TIE: f32 = 0.01;
/// Most that probabilities may differ, in the mean over all texts and labels.
const MOST_DIFFERENCE: f64 = 0.01;
/// As [`MOST_DIFFERENCE`] for the value of a regression, as a share of the values' standard deviation.
const MOST_DEVIATION: f64 = 0.05;
/// Least cosine of embeddings, in the mean over all texts.
const LEAST_COSINE: f64 = 0.995;

/// Both computations on their way through the model.
pub(super) struct QuantizationCheck {
    config: ModelConfig,
    shape: Shape,
    kernels: Kernels,
    /// Token ids and positions of the texts.
    texts: Vec<(Vec<u32>, Vec<u32>)>,
    /// In `f32` and in `int8`.
    states: [LayerwiseStates; 2],
    /// The verdict on the outputs of a head, which are compared where there is one.
    compared: Option<Result<String, String>>,
}

impl QuantizationCheck {
    /// Nothing computed yet.
    ///
    /// # Errors
    /// If the tokenizer can't cope with the texts.
    pub(super) fn new(
        tokenizer: &Tokenizer,
        config: &ModelConfig,
        kernels: Kernels,
    ) -> Result<Self, EngineError> {
        let positions = Positions::new(config);
        let texts = windows(tokenizer)?.into_iter().map(|window| (positions.of(&window.ids), window.ids));
        Ok(Self {
            config: config.clone(),
            shape: shape(config),
            kernels,
            texts: texts.map(|(positions, ids)| (ids, positions)).collect(),
            states: Default::default(),
            compared: None,
        })
    }

    /// Begins with the embeddings, which are the same in both.
    pub(super) fn embed(&mut self, weights: &EmbeddingWeights) {
        let mut prepacked = PrepackedBuilder::default();
        pack_embeddings(&mut prepacked, weights);
        let prepacked = Arc::new(prepacked.finish(serde_json::Value::Null));
        let texts = self.texts.iter();
        let sequences: Vec<_> =
            texts.map(|(ids, positions)| Sequence { ids, positions: positions.clone() }).collect();
        if let Some(states) =
            LayerwiseStates::embed(&prepacked, &sizes(&self.config), &self.kernels, &sequences)
        {
            self.states = [states.clone(), states];
        }
    }

    /// Takes both through the next layer, and adds it in `int8` to prepacked weights.
    pub(super) fn layer(&mut self, weights: &LayerWeights, index: usize, prepacked: &mut PrepackedBuilder) {
        let (shape, kernels) = (self.shape, self.kernels);
        let layer = |ranges: Option<&LayerRanges>| {
            let mut prepacked = PrepackedBuilder::default();
            pack_layer(&mut prepacked, index, &shape, weights, ranges);
            Arc::new(prepacked.finish(serde_json::Value::Null))
        };
        let [reference, quantized] = &mut self.states;
        let ranges = reference.observe_layer(&layer(None), index, &shape, &kernels);
        let small = layer(Some(&ranges));
        quantized.through_layer(&small, index, &shape, &kernels);
        prepacked.append(&small);
    }

    /// Ends with the head.
    pub(super) fn head(&mut self, weights: &HeadWeights, plan: &HeadPlan) {
        let width = self.shape.hidden;
        let mut prepacked = PrepackedBuilder::default();
        pack_head(&mut prepacked, width, weights);
        let prepacked = Arc::new(prepacked.finish(serde_json::Value::Null));
        let activation = head_activation(self.config.family);
        let Some(head) = Head::open(&prepacked, width, plan.outputs(), activation) else { return };
        let [reference, quantized] = [0, 1]
            .map(|index| outputs(&head, plan, &self.kernels, &mut self.states[index].first(&self.shape)));
        self.compared = Some(match plan.labels {
            Some(_) => compare_classes(&reference, &quantized),
            None => compare_values(&reference, &quantized),
        });
    }

    /// Whether `int8` will do, and the figures that say so.
    pub(super) fn verdict(self) -> Result<String, String> {
        let [reference, quantized] = &self.states;
        self.compared.unwrap_or_else(|| {
            compare_embeddings(&reference.means(&self.shape), &quantized.means(&self.shape))
        })
    }
}

/// The first window of each of the texts.
///
/// # Errors
/// If the tokenizer can't cope with them.
pub(super) fn windows(tokenizer: &Tokenizer) -> Result<Vec<Window>, EngineError> {
    let first = |text: &str| Ok(tokenizer.windows(text)?.into_iter().next());
    TEXTS.lines().filter_map(|text| first(text).transpose()).collect()
}

/// `Ok` if the condition holds.
fn verdict(agrees: bool, figures: String) -> Result<String, String> {
    if agrees { Ok(format!("agrees with f32: {figures}")) } else { Err(format!("int8 differs: {figures}")) }
}

fn compare_classes(reference: &[Vec<f32>], quantized: &[Vec<f32>]) -> Result<String, String> {
    let share = |tie: f32| {
        let same = reference
            .iter()
            .zip(quantized)
            .filter(|(reference, quantized)| same_label(reference, quantized, tie));
        same.count() as f64 / reference.len() as f64
    };
    let (agreement, equal) = (share(TIE), share(0.0));
    let difference = mean(differences(reference, quantized));
    let figures = format!(
        "{:.1} % of {} labels ({:.1} % but for ties), probabilities by {difference:.4} in the mean",
        100.0 * equal,
        reference.len(),
        100.0 * agreement
    );
    verdict(agreement >= LEAST_AGREEMENT && difference <= MOST_DIFFERENCE, figures)
}

fn compare_values(reference: &[Vec<f32>], quantized: &[Vec<f32>]) -> Result<String, String> {
    let values = || reference.iter().flatten().map(|&value| f64::from(value));
    let centre = mean(values());
    let spread = mean(values().map(|value| (value - centre).powi(2))).sqrt();
    let difference = mean(differences(reference, quantized)) / spread.max(f64::MIN_POSITIVE);
    let figures =
        format!("values by {difference:.4} standard deviations in the mean of {} texts", reference.len());
    verdict(difference <= MOST_DEVIATION, figures)
}

fn compare_embeddings(reference: &[Vec<f32>], quantized: &[Vec<f32>]) -> Result<String, String> {
    let cosine =
        mean(reference.iter().zip(quantized).map(|(reference, quantized)| cosine(reference, quantized)));
    let figures = format!("embeddings at a cosine of {cosine:.4} in the mean of {} texts", reference.len());
    verdict(cosine >= LEAST_COSINE, figures)
}

fn differences<'a>(reference: &'a [Vec<f32>], quantized: &'a [Vec<f32>]) -> impl Iterator<Item = f64> + 'a {
    let numbers = reference.iter().flatten().zip(quantized.iter().flatten());
    numbers.map(|(&reference, &quantized)| f64::from((reference - quantized).abs()))
}

fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = numbers.fold((0.0, 0_u32), |(sum, count), number| (sum + number, count + 1));
    sum / f64::from(count.max(1))
}

/// Whether the label that wins in `int8` wins in `f32` too, or is behind there by no more than `tie`.
fn same_label(reference: &[f32], quantized: &[f32], tie: f32) -> bool {
    match (best(reference), best(quantized)) {
        (Some(expected), Some(found)) => found == expected || reference[expected] - reference[found] <= tie,
        (expected, found) => expected == found,
    }
}

fn best(row: &[f32]) -> Option<usize> {
    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]))
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_is_no_change_of_label() {
        let reference = [0.496, 0.504];
        assert!(same_label(&reference, &[0.6, 0.4], TIE) && !same_label(&reference, &[0.6, 0.4], 0.0));
        assert!(!same_label(&[0.48, 0.52], &[0.6, 0.4], TIE));
        assert!(same_label(&[0.1, 0.9], &[0.4, 0.6], 0.0));
    }

    #[test]
    fn labels_that_change_are_refused_however_near_the_probabilities_are() {
        let reference = vec![vec![0.48, 0.52]; 100];
        let mut quantized = reference.clone();
        quantized[..2].fill(vec![0.51, 0.49]);
        let refused = compare_classes(&reference, &quantized).unwrap_err();
        assert_eq!(
            refused,
            "int8 differs: 98.0 % of 100 labels (98.0 % but for ties), probabilities by 0.0006 in the mean"
        );
        quantized[1] = reference[1].clone();
        assert!(compare_classes(&reference, &quantized).is_ok());
    }
}
