//! The network on the CPU: prepared weights, the encoder and the head in [`ecommerce_ml_tensor_cpu`].
//!
//! It must not know names of weights or how they were prepared.
//! Invariant: a window's row has the same bits whatever else is in the batch.

use std::sync::Arc;

use ecommerce_ml_checkpoint::config::{Family, ModelConfig};
use ecommerce_ml_checkpoint::head::HeadPlan;
use ecommerce_ml_checkpoint::positions::Positions;
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_tensor_cpu::{
    Encoder, Head, HeadActivation, Image, Kernels, Pooling, Sequence, Team, softmax,
};

use super::network::without_head;
use super::prepare::About;
use super::{Output, Window};
use crate::shape::sizes;

/// Encoder and head.
#[derive(Debug)]
pub(super) struct PackedNetwork {
    encoder: Encoder,
    head: Option<(Head, HeadPlan)>,
    positions: Positions,
    width: usize,
}

impl PackedNetwork {
    /// The network of prepared weights; `None` if they lack something, or are of other sizes than the configuration.
    pub(super) fn open(
        image: &Arc<Image>,
        about: &About,
        config: &ModelConfig,
        kernels: Kernels,
        team: &Arc<Team>,
    ) -> Option<Self> {
        let width = config.hidden_size;
        let head = |plan: &HeadPlan| {
            let head = Head::open(image, width, plan.outputs(), head_activation(config.family))?;
            Some((head, plan.clone()))
        };
        Some(Self {
            encoder: Encoder::open(image, &sizes(config), kernels, team)?,
            head: match &about.head {
                Some(plan) => Some(head(plan)?),
                None => None,
            },
            positions: Positions::new(config),
            width,
        })
    }

    /// Operations that these windows take in dense layers, and in attention.
    pub(super) fn operations(&self, windows: &[Window], output: Output) -> (u64, u64) {
        let lengths: Vec<usize> = windows.iter().map(|window| window.ids.len()).collect();
        let pooling = if output == Output::Head { Pooling::First } else { Pooling::Mean };
        self.encoder.operations(&lengths, pooling)
    }

    fn sequence<'w>(&self, window: &'w Window) -> Sequence<'w> {
        Sequence { ids: &window.ids, positions: self.positions.of(&window.ids) }
    }

    /// A row for each window.
    pub(super) fn forward(&self, windows: &[&Window], output: Output) -> Result<Vec<Vec<f32>>, EngineError> {
        let sequences = windows.iter().map(|window| self.sequence(window)).collect::<Vec<_>>();
        match (output, &self.head) {
            (Output::Embedding, _) => {
                let means = self.encoder.forward(&sequences, Pooling::Mean);
                Ok(means.chunks_exact(self.width).map(<[f32]>::to_vec).collect())
            }
            (Output::Head, Some((head, plan))) => {
                let mut states = self.encoder.forward(&sequences, Pooling::First);
                Ok(outputs(head, plan, self.encoder.kernels(), &mut states))
            }
            (Output::Head, None) => Err(without_head()),
        }
    }
}

/// Probabilities or values from the last hidden states of first tokens.
pub(super) fn outputs(head: &Head, plan: &HeadPlan, kernels: &Kernels, states: &mut [f32]) -> Vec<Vec<f32>> {
    let mut rows = head.logits(kernels, states);
    if plan.labels.is_some() {
        rows.iter_mut().for_each(|row| softmax(row));
    }
    rows
}

/// What lies between the two layers of a family's head.
pub(super) fn head_activation(family: Family) -> HeadActivation {
    match family {
        Family::Bert | Family::Roberta => HeadActivation::Tanh,
        Family::DistilBert => HeadActivation::Relu,
    }
}
