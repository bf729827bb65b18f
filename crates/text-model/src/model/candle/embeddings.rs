//! Token ids to the first hidden states. Mirrors `BertEmbeddings`, `RobertaEmbeddings` and DistilBERT's `Embeddings`.
//!
//! It must not know layers or heads. Invariant: a hidden state depends on its token and position alone.

use candle_core::{Device, Result as CandleResult, Tensor};
use candle_nn::{LayerNorm, Module};
use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_protocol::EngineError;

use super::batch::Batch;
use super::internal;
use super::layers::{layer_norm, tensor};

/// Word, position and token type embeddings, summed and normalised.
#[derive(Debug)]
pub(super) struct Embeddings {
    /// Shape `[vocabulary, hidden]`.
    words: Tensor,
    /// Shape `[positions, hidden]`. The embedding of token type 0, which all tokens of a single text have, is
    /// added to each row.
    positions: Tensor,
    norm: LayerNorm,
}

impl Embeddings {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        names: &Names,
        config: &ModelConfig,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let width = config.hidden_size;
        let words = format!("{}.weight", names.embeddings("word_embeddings"));
        let positions = format!("{}.weight", names.embeddings("position_embeddings"));
        let words = tensor(weights, &words, &[config.vocab_size, width], device)?;
        let mut positions = tensor(weights, &positions, &[config.positions, width], device)?;
        if let Some(token_types) = config.token_types {
            let name = format!("{}.weight", names.embeddings("token_type_embeddings"));
            let token_types = tensor(weights, &name, &[token_types, width], device)?;
            let first = token_types.narrow(0, 0, 1).map_err(internal)?;
            positions = positions.broadcast_add(&first).map_err(internal)?;
        }
        let norm = layer_norm(weights, &names.embeddings("LayerNorm"), width, config.layer_norm_eps, device)?;
        Ok(Self { words, positions, norm })
    }

    /// Hidden states, shape `[tokens, hidden]`.
    pub(super) fn forward(&self, batch: &Batch) -> CandleResult<Tensor> {
        let words = self.words.index_select(&batch.ids, 0)?;
        let positions = self.positions.index_select(&batch.positions, 0)?;
        self.norm.forward(&(words + positions)?)
    }
}
