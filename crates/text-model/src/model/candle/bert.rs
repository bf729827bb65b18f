//! BERT in candle's tensors, windows end to end: for ELECTRA, and the reference of the network in
//! [`packed`](super::super::packed).
//!
//! It must not know heads. Invariant: a state depends on its own window only.

use candle_core::{Device, Result as CandleResult, Tensor};
use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::positions::Positions;
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_protocol::EngineError;

use super::embeddings::Embeddings;
use super::encoder::BertEncoder;
use super::packed_batch::PackedBatch;
use super::{Encode, Window};

/// Embeddings and layers.
#[derive(Debug)]
pub(super) struct Bert {
    embeddings: Embeddings,
    positions: Positions,
    encoder: BertEncoder,
    device: Device,
}

impl Bert {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        names: &Names,
        config: &ModelConfig,
        device: &Device,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            embeddings: Embeddings::load(weights, names, config, device)?,
            positions: Positions::new(config),
            encoder: BertEncoder::load(weights, names, config, device)?,
            device: device.clone(),
        })
    }
}

impl Encode for Bert {
    fn states(&self, windows: &[&Window]) -> CandleResult<Vec<Tensor>> {
        let batch = PackedBatch::pack(windows, |ids| self.positions.of(ids), &self.device)?;
        let hidden = self.encoder.forward(self.embeddings.forward(&batch)?, &batch.runs)?;
        batch.spans.iter().map(|span| hidden.narrow(0, span.start, span.len())).collect()
    }
}
