//! The network on a machine with memory of its own.
//!
//! It must not know how it is computed there. Invariant: as of [`Resident`]; probabilities are computed here, in f32.

use std::sync::Arc;

use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::head::HeadPlan;
use ecommerce_ml_checkpoint::positions::Positions;
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_tensor_cpu::{Sequence, softmax};
use ecommerce_ml_tensor_cuda::Narrow;

use super::network::without_head;
use super::packed::head_activation;
use super::{Output, Window, prepare};
use crate::begun::Begun;
use crate::cuda::{Accelerator, Resident, Wanted, WeightsBuilder};

/// Encoder and head.
#[derive(Debug)]
pub(super) struct ResidentNetwork {
    network: Box<dyn Resident>,
    numbers: Narrow,
    head: Option<HeadPlan>,
    positions: Positions,
}

impl ResidentNetwork {
    /// Brings a model to a machine, and says how many bytes it takes there.
    pub(super) fn load(
        (weights, names): (&mut Weights<'_>, &Names),
        config: &ModelConfig,
        head: Option<&HeadPlan>,
        (machine, numbers): (&Arc<dyn Accelerator>, Narrow),
    ) -> Result<(Self, u64), EngineError> {
        let embeddings = prepare::embeddings(weights, names, config)?;
        let mut builder = WeightsBuilder::new(numbers, config, &embeddings)?;
        drop(embeddings);
        for index in 0..config.layers {
            builder.layer(&prepare::layer(weights, names, index, config)?);
        }
        if let Some(plan) = head {
            let head = prepare::head_weights(weights, names, config, plan)?;
            builder.head(&head, head_activation(config.family), plan.outputs());
        }
        let weights = builder.finish();
        let bytes = weights.size();
        let network = Arc::clone(machine).load(&weights)?;
        let positions = Positions::new(config);
        Ok((Self { network, numbers, head: head.cloned(), positions }, bytes))
    }

    /// What it is computed in.
    pub(super) fn numbers(&self) -> Narrow {
        self.numbers
    }

    /// Begins to compute a row for each window.
    pub(super) fn begin(
        &self,
        windows: &[&Window],
        output: Output,
    ) -> Result<Begun<Vec<Vec<f32>>>, EngineError> {
        let sequences: Vec<Sequence<'_>> = windows
            .iter()
            .map(|window| Sequence { ids: &window.ids, positions: self.positions.of(&window.ids) })
            .collect();
        let Output::Head = output else { return self.network.begin(&sequences, Wanted::Mean) };
        let Some(plan) = &self.head else { return Err(without_head()) };
        let logits = self.network.begin(&sequences, Wanted::Logits)?;
        if plan.labels.is_none() {
            return Ok(logits);
        }
        logits.and_then(|mut rows| {
            rows.iter_mut().for_each(|row| softmax(row));
            Ok(rows)
        })
    }
}
