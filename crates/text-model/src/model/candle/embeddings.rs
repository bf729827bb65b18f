//! Token ids to the first hidden states. Mirrors `BertEmbeddings`, `RobertaEmbeddings`, DistilBERT's `Embeddings`, and
//! `ElectraEmbeddings` with what `ElectraModel` does to them.
//!
//! It must not know layers or heads. Invariant: a hidden state depends on its token and position alone.

use candle_core::{Device, Result as CandleResult, Tensor};
use candle_nn::{LayerNorm, Linear, Module};
use ecommerce_ml_checkpoint::config::{ModelConfig, Particulars};
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_protocol::EngineError;

use super::internal;
use super::layers::{layer_norm, linear, tensor};
use super::packed_batch::PackedBatch;

/// Word, position and token type embeddings, summed and normalised, and brought to the width of hidden states.
#[derive(Debug)]
pub(super) struct Embeddings {
    /// Shape `[vocabulary, width]`.
    words: Tensor,
    /// Shape `[positions, width]`. The embedding of token type 0, which all tokens of a single text have, is
    /// added to each row.
    positions: Tensor,
    norm: LayerNorm,
    /// Where the width isn't that of hidden states.
    projection: Option<Linear>,
}

impl Embeddings {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        names: &Names,
        config: &ModelConfig,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let width = match &config.particulars {
            Particulars::Electra(own) => own.embedding_size,
            Particulars::None | Particulars::Deberta(_) | Particulars::ModernBert(_) => config.hidden_size,
        };
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
        let project = |weights: &mut Weights<'_>| {
            linear(weights, &names.embeddings_project(), width, config.hidden_size, device)
        };
        let projection = (width != config.hidden_size).then(|| project(weights)).transpose()?;
        Ok(Self { words, positions, norm, projection })
    }

    /// Hidden states, shape `[tokens, hidden]`.
    pub(super) fn forward(&self, batch: &PackedBatch) -> CandleResult<Tensor> {
        let words = self.words.index_select(&batch.ids, 0)?;
        let positions = self.positions.index_select(&batch.positions, 0)?;
        let embedded = self.norm.forward(&(words + positions)?)?;
        self.projection.as_ref().map_or(Ok(embedded.clone()), |projection| projection.forward(&embedded))
    }
}
