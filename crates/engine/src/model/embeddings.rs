//! Token ids to the first hidden states. Mirrors `BertEmbeddings`, `RobertaEmbeddings` and DistilBERT's `Embeddings`.
//!
//! It must not know layers or heads. Invariant: every position of a window no longer than
//! [`ModelConfig::max_length`] is a row of the position embeddings.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::{LayerNorm, Module};
use ecommerce_ml_protocol::{EngineError, Family};

use super::batch::Batch;
use super::family::Names;
use super::internal;
use super::layers::layer_norm;
use super::weights::Weights;
use crate::config::ModelConfig;

/// Word, position and token type embeddings, summed and normalised.
#[derive(Debug)]
pub(super) struct Embeddings {
    /// Shape `[vocabulary, hidden]`.
    words: Tensor,
    /// Shape `[positions, hidden]`. The embedding of token type 0, which all tokens of a single text have, is
    /// added to each row.
    positions: Tensor,
    norm: LayerNorm,
    /// The padding token, where positions are counted without it.
    uncounted: Option<u32>,
}

impl Embeddings {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        names: &Names,
        config: &ModelConfig,
    ) -> Result<Self, EngineError> {
        let width = config.hidden_size;
        let words = format!("{}.weight", names.embeddings("word_embeddings"));
        let positions = format!("{}.weight", names.embeddings("position_embeddings"));
        let words = weights.tensor(&words, &[config.vocab_size, width])?;
        let mut positions = weights.tensor(&positions, &[config.positions, width])?;
        if let Some(token_types) = config.token_types {
            let name = format!("{}.weight", names.embeddings("token_type_embeddings"));
            let token_types = weights.tensor(&name, &[token_types, width])?;
            let first = token_types.narrow(0, 0, 1).map_err(internal)?;
            positions = positions.broadcast_add(&first).map_err(internal)?;
        }
        let norm = layer_norm(weights, &names.embeddings("LayerNorm"), width, config.layer_norm_eps)?;
        let uncounted = (config.family == Family::Roberta).then_some(config.pad_token_id);
        Ok(Self { words, positions, norm, uncounted })
    }

    /// Rows of the position embeddings for the tokens of a window.
    ///
    /// RoBERTa begins after the padding token's id and gives that id itself to padding tokens, which a text can
    /// contain by name (`create_position_ids_from_input_ids` in `transformers`).
    pub(super) fn positions_of(&self, ids: &[u32]) -> Vec<u32> {
        let Some(padding) = self.uncounted else { return (0..ids.len() as u32).collect() };
        let mut last = padding;
        let position = |&id: &u32| {
            if id == padding {
                return padding;
            }
            last += 1;
            last
        };
        ids.iter().map(position).collect()
    }

    /// Hidden states, shape `[tokens, hidden]`.
    pub(super) fn forward(&self, batch: &Batch) -> CandleResult<Tensor> {
        let words = self.words.index_select(&batch.ids, 0)?;
        let positions = self.positions.index_select(&batch.positions, 0)?;
        self.norm.forward(&(words + positions)?)
    }
}
