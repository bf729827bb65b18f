//! ModernBERT, as candle-transformers computes it.
//!
//! It must not know heads. Invariant: only configurations that [`ModernBertConfig`] admits reach candle, which doesn't look at the
//! keys of others.

use std::fmt;

use candle_core::{Device, Result as CandleResult, Tensor};
use candle_transformers::models::modernbert::{Config, ModernBert as Model};
use ecommerce_ml_checkpoint::config::{ModelConfig, ModernBertConfig};
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_protocol::EngineError;

use super::weights::{Naming, load};
use super::{Encode, Window, padded_batch};

/// The encoder.
pub(super) struct ModernBert(Model);

impl fmt::Debug for ModernBert {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ModernBert")
    }
}

impl ModernBert {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        names: &Names,
        config: &ModelConfig,
        own: &ModernBertConfig,
    ) -> Result<Self, EngineError> {
        // The first layer has no layer norm before attention; candle looks whether it has.
        let naming = Naming { theirs: "model.", ours: names.prefix(), absent: "layers.0.attn_norm.weight" };
        let config = theirs(config, own);
        load(weights, naming, |weights| Model::load(weights, &config)).map(Self)
    }
}

impl Encode for ModernBert {
    fn states(&self, windows: &[&Window]) -> CandleResult<Vec<Tensor>> {
        padded_batch::through(windows, &Device::Cpu, |input| self.0.forward(&input.ids, &input.mask))
    }
}

/// The configuration in candle's terms.
fn theirs(config: &ModelConfig, own: &ModernBertConfig) -> Config {
    Config {
        vocab_size: config.vocab_size,
        hidden_size: config.hidden_size,
        num_hidden_layers: config.layers,
        num_attention_heads: config.heads,
        intermediate_size: config.intermediate_size,
        // Rotations are computed for so many.
        max_position_embeddings: config.max_length(),
        layer_norm_eps: config.layer_norm_eps,
        pad_token_id: config.pad_token_id,
        global_attn_every_n_layers: own.global_every,
        global_rope_theta: own.thetas.0,
        local_attention: own.local_attention,
        local_rope_theta: own.thetas.1,
        classifier_config: None,
    }
}
