//! Networks in candle's tensors: of architectures that our kernels don't compute, and as the reference of those that they do.
//!
//! # Layout
//! - `deberta`, `modernbert`: encoders of candle-transformers; `weights` gives them what they ask for, `padded_batch` their input.
//! - `bert`: BERT and ELECTRA, mirrors of the reference modules: `layers`, `embeddings`, `encoder`, `packed_batch`.
//! - `head`: the heads of all.
//!
//! It must not know text or labels. Threads are those of rayon's global pool and of candle's, whose numbers the engine sets.
//! Invariant: a row of a batch equals the row alone but for the last digits, whatever else is in the batch.

use std::fmt::Debug;

use candle_core::{Device, Result as CandleResult, Tensor};
use ecommerce_ml_checkpoint::config::{Family, ModelConfig, Particulars};
use ecommerce_ml_checkpoint::head::HeadPlan;
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use rayon::prelude::*;

mod bert;
mod deberta;
mod embeddings;
mod encoder;
mod head;
mod layers;
mod modernbert;
mod packed_batch;
mod padded_batch;
mod weights;

use super::network::without_head;
use super::{ForwardOutput, Window};
use bert::Bert;
use deberta::Deberta;
use head::Head;
use modernbert::ModernBert;

/// Tokens of one pass: enough for the matrix kernels to reach their speed, few enough for the cache.
const PASS_TOKENS: std::ops::RangeInclusive<usize> = 128..=1024;

/// Tokens of a window from which on passes go one after the other: attention takes memory for each pair of its tokens.
const LONG_WINDOW: usize = 256;

/// Numbers for each pair of tokens and each head that are there at once while attention is computed: scores, before and behind the
/// mask, probabilities; of DeBERTa those of distances too.
const PER_PAIR: [usize; 2] = [4, 8];

/// An encoder of candle's.
trait Encode: Debug + Send + Sync {
    /// The last states of each window, a tensor of shape `[tokens, hidden]` for each.
    fn states(&self, windows: &[&Window]) -> CandleResult<Vec<Tensor>>;
}

/// What becomes of the states of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooling {
    /// The first one.
    First,
    /// Their mean.
    Mean,
}

/// The network of a model, on its device.
#[derive(Debug)]
pub(super) struct CandleNetwork {
    encoder: Box<dyn Encode>,
    /// What the head reads.
    pooling: Pooling,
    head: Option<Head>,
    /// Bytes that a batch takes at most, besides the weights.
    working_bytes: u64,
}

impl CandleNetwork {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        config: &ModelConfig,
        names: &Names,
        plan: Option<&HeadPlan>,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let mut pooling = Pooling::First;
        let encoder: Box<dyn Encode> = match &config.particulars {
            Particulars::None | Particulars::Electra(_) => {
                Box::new(Bert::load(weights, names, config, device)?)
            }
            Particulars::Deberta(own) => Box::new(Deberta::load(weights, names, config, own)?),
            Particulars::ModernBert(own) => {
                if own.mean_pooling {
                    pooling = Pooling::Mean;
                }
                Box::new(ModernBert::load(weights, names, config, own)?)
            }
        };
        let head = plan.map(|plan| Head::load(weights, names, config, plan, device)).transpose()?;
        Ok(Self { encoder, pooling, head, working_bytes: working_bytes(config) })
    }

    /// Bytes that a batch takes at most, besides the weights.
    pub(super) fn working_bytes(&self) -> u64 {
        self.working_bytes
    }

    /// A row for each window.
    /// `[outputs]` each, or `[hidden]` of an embedding.
    pub(super) fn forward(
        &self,
        windows: &[&Window],
        output: ForwardOutput,
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        match (output, &self.head) {
            (ForwardOutput::Head, Some(head)) => {
                self.passes(windows, |pass| head.forward(&self.pooled(pass, self.pooling)?)?.to_vec2())
            }
            (ForwardOutput::Head, None) => Err(without_head()),
            (ForwardOutput::Embedding, _) => {
                self.passes(windows, |pass| self.pooled(pass, Pooling::Mean)?.to_vec2())
            }
        }
    }

    /// What a head reads, a row for each window.
    /// `[hidden]` each.
    pub(super) fn features(&self, windows: &[&Window]) -> Result<Vec<Vec<f32>>, EngineError> {
        self.passes(windows, |pass| self.pooled(pass, self.pooling)?.to_vec2())
    }

    fn passes(
        &self,
        windows: &[&Window],
        pass: impl Fn(&[&Window]) -> CandleResult<Vec<Vec<f32>>> + Sync,
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let passes = cut(windows);
        let rows: CandleResult<Vec<_>> = if windows.iter().any(|window| window.ids.len() > LONG_WINDOW) {
            passes.iter().map(|windows| pass(windows)).collect()
        } else {
            passes.par_iter().map(|windows| pass(windows)).collect()
        };
        Ok(rows.map_err(internal)?.into_iter().flatten().collect())
    }

    /// Shape `[windows, hidden]`.
    fn pooled(&self, windows: &[&Window], pooling: Pooling) -> CandleResult<Tensor> {
        let states = self.encoder.states(windows)?;
        let pooled = states.iter().map(|states| match pooling {
            Pooling::First => states.get(0),
            Pooling::Mean => states.mean(0),
        });
        Tensor::stack(&pooled.collect::<CandleResult<Vec<_>>>()?, 0)
    }
}

/// Bytes that a batch takes at most: attention of as many passes as there are threads, or of one with a long window.
fn working_bytes(config: &ModelConfig) -> u64 {
    let longest = config.max_length();
    let threads = rayon::current_num_threads().max(1);
    let pairs = |length: usize| (length * length.max(*PASS_TOKENS.end())) as u64;
    let most = (threads as u64 * pairs(longest.min(LONG_WINDOW))).max(pairs(longest));
    let numbers = PER_PAIR[usize::from(config.family == Family::DebertaV2)];
    most * (config.heads * numbers * size_of::<f32>()) as u64
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
    // It may go on with the stack.
    let error = error.to_string();
    let error = error.lines().next().unwrap_or_default();
    EngineError::new(ErrorKind::Internal, format!("computation failed: {error}"))
}
