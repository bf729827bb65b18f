//! The network on a accelerator with memory of its own.
//!
//! It must not know how it is computed there. Invariant: as of [`DeviceModel`]; probabilities are computed here, in f32.

use std::sync::Arc;

use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::head::HeadPlan;
use ecommerce_ml_checkpoint::positions::Positions;
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_tensor_cpu::{Sequence, softmax};
use ecommerce_ml_tensor_cuda::HalfPrecision;

use super::network::without_head;
use super::packed::head_activation;
use super::{ForwardOutput, Window, prepare};
use crate::cuda::{Accelerator, DeviceModel, WeightsBuilder};
use crate::deferred::Deferred;

/// Encoder and head.
#[derive(Debug)]
pub(super) struct DeviceNetwork {
    network: Box<dyn DeviceModel>,
    numbers: HalfPrecision,
    head: Option<HeadPlan>,
    positions: Positions,
}

impl DeviceNetwork {
    /// Brings a model to a device, and says how many bytes it takes there.
    pub(super) fn load(
        (weights, names): (&mut Weights<'_>, &Names),
        config: &ModelConfig,
        head: Option<&HeadPlan>,
        (accelerator, numbers): (&Arc<dyn Accelerator>, HalfPrecision),
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
        let network = Arc::clone(accelerator).load(&weights)?;
        let positions = Positions::new(config);
        Ok((Self { network, numbers, head: head.cloned(), positions }, bytes))
    }

    /// What it is computed in.
    pub(super) fn numbers(&self) -> HalfPrecision {
        self.numbers
    }

    /// Begins to compute a row for each window.
    /// `[outputs]` each, or `[hidden]` of an embedding.
    pub(super) fn begin(
        &self,
        windows: &[&Window],
        output: ForwardOutput,
    ) -> Result<Deferred<Vec<Vec<f32>>>, EngineError> {
        let sequences: Vec<Sequence<'_>> = windows
            .iter()
            .map(|window| Sequence { ids: &window.ids, positions: self.positions.of(&window.ids) })
            .collect();
        if output == ForwardOutput::Head && self.head.is_none() {
            return Err(without_head());
        }
        let rows = self.network.begin(&sequences, output)?;
        let is_logits =
            output == ForwardOutput::Head && self.head.as_ref().is_some_and(|head| head.labels.is_some());
        if !is_logits {
            return Ok(rows);
        }
        rows.and_then(|mut rows| {
            rows.iter_mut().for_each(|row| softmax(row));
            Ok(rows)
        })
    }
}
