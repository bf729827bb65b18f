//! The transformer layers. Mirrors `BertEncoder`, which `RobertaEncoder` and DistilBERT's `Transformer` equal.
//!
//! It must not know token ids or heads. Invariant: no token sees a token of another window.

use candle_core::{Device, Result as CandleResult, Tensor};
use candle_nn::{LayerNorm, Linear, Module};
use ecommerce_ml_checkpoint::config::{Activation, ModelConfig};
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_protocol::EngineError;

use super::internal;
use super::layers::{activate, layer_norm, linear, stacked};
use super::packed_batch::Run;

/// Most attention scores of one head group computed at once (64 MiB of them), however long a window is.
const MAX_SCORES: usize = 16 << 20;

/// The stack of layers.
#[derive(Debug)]
pub(super) struct BertEncoder {
    layers: Vec<Layer>,
}

impl BertEncoder {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        names: &Names,
        config: &ModelConfig,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let layers = (0..config.layers).map(|index| Layer::load(weights, names, index, config, device));
        Ok(Self { layers: layers.collect::<Result<_, _>>()? })
    }

    /// Last hidden states from the first, both of shape `[tokens, hidden]`.
    pub(super) fn forward(&self, hidden: Tensor, runs: &[Run]) -> CandleResult<Tensor> {
        self.layers.iter().try_fold(hidden, |hidden, layer| layer.forward(&hidden, runs))
    }
}

/// Attention and feed-forward, each added to its input and normalised.
#[derive(Debug)]
struct Layer {
    attention: Attention,
    attention_norm: LayerNorm,
    intermediate: Linear,
    activation: Activation,
    output: Linear,
    output_norm: LayerNorm,
}

impl Layer {
    fn load(
        weights: &mut Weights<'_>,
        names: &Names,
        index: usize,
        config: &ModelConfig,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let layer = names.layer(index);
        let modules = names.in_layer();
        let (width, inner, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let name = |module: &str| format!("{layer}.{module}");
        Ok(Self {
            attention: Attention::load(weights, names, index, config, device)?,
            attention_norm: layer_norm(weights, &name(modules.attention_norm), width, eps, device)?,
            intermediate: linear(weights, &name(modules.intermediate), width, inner, device)?,
            activation: config.activation,
            output: linear(weights, &name(modules.output), inner, width, device)?,
            output_norm: layer_norm(weights, &name(modules.output_norm), width, eps, device)?,
        })
    }

    fn forward(&self, hidden: &Tensor, runs: &[Run]) -> CandleResult<Tensor> {
        let attended = self.attention.forward(hidden, runs)?;
        let hidden = self.attention_norm.forward(&(attended + hidden)?)?;
        let inner = activate(self.activation, &self.intermediate.forward(&hidden)?)?;
        self.output_norm.forward(&(self.output.forward(&inner)? + hidden)?)
    }
}

/// Multi-head self-attention within each window.
#[derive(Debug)]
struct Attention {
    /// Queries, keys and values side by side. The queries are scaled by the root of a head's width already.
    projections: Linear,
    output: Linear,
    heads: usize,
}

impl Attention {
    fn load(
        weights: &mut Weights<'_>,
        names: &Names,
        index: usize,
        config: &ModelConfig,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let layer = names.layer(index);
        let modules = names.in_layer();
        let width = config.hidden_size;
        let mut load = |module: &str| linear(weights, &format!("{layer}.{module}"), width, width, device);
        let query = scaled(&load(modules.query)?, 1.0 / ((width / config.heads) as f64).sqrt())?;
        let projections = stacked(&[query, load(modules.key)?, load(modules.value)?])?;
        Ok(Self { projections, output: load(modules.attention_output)?, heads: config.heads })
    }

    fn forward(&self, hidden: &Tensor, runs: &[Run]) -> CandleResult<Tensor> {
        let projected = self.projections.forward(hidden)?;
        let attend = |run: &Run| self.attend(&projected.narrow(0, run.start, run.tokens())?, run);
        let contexts = runs.iter().map(attend).collect::<CandleResult<Vec<_>>>()?;
        self.output.forward(&Tensor::cat(&contexts, 0)?)
    }

    /// Contexts of one run, shape `[tokens, hidden]`, from its projections of shape `[tokens, 3 hidden]`.
    fn attend(&self, projected: &Tensor, run: &Run) -> CandleResult<Tensor> {
        let by_head = projected.reshape((run.windows, run.length, 3, self.heads, ()))?;
        // Queries, keys and values of shape [windows, heads, length, width of a head].
        let by_head = by_head.permute((2, 0, 3, 1, 4))?.contiguous()?;
        let (query, key, value) = (by_head.get(0)?, by_head.get(1)?, by_head.get(2)?);
        let context = self.weigh(&query, &key.t()?, &value, run)?;
        context.transpose(1, 2)?.reshape((run.tokens(), ()))
    }

    /// `softmax(query keyᵀ) value`, by blocks of queries where all scores at once would take too much memory.
    fn weigh(&self, query: &Tensor, key: &Tensor, value: &Tensor, run: &Run) -> CandleResult<Tensor> {
        let per_query = run.windows * self.heads * run.length;
        let block = (MAX_SCORES / per_query.max(1)).max(1);
        let attend = |query: &Tensor| candle_nn::ops::softmax_last_dim(&query.matmul(key)?)?.matmul(value);
        if block >= run.length {
            return attend(query);
        }
        let blocks = (0..run.length).step_by(block);
        let block_at = |first| query.narrow(2, first, block.min(run.length - first))?.contiguous();
        let blocks = blocks.map(|first| attend(&block_at(first)?));
        Tensor::cat(&blocks.collect::<CandleResult<Vec<_>>>()?, 2)
    }
}

fn scaled(layer: &Linear, factor: f64) -> Result<Linear, EngineError> {
    let scale = |tensor: &Tensor| (tensor * factor).map_err(internal);
    Ok(Linear::new(scale(layer.weight())?, layer.bias().map(scale).transpose()?))
}
