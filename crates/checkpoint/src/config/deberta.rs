//! DeBERTa, second and third version: BERT whose attention looks at how far tokens are apart.
//!
//! It must not know how that is computed. Invariant: as of [`ModelConfig`]; what candle-transformers can't compute is refused.

use ecommerce_ml_protocol::EngineError;
use serde::Deserialize;

use super::{
    Activation, Family, MAX_HIDDEN_SIZE, MAX_INTERMEDIATE_SIZE, MAX_LAYERS, MAX_POSITIONS, MAX_TOKEN_TYPES,
    MAX_VOCABULARY, ModelConfig, Particulars, RawConfig, activation, damaged, parse_json, size, unsupported,
};

/// What DeBERTa has that BERT hasn't.
#[derive(Debug, Clone, PartialEq)]
pub struct DebertaConfig {
    /// Width of the embeddings, which a dense layer brings to that of the hidden states where it is another.
    pub embedding_size: usize,
    /// Whether there are embeddings of positions too (`position_biased_input`).
    pub absolute_positions: bool,
    /// How attention looks at distances, if it does.
    pub relative: Option<RelativePositions>,
    /// Terms of attention with distances: of content to position, and of position to content. They scale all scores, whether
    /// distances are looked at or not.
    pub terms: (bool, bool),
    /// Between the two dense layers of the head.
    pub pooler_activation: Activation,
}

/// How attention looks at distances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelativePositions {
    /// Distances from this one on are the same.
    pub furthest: usize,
    /// How many distances there are to each side, the far ones being taken together; `None` for each by itself.
    pub buckets: Option<usize>,
    /// Whether their embeddings are normalised.
    pub normalised: bool,
    /// Whether they go through the projections of words rather than through their own.
    pub shared_projections: bool,
}

#[derive(Deserialize)]
struct Raw {
    embedding_size: Option<u64>,
    attention_head_size: Option<u64>,
    conv_kernel_size: Option<u64>,
    position_biased_input: Option<bool>,
    relative_attention: Option<bool>,
    max_relative_positions: Option<i64>,
    position_buckets: Option<i64>,
    norm_rel_ebd: Option<String>,
    share_att_key: Option<bool>,
    pos_att_type: Option<Terms>,
    pooler_hidden_act: Option<String>,
    pooler_hidden_size: Option<u64>,
}

/// `"p2c|c2p"` or `["p2c", "c2p"]`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Terms {
    One(String),
    Many(Vec<String>),
}

impl Terms {
    fn contains(&self, term: &str) -> bool {
        match self {
            Self::One(terms) => terms.to_lowercase().split('|').any(|one| one.trim() == term),
            Self::Many(terms) => terms.iter().any(|one| one == term),
        }
    }
}

/// The configuration in `json`, of which `raw` holds the keys that others have too.
pub(super) fn read(raw: &RawConfig, json: &[u8]) -> Result<ModelConfig, EngineError> {
    let own: Raw = parse_json("config.json", json)?;
    let hidden_size = size("hidden_size", raw.hidden_size, MAX_HIDDEN_SIZE)?;
    let positions = size("max_position_embeddings", raw.max_position_embeddings, MAX_POSITIONS)?;
    let heads = size("num_attention_heads", raw.num_attention_heads, MAX_HIDDEN_SIZE)?;
    let token_types = raw.type_vocab_size.filter(|&types| types > 0);
    let token_types = token_types.map(|types| size("type_vocab_size", Some(types), MAX_TOKEN_TYPES));
    let particulars = own.particulars(hidden_size, positions)?;
    if token_types.is_some() && particulars.embedding_size != hidden_size {
        return Err(unsupported(
            "a DeBERTa with token types and embeddings of another width is not supported",
        ));
    }
    if own.attention_head_size.is_some_and(|size| size.checked_mul(heads as u64) != Some(hidden_size as u64))
    {
        return Err(unsupported("a DeBERTa with attention of another width is not supported"));
    }
    Ok(ModelConfig {
        family: Family::DebertaV2,
        vocab_size: size("vocab_size", raw.vocab_size, MAX_VOCABULARY)?,
        hidden_size,
        layers: size("num_hidden_layers", raw.num_hidden_layers, MAX_LAYERS)?,
        heads,
        intermediate_size: size("intermediate_size", raw.intermediate_size, MAX_INTERMEDIATE_SIZE)?,
        activation: activation(raw.hidden_act.as_deref())?,
        positions,
        token_types: token_types.transpose()?,
        layer_norm_eps: raw.layer_norm_eps.unwrap_or(1e-7),
        pad_token_id: raw.pad_token_id.unwrap_or(0),
        head: raw.head()?,
        particulars: Particulars::Deberta(particulars),
    })
}

impl Raw {
    fn particulars(&self, hidden_size: usize, positions: usize) -> Result<DebertaConfig, EngineError> {
        if self.conv_kernel_size.is_some_and(|size| size > 0) {
            return Err(unsupported("a DeBERTa with a convolution is not supported")
                .with_detail("DeBERTa v2 of the sizes xlarge and xxlarge has one; none of v3 has."));
        }
        if self.pooler_hidden_size.is_some_and(|size| size != hidden_size as u64) {
            return Err(unsupported("a DeBERTa with a head of another width is not supported"));
        }
        let embedding_size = self.embedding_size.or(Some(hidden_size as u64));
        let term = |name: &str| self.pos_att_type.as_ref().is_some_and(|terms| terms.contains(name));
        let relative = self.relative_attention.unwrap_or(false);
        Ok(DebertaConfig {
            embedding_size: size("embedding_size", embedding_size, MAX_HIDDEN_SIZE)?,
            absolute_positions: self.position_biased_input.unwrap_or(true),
            relative: relative.then(|| self.relative(positions)).transpose()?,
            terms: (term("c2p"), term("p2c")),
            pooler_activation: activation(self.pooler_hidden_act.as_deref())?,
        })
    }

    fn relative(&self, positions: usize) -> Result<RelativePositions, EngineError> {
        let furthest = match self.max_relative_positions {
            Some(furthest @ 1..) => {
                size("max_relative_positions", u64::try_from(furthest).ok(), MAX_POSITIONS)?
            }
            _ => positions,
        };
        let buckets = match self.position_buckets {
            Some(1) => return Err(damaged("config.json has position_buckets of 1, fewer than 2")),
            Some(buckets @ 2..) => {
                Some(size("position_buckets", u64::try_from(buckets).ok(), MAX_POSITIONS)?)
            }
            _ => None,
        };
        let names = self.norm_rel_ebd.as_deref().unwrap_or_default().to_lowercase();
        Ok(RelativePositions {
            furthest,
            buckets,
            normalised: names.split('|').any(|name| name.trim() == "layer_norm"),
            shared_projections: self.share_att_key.unwrap_or(false),
        })
    }
}
