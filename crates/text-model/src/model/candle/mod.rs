//! The network in candle's tensors: for devices that candle computes on, and the reference of the network in
//! [`packed`](super::packed).
//!
//! # Layout
//! - `layers`, `embeddings`, `encoder`, `head`: the parts of the network, mirrors of the reference modules.
//! - `batch`: windows packed end to end for one pass.
//!
//! It must not know text or labels.
//! Invariant: a row of a batch equals the row alone, whatever else is in the batch.

use candle_core::{Device, Result as CandleResult, Tensor};
use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::head::HeadPlan;
use ecommerce_ml_checkpoint::positions::Positions;
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use rayon::prelude::*;

mod batch;
mod embeddings;
mod encoder;
mod head;
mod layers;

use super::network::without_head;
use super::{Output, Window};
use batch::Batch;
use embeddings::Embeddings;
use encoder::Encoder;
use head::Head;

/// Tokens of one pass: enough for the matrix kernels to reach their speed, few enough for the cache.
const PASS_TOKENS: std::ops::RangeInclusive<usize> = 128..=1024;

/// The network of a model, on its device.
#[derive(Debug)]
pub(super) struct CandleNetwork {
    embeddings: Embeddings,
    positions: Positions,
    encoder: Encoder,
    head: Option<Head>,
    device: Device,
}

impl CandleNetwork {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        config: &ModelConfig,
        names: &Names,
        plan: Option<&HeadPlan>,
        device: &Device,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            embeddings: Embeddings::load(weights, names, config, device)?,
            positions: Positions::new(config),
            encoder: Encoder::load(weights, names, config, device)?,
            head: plan.map(|plan| Head::load(weights, names, config, plan, device)).transpose()?,
            device: device.clone(),
        })
    }

    /// A row for each window.
    pub(super) fn forward(&self, windows: &[&Window], output: Output) -> Result<Vec<Vec<f32>>, EngineError> {
        let passes = cut(windows);
        let rows: Vec<_> = passes.par_iter().map(|pass| self.pass(pass, output)).collect::<Result<_, _>>()?;
        Ok(rows.into_iter().flatten().collect())
    }

    fn pass(&self, windows: &[&Window], output: Output) -> Result<Vec<Vec<f32>>, EngineError> {
        let rows = match (output, &self.head) {
            (Output::Head, Some(head)) => self.classify(windows, head),
            (Output::Embedding, _) => self.embed(windows),
            (Output::Head, None) => return Err(without_head()),
        };
        rows.map_err(internal)
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
        Batch::pack(windows, |ids| self.positions.of(ids), &self.device)
    }

    fn encode(&self, batch: &Batch) -> CandleResult<Tensor> {
        self.encoder.forward(self.embeddings.forward(batch)?, &batch.runs)
    }
}

/// Cuts windows into passes of about equal size, at least one for each thread if there is enough to do.
fn cut<'a, 'w>(windows: &'a [&'w Window]) -> Vec<&'a [&'w Window]> {
    let tokens: usize = windows.iter().map(|window| window.ids.len()).sum();
    let share = tokens.div_ceil(rayon::current_num_threads().max(1));
    let target = share.clamp(*PASS_TOKENS.start(), *PASS_TOKENS.end());
    let mut filled = 0;
    let same_pass = |left: &&Window, _: &&Window| {
        filled += left.ids.len();
        let room = filled < target;
        filled = if room { filled } else { 0 };
        room
    };
    windows.chunk_by(same_pass).collect()
}

/// A failure of the tensor library, which no input should be able to cause.
fn internal(error: candle_core::Error) -> EngineError {
    EngineError::new(ErrorKind::Internal, format!("computation failed: {error}"))
}
