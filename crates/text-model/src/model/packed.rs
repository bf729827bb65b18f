//! The network on the CPU: prepacked weights, the encoder and the head in [`ecommerce_ml_tensor_cpu`].
//!
//! It must not know names of weights or how they were prepared.
//! Invariant: a window's row has the same bits whatever else is in the batch.

use std::sync::Arc;

use ecommerce_ml_checkpoint::config::{Family, ModelConfig};
use ecommerce_ml_checkpoint::head::HeadPlan;
use ecommerce_ml_checkpoint::positions::Positions;
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_tensor_cpu::{
    Head, HeadActivation, Kernels, PackedEncoder, Pooling, PrepackedWeights, Sequence, ThreadPool, softmax,
};

use super::network::without_head;
use super::prepare::About;
use super::{ForwardOutput, Window};
use crate::shape::sizes;

/// Encoder and head.
#[derive(Debug)]
pub(super) struct PackedNetwork {
    encoder: PackedEncoder,
    head: Option<(Head, HeadPlan)>,
    positions: Positions,
    width: usize,
}

impl PackedNetwork {
    /// The network of prepacked weights; `None` if they lack something, or are of other sizes than the configuration.
    pub(super) fn open(
        prepacked: &Arc<PrepackedWeights>,
        about: &About,
        config: &ModelConfig,
        kernels: Kernels,
        pool: &Arc<ThreadPool>,
    ) -> Option<Self> {
        let width = config.hidden_size;
        let head = |plan: &HeadPlan| {
            let head = Head::open(prepacked, width, plan.outputs(), head_activation(config.family))?;
            Some((head, plan.clone()))
        };
        Some(Self {
            encoder: PackedEncoder::open(prepacked, &sizes(config), kernels, pool)?,
            head: match &about.head {
                Some(plan) => Some(head(plan)?),
                None => None,
            },
            positions: Positions::new(config),
            width,
        })
    }

    /// Operations that these windows take in dense layers, and in attention.
    pub(super) fn operations(&self, windows: &[Window], output: ForwardOutput) -> (u64, u64) {
        let lengths: Vec<usize> = windows.iter().map(|window| window.ids.len()).collect();
        self.encoder.operations(&lengths, pooling(output))
    }

    fn sequence<'w>(&self, window: &'w Window) -> Sequence<'w> {
        Sequence { ids: &window.ids, positions: self.positions.of(&window.ids) }
    }

    /// A row for each window.
    /// `[outputs]` each, or `[hidden]` of an embedding.
    pub(super) fn forward(
        &self,
        windows: &[&Window],
        output: ForwardOutput,
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let sequences = windows.iter().map(|window| self.sequence(window)).collect::<Vec<_>>();
        if output == ForwardOutput::Head && self.head.is_none() {
            return Err(without_head());
        }
        let mut states = self.encoder.forward(&sequences, pooling(output));
        Ok(match (output, &self.head) {
            (ForwardOutput::Head, Some((head, plan))) => {
                outputs(head, plan, self.encoder.kernels(), &mut states)
            }
            _ => states.chunks_exact(self.width).map(<[f32]>::to_vec).collect(),
        })
    }
}

/// Which states an output is made of.
fn pooling(output: ForwardOutput) -> Pooling {
    match output {
        ForwardOutput::Head => Pooling::First,
        ForwardOutput::Embedding => Pooling::Mean,
    }
}

/// Probabilities or values from the last hidden states of first tokens.
/// `states`: `[rows, hidden]`, which are changed; `[outputs]` each come out.
pub(super) fn outputs(head: &Head, plan: &HeadPlan, kernels: &Kernels, states: &mut [f32]) -> Vec<Vec<f32>> {
    let mut rows = head.logits(kernels, states);
    if plan.labels.is_some() {
        rows.iter_mut().for_each(|row| softmax(row));
    }
    rows
}

/// What lies between the two layers of the head of a family that is shaped like BERT.
pub(super) fn head_activation(family: Family) -> HeadActivation {
    if family == Family::DistilBert { HeadActivation::Relu } else { HeadActivation::Tanh }
}
