//! ModernBERT: rotated positions, most layers looking at neighbours only.
//!
//! It must not know how that is computed. Invariant: as of [`ModelConfig`]; what candle-transformers can't compute is refused.

use std::collections::BTreeMap;

use ecommerce_ml_protocol::EngineError;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Activation, Family, MAX_HIDDEN_SIZE, MAX_INTERMEDIATE_SIZE, MAX_LAYERS, MAX_POSITIONS, MAX_VOCABULARY,
    ModelConfig, Particulars, RawConfig, activation, damaged, parse_json, size, unsupported,
};

/// Most tokens of a window, though the model reads 8192: attention keeps a number for each pair of tokens and each head, which
/// would be 3 GB several times over.
pub(super) const LONGEST: usize = 1024;

/// Where layers of all kinds look.
const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// What ModernBERT has that BERT hasn't.
#[derive(Debug, Clone, PartialEq)]
pub struct ModernBertConfig {
    /// Every so many layers, from the first on, one looks at all tokens.
    pub global_every: usize,
    /// Tokens that the others look at, half of them to each side.
    pub local_attention: usize,
    /// Bases of the rotations: of layers that look at all tokens, and of the others.
    pub thetas: (f64, f64),
    /// Whether the head reads the mean of all tokens rather than the first one.
    pub mean_pooling: bool,
}

#[derive(Deserialize)]
struct Raw {
    norm_eps: Option<f64>,
    #[serde(default)]
    norm_bias: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    classifier_bias: bool,
    hidden_activation: Option<String>,
    classifier_activation: Option<String>,
    classifier_pooling: Option<String>,
    local_attention: Option<u64>,
    // Since version 5 of `transformers`
    layer_types: Option<Vec<String>>,
    rope_parameters: Option<BTreeMap<String, Option<Rope>>>,
    // Before
    global_attn_every_n_layers: Option<u64>,
    global_rope_theta: Option<f64>,
    #[serde(default, deserialize_with = "given")]
    local_rope_theta: Option<Option<f64>>,
    rope_scaling: Option<Value>,
}

#[derive(Deserialize)]
struct Rope {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
}

/// Tells a null from nothing.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<f64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The configuration in `json`, of which `raw` holds the keys that others have too.
pub(super) fn read(raw: &RawConfig, json: &[u8]) -> Result<ModelConfig, EngineError> {
    let own: Raw = parse_json("config.json", json)?;
    own.refuse_variants()?;
    let (hidden_size, heads) = (
        size("hidden_size", raw.hidden_size, MAX_HIDDEN_SIZE)?,
        size("num_attention_heads", raw.num_attention_heads, MAX_HIDDEN_SIZE)?,
    );
    if !hidden_size.is_multiple_of(2 * heads) {
        return Err(damaged(format!(
            "config.json has a hidden size of {hidden_size}, not an even number for each of its {heads} attention heads"
        )));
    }
    let layers = size("num_hidden_layers", raw.num_hidden_layers, MAX_LAYERS)?;
    Ok(ModelConfig {
        family: Family::ModernBert,
        vocab_size: size("vocab_size", raw.vocab_size, MAX_VOCABULARY)?,
        hidden_size,
        layers,
        heads,
        intermediate_size: size("intermediate_size", raw.intermediate_size, MAX_INTERMEDIATE_SIZE)?,
        activation: Activation::GeluErf,
        positions: size("max_position_embeddings", raw.max_position_embeddings, MAX_POSITIONS)?,
        token_types: None,
        layer_norm_eps: own.norm_eps.unwrap_or(1e-5),
        pad_token_id: raw.pad_token_id.unwrap_or(0),
        head: raw.head()?,
        particulars: Particulars::ModernBert(ModernBertConfig {
            global_every: own.global_every(layers)?,
            local_attention: size("local_attention", own.local_attention.or(Some(128)), MAX_POSITIONS)?,
            thetas: own.thetas()?,
            mean_pooling: own.is_pooled_by_mean()?,
        }),
    })
}

impl Raw {
    fn refuse_variants(&self) -> Result<(), EngineError> {
        let biases = [self.norm_bias, self.attention_bias, self.mlp_bias, self.classifier_bias];
        if biases.contains(&true) {
            return Err(unsupported("a ModernBERT with biases is not supported"));
        }
        for name in [&self.hidden_activation, &self.classifier_activation] {
            if activation(name.as_deref())? != Activation::GeluErf {
                let name = name.as_deref().unwrap_or_default();
                return Err(unsupported(format!("activation \"{name}\" of a ModernBERT is not supported")));
            }
        }
        if self.rope_scaling.as_ref().is_some_and(|scaling| !scaling.is_null()) {
            return Err(unsupported("a ModernBERT with scaled positions is not supported"));
        }
        Ok(())
    }

    fn is_pooled_by_mean(&self) -> Result<bool, EngineError> {
        match self.classifier_pooling.as_deref() {
            None | Some("cls") => Ok(false),
            Some("mean") => Ok(true),
            Some(other) => Err(unsupported(format!("classifier pooling \"{other}\" is not supported"))),
        }
    }

    /// Every so many of the layers one looks at all tokens.
    fn global_every(&self, layers: usize) -> Result<usize, EngineError> {
        let Some(types) = &self.layer_types else {
            return size(
                "global_attn_every_n_layers",
                self.global_attn_every_n_layers.or(Some(3)),
                MAX_LAYERS,
            );
        };
        if types.len() != layers {
            return Err(damaged(format!("config.json has {} layer_types of {layers} layers", types.len())));
        }
        let of = |every: usize, layer: usize| if layer.is_multiple_of(every) { FULL } else { SLIDING };
        let is_so = |every: &usize| types.iter().enumerate().all(|(layer, name)| name == of(*every, layer));
        (1..=layers)
            .find(is_so)
            .ok_or_else(|| unsupported("these layer_types of a ModernBERT are not supported"))
    }

    fn thetas(&self) -> Result<(f64, f64), EngineError> {
        let theta = |kind: &str, old: Option<f64>, default: f64| {
            let rope = self.rope_parameters.as_ref().and_then(|all| all.get(kind)).and_then(Option::as_ref);
            if let Some(other) =
                rope.and_then(|rope| rope.rope_type.as_deref()).filter(|name| *name != "default")
            {
                return Err(unsupported(format!("rope type \"{other}\" is not supported")));
            }
            let theta = rope.and_then(|rope| rope.rope_theta).or(old).unwrap_or(default);
            if theta.is_finite() && theta >= 1.0 {
                return Ok(theta);
            }
            Err(damaged(format!("config.json has a rope_theta of {theta}, below 1")))
        };
        let global = theta(FULL, self.global_rope_theta, 160_000.0)?;
        // An explicit null means the other one.
        let local = self.local_rope_theta.map(|local| local.unwrap_or(global));
        Ok((global, theta(SLIDING, local, 10_000.0)?))
    }
}
