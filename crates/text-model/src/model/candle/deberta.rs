//! DeBERTa v2 and v3, as candle-transformers computes them.
//!
//! It must not know heads. Invariant: only configurations that [`DebertaConfig`] admits reach candle, which has gaps where others
//! would be.

use std::fmt;

use candle_core::{Result as CandleResult, Tensor};
use candle_transformers::models::debertav2::{Config, DebertaV2Model, HiddenAct};
use ecommerce_ml_checkpoint::config::{Activation, DebertaConfig, ModelConfig};
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_protocol::EngineError;

use super::padded_batch::{PaddedBatch, through};
use super::weights::{Naming, load};
use super::{Encode, Window};

/// The encoder.
pub(super) struct Deberta {
    model: DebertaV2Model,
    /// Whether windows have to go through one at a time: candle adds embeddings of positions to a single one only.
    alone: bool,
}

impl fmt::Debug for Deberta {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Deberta")
    }
}

impl Deberta {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        names: &Names,
        config: &ModelConfig,
        own: &DebertaConfig,
    ) -> Result<Self, EngineError> {
        let naming = Naming { theirs: "", ours: names.prefix(), absent: "" };
        let config = theirs(config, own);
        let model = load(weights, naming, |weights| DebertaV2Model::load(weights, &config))?;
        Ok(Self { model, alone: own.absolute_positions })
    }
}

impl Encode for Deberta {
    fn states(&self, windows: &[&Window]) -> CandleResult<Vec<Tensor>> {
        let encode = |input: &PaddedBatch| self.model.forward(&input.ids, None, Some(input.mask.clone()));
        let together = if self.alone { 1 } else { windows.len().max(1) };
        let states = windows.chunks(together).map(|some| through(some, &self.model.device, encode));
        Ok(states.collect::<CandleResult<Vec<_>>>()?.concat())
    }
}

/// The configuration in candle's terms.
fn theirs(config: &ModelConfig, own: &DebertaConfig) -> Config {
    let relative = own.relative.as_ref();
    let terms = [("c2p", own.terms.0), ("p2c", own.terms.1)];
    // All are capped far below `isize::MAX`.
    let number = |number: usize| number as isize;
    Config {
        vocab_size: config.vocab_size,
        hidden_size: config.hidden_size,
        num_hidden_layers: config.layers,
        num_attention_heads: config.heads,
        intermediate_size: config.intermediate_size,
        hidden_act: activation(config.activation),
        hidden_dropout_prob: 0.0,
        attention_probs_dropout_prob: 0.0,
        max_position_embeddings: config.positions,
        type_vocab_size: config.token_types.unwrap_or(0),
        initializer_range: 0.0,
        layer_norm_eps: config.layer_norm_eps,
        relative_attention: relative.is_some(),
        max_relative_positions: relative.map_or(-1, |relative| number(relative.furthest)),
        pad_token_id: None,
        position_biased_input: own.absolute_positions,
        pos_att_type: terms.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| (*name).to_owned()).collect(),
        position_buckets: relative.and_then(|relative| relative.buckets).map(number),
        share_att_key: relative.map(|relative| relative.shared_projections),
        attention_head_size: None,
        embedding_size: Some(own.embedding_size),
        norm_rel_ebd: relative.filter(|relative| relative.normalised).map(|_| "layer_norm".to_owned()),
        conv_kernel_size: None,
        conv_groups: None,
        conv_act: None,
        id2label: None,
        label2id: None,
        pooler_dropout: None,
        pooler_hidden_act: None,
        pooler_hidden_size: None,
        cls_dropout: None,
    }
}

fn activation(named: Activation) -> HiddenAct {
    match named {
        Activation::GeluErf => HiddenAct::Gelu,
        Activation::GeluTanh => HiddenAct::GeluApproximate,
        Activation::Relu => HiddenAct::Relu,
    }
}
