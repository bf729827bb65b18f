//! Embeddings, encoder and head: windows in, rows of numbers out.
//!
//! It must not know text or labels. Invariant: every number that comes out is finite.

use candle_core::{Device as CandleDevice, Result as CandleResult, Tensor};
use ecommerce_ml_protocol::{EngineError, ErrorKind};

use super::batch::Batch;
use super::embeddings::Embeddings;
use super::encoder::Encoder;
use super::family::Names;
use super::head::Head;
use super::weights::Weights;
use super::{Output, Window, internal};
use crate::config::ModelConfig;
use crate::device::Device;

/// The network of a model, on its device.
#[derive(Debug)]
pub(super) struct Network {
    embeddings: Embeddings,
    encoder: Encoder,
    pub(super) head: Option<Head>,
    device: CandleDevice,
}

impl Network {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        config: &ModelConfig,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let names = Names::detect(config.family, weights);
        Ok(Self {
            embeddings: Embeddings::load(weights, &names, config)?,
            encoder: Encoder::load(weights, &names, config)?,
            head: Head::load(weights, &names, config)?,
            device: device.candle().clone(),
        })
    }

    /// A row for each window, in one pass.
    pub(super) fn pass(&self, windows: &[&Window], output: Output) -> Result<Vec<Vec<f32>>, EngineError> {
        let rows = match (output, &self.head) {
            (Output::Embedding, _) => self.embed(windows),
            (Output::Head, Some(head)) => self.classify(windows, head),
            (Output::Head, None) => {
                return Err(EngineError::new(
                    ErrorKind::InvalidRequest,
                    "the model has no head, it can only embed",
                ));
            }
        };
        finite(rows.map_err(internal)?)
    }

    fn classify(&self, windows: &[&Window], head: &Head) -> CandleResult<Vec<Vec<f32>>> {
        let batch = self.pack(windows)?;
        let first = self.encode(&batch)?.index_select(&batch.first_rows()?, 0)?;
        head.forward(&first)?.to_vec2()
    }

    fn embed(&self, windows: &[&Window]) -> CandleResult<Vec<Vec<f32>>> {
        let batch = self.pack(windows)?;
        let hidden = self.encode(&batch)?;
        let mean = |span: &std::ops::Range<usize>| hidden.narrow(0, span.start, span.len())?.mean(0);
        let means = batch.spans.iter().map(mean).collect::<CandleResult<Vec<_>>>()?;
        Tensor::stack(&means, 0)?.to_vec2()
    }

    fn pack(&self, windows: &[&Window]) -> CandleResult<Batch> {
        Batch::pack(windows, |ids| self.embeddings.positions_of(ids), &self.device)
    }

    fn encode(&self, batch: &Batch) -> CandleResult<Tensor> {
        self.encoder.forward(self.embeddings.forward(batch)?, &batch.runs)
    }
}

/// Finite weights can still overflow on the way.
fn finite(rows: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, EngineError> {
    if rows.iter().flatten().all(|value| value.is_finite()) {
        return Ok(rows);
    }
    Err(EngineError::new(ErrorKind::DamagedModel, "the model computes values that are not finite"))
}
