//! ELECTRA: BERT with embeddings of a width of their own, and another head.
//!
//! Invariant: as of [`ModelConfig`].

use ecommerce_ml_protocol::EngineError;
use serde::Deserialize;

use super::{Family, MAX_HIDDEN_SIZE, ModelConfig, Particulars, RawConfig, parse_json, size};

/// What ELECTRA has that BERT hasn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElectraConfig {
    /// Width of the embeddings, which a dense layer brings to that of the hidden states where it is another.
    pub embedding_size: usize,
}

#[derive(Deserialize)]
struct Raw {
    embedding_size: Option<u64>,
}

/// The configuration in `json`, of which `raw` holds the keys that others have too.
pub(super) fn read(raw: &RawConfig, json: &[u8]) -> Result<ModelConfig, EngineError> {
    let own: Raw = parse_json("config.json", json)?;
    let embedding_size = size("embedding_size", own.embedding_size.or(Some(128)), MAX_HIDDEN_SIZE)?;
    Ok(ModelConfig {
        particulars: Particulars::Electra(ElectraConfig { embedding_size }),
        ..raw.bert(Family::Electra)?
    })
}
