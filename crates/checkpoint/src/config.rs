//! `config.json` and `tokenizer_config.json`, read under the defaults of `transformers` and validated.
//!
//! It must not know weights or tokenizers, only what the two files claim about them.
//! Invariant: every size in a [`ModelConfig`] is positive and below a cap, so that products of two never overflow.

use std::collections::BTreeMap;

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use serde::Deserialize;
use serde_json::Value;

use crate::files::ModelFiles;

mod dropout;
mod tokenizer_config;

pub use dropout::DropoutShares;
pub use tokenizer_config::{SpecialTokens, TokenizerConfig};

const MAX_HIDDEN_SIZE: u64 = 16_384;
const MAX_LAYERS: u64 = 256;
const MAX_VOCABULARY: u64 = 2_000_000;
const MAX_INTERMEDIATE_SIZE: u64 = 65_536;
const MAX_POSITIONS: u64 = 131_072;
const MAX_TOKEN_TYPES: u64 = 1_024;

/// Architecture of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// BERT and MiniLM.
    Bert,
    /// DistilBERT.
    DistilBert,
    /// RoBERTa and XLM-RoBERTa.
    Roberta,
}

/// Most outputs of a head.
pub const MAX_LABELS: usize = 65_536;

/// DistilBERT's layer norms use a constant that its configuration doesn't name.
const DISTILBERT_LAYER_NORM_EPS: f64 = 1e-12;

/// `config.json`, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Architecture.
    pub family: Family,
    /// Rows of the word embeddings.
    pub vocab_size: usize,
    /// Width of the hidden states; a multiple of `heads`.
    pub hidden_size: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Attention heads of each layer.
    pub heads: usize,
    /// Width between the two dense layers of the feed-forward part.
    pub intermediate_size: usize,
    /// Between these two dense layers.
    pub activation: Activation,
    /// Rows of the position embeddings.
    pub positions: usize,
    /// Rows of the token type embeddings; DistilBERT has none.
    pub token_types: Option<usize>,
    /// Added to the variance in layer norms.
    pub layer_norm_eps: f64,
    /// The token that pads; RoBERTa counts positions from the one after it.
    pub pad_token_id: u32,
    /// What is on top of the encoder.
    pub head: HeadConfig,
}

/// What `config.json` says of the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadConfig {
    /// Whether weights of a head belong to the model.
    pub presence: HeadPresence,
    /// What the outputs are trained for.
    pub problem: Problem,
    /// Names of the outputs in their order; `None` if the file leaves number and names to the weights.
    pub labels: Option<Vec<String>>,
}

/// Whether weights of a head belong to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadPresence {
    /// A sequence classification model: they must be there.
    Required,
    /// A bare model: they count if they are there.
    Optional,
    /// A model with a head of another kind, which is left aside.
    Ignored,
}

/// What the outputs of a head are trained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Classes that exclude each other.
    SingleLabel,
    /// Classes that don't.
    MultiLabel,
    /// One number.
    Regression,
}

/// Nonlinearity of the feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x Φ(x)` by the error function, as `transformers` means `gelu`.
    GeluErf,
    /// The approximation by the hyperbolic tangent.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

/// The keys of `config.json` that matter, of all families.
#[derive(Deserialize)]
struct RawConfig {
    model_type: Option<String>,
    architectures: Option<Vec<String>>,
    vocab_size: Option<u64>,
    max_position_embeddings: Option<u64>,
    pad_token_id: Option<u32>,
    position_embedding_type: Option<String>,
    is_decoder: Option<bool>,
    // BERT and RoBERTa
    hidden_size: Option<u64>,
    num_hidden_layers: Option<u64>,
    num_attention_heads: Option<u64>,
    intermediate_size: Option<u64>,
    hidden_act: Option<String>,
    type_vocab_size: Option<u64>,
    layer_norm_eps: Option<f64>,
    // DistilBERT
    dim: Option<u64>,
    n_layers: Option<u64>,
    n_heads: Option<u64>,
    hidden_dim: Option<u64>,
    activation: Option<String>,
    // The head
    id2label: Option<BTreeMap<String, Value>>,
    num_labels: Option<u64>,
    problem_type: Option<String>,
}

impl ModelConfig {
    /// Reads the `config.json` of a model.
    ///
    /// # Errors
    /// [`ErrorKind::FileMissing`]; [`ErrorKind::DamagedModel`] for what is malformed or out of bounds;
    /// [`ErrorKind::UnsupportedModel`] for what this engine can't compute.
    pub fn load(files: &ModelFiles) -> Result<Self, EngineError> {
        Self::parse(files.require("config.json")?)
    }

    /// As [`load`](Self::load), from the bytes of the file.
    ///
    /// # Errors
    /// As [`load`](Self::load), but for the missing file.
    pub fn parse(json: &[u8]) -> Result<Self, EngineError> {
        let raw: RawConfig = parse_json("config.json", json)?;
        let family = raw.family()?;
        raw.refuse_variants()?;
        let config = match family {
            Family::DistilBert => raw.distilbert()?,
            Family::Bert | Family::Roberta => raw.bert(family)?,
        };
        config.check()?;
        Ok(config)
    }

    /// Longest input of one forward pass in tokens, special tokens included, as the position embeddings limit it.
    pub fn max_length(&self) -> usize {
        self.positions.saturating_sub(self.first_position())
    }

    /// Row of the position embeddings that the first token uses.
    pub fn first_position(&self) -> usize {
        match self.family {
            Family::Roberta => self.pad_token_id as usize + 1,
            Family::Bert | Family::DistilBert => 0,
        }
    }

    /// The conditions between several keys.
    fn check(&self) -> Result<(), EngineError> {
        if !self.hidden_size.is_multiple_of(self.heads) {
            return Err(damaged(format!(
                "config.json has a hidden size of {}, not a multiple of its {} attention heads",
                self.hidden_size, self.heads
            )));
        }
        if self.max_length() == 0 {
            return Err(damaged(format!(
                "config.json has {} positions, too few for padding token {}",
                self.positions, self.pad_token_id
            )));
        }
        if !(self.layer_norm_eps.is_finite() && (0.0..=1.0).contains(&self.layer_norm_eps)) {
            return Err(damaged(format!("config.json has a layer_norm_eps of {}", self.layer_norm_eps)));
        }
        Ok(())
    }
}

impl RawConfig {
    fn family(&self) -> Result<Family, EngineError> {
        let supported = "Supported model types are bert, distilbert, roberta and xlm-roberta.";
        match self.model_type.as_deref() {
            Some("bert") => Ok(Family::Bert),
            Some("distilbert") => Ok(Family::DistilBert),
            Some("roberta" | "xlm-roberta") => Ok(Family::Roberta),
            Some(other) => {
                Err(unsupported(format!("model type \"{other}\" is not supported")).with_hint(supported))
            }
            None => Err(unsupported("config.json names no model_type").with_hint(supported)),
        }
    }

    /// Refuses members of the families that compute something else.
    fn refuse_variants(&self) -> Result<(), EngineError> {
        match self.position_embedding_type.as_deref() {
            None | Some("absolute") => {}
            Some(other) => {
                return Err(unsupported(format!("position embeddings \"{other}\" are not supported")));
            }
        }
        if self.is_decoder == Some(true) {
            return Err(unsupported("a decoder is not supported"));
        }
        Ok(())
    }

    fn bert(&self, family: Family) -> Result<ModelConfig, EngineError> {
        let default_padding = if family == Family::Roberta { 1 } else { 0 };
        let token_types = self.type_vocab_size.or(Some(2));
        Ok(ModelConfig {
            family,
            vocab_size: size("vocab_size", self.vocab_size, MAX_VOCABULARY)?,
            hidden_size: size("hidden_size", self.hidden_size, MAX_HIDDEN_SIZE)?,
            layers: size("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS)?,
            heads: size("num_attention_heads", self.num_attention_heads, MAX_HIDDEN_SIZE)?,
            intermediate_size: size("intermediate_size", self.intermediate_size, MAX_INTERMEDIATE_SIZE)?,
            activation: activation(self.hidden_act.as_deref())?,
            positions: size("max_position_embeddings", self.max_position_embeddings, MAX_POSITIONS)?,
            token_types: Some(size("type_vocab_size", token_types, MAX_TOKEN_TYPES)?),
            layer_norm_eps: self.layer_norm_eps.unwrap_or(1e-12),
            pad_token_id: self.pad_token_id.unwrap_or(default_padding),
            head: self.head()?,
        })
    }

    fn distilbert(&self) -> Result<ModelConfig, EngineError> {
        Ok(ModelConfig {
            family: Family::DistilBert,
            vocab_size: size("vocab_size", self.vocab_size, MAX_VOCABULARY)?,
            hidden_size: size("dim", self.dim, MAX_HIDDEN_SIZE)?,
            layers: size("n_layers", self.n_layers, MAX_LAYERS)?,
            heads: size("n_heads", self.n_heads, MAX_HIDDEN_SIZE)?,
            intermediate_size: size("hidden_dim", self.hidden_dim, MAX_INTERMEDIATE_SIZE)?,
            activation: activation(self.activation.as_deref())?,
            positions: size("max_position_embeddings", self.max_position_embeddings, MAX_POSITIONS)?,
            token_types: None,
            layer_norm_eps: DISTILBERT_LAYER_NORM_EPS,
            pad_token_id: self.pad_token_id.unwrap_or(0),
            head: self.head()?,
        })
    }

    fn head(&self) -> Result<HeadConfig, EngineError> {
        let labels = self.labels()?;
        let problem = match self.problem_type.as_deref() {
            Some("regression") => Problem::Regression,
            Some("multi_label_classification") => Problem::MultiLabel,
            // `transformers` infers the problem from the number of outputs too, when it trains.
            _ if labels.as_ref().is_some_and(|labels| labels.len() == 1) => Problem::Regression,
            None | Some("single_label_classification") => Problem::SingleLabel,
            Some(other) => return Err(unsupported(format!("problem type \"{other}\" is not supported"))),
        };
        Ok(HeadConfig { presence: self.head_presence(), problem, labels })
    }

    fn head_presence(&self) -> HeadPresence {
        match self.architectures.iter().flatten().next().map(String::as_str) {
            Some(name) if name.ends_with("ForSequenceClassification") => HeadPresence::Required,
            Some(name) if name.contains("For") => HeadPresence::Ignored,
            _ => HeadPresence::Optional,
        }
    }

    /// The labels of `id2label`, or as many made-up ones as `num_labels` says.
    fn labels(&self) -> Result<Option<Vec<String>>, EngineError> {
        if let Some(id2label) = &self.id2label {
            let count = size("id2label", Some(id2label.len() as u64), MAX_LABELS as u64)?;
            return (0..count).map(|id| label(id2label, id)).collect::<Result<_, _>>().map(Some);
        }
        let Some(count) = self.num_labels else { return Ok(None) };
        Ok(Some(default_labels(size("num_labels", Some(count), MAX_LABELS as u64)?)))
    }
}

/// The names that `transformers` gives to labels without names.
pub fn default_labels(count: usize) -> Vec<String> {
    (0..count).map(|id| format!("LABEL_{id}")).collect()
}

fn label(id2label: &BTreeMap<String, Value>, id: usize) -> Result<String, EngineError> {
    match id2label.get(&id.to_string()) {
        Some(Value::String(name)) => Ok(name.clone()),
        Some(Value::Number(name)) => Ok(name.to_string()),
        Some(other) => Err(damaged(format!("config.json names label {id} {other}, which is not a name"))),
        None => Err(damaged(format!("config.json has {} labels but none with id {id}", id2label.len()))),
    }
}

fn activation(name: Option<&str>) -> Result<Activation, EngineError> {
    match name {
        None | Some("gelu" | "gelu_python") => Ok(Activation::GeluErf),
        Some("gelu_new" | "gelu_fast" | "gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
        Some("relu") => Ok(Activation::Relu),
        Some(other) => Err(unsupported(format!("activation \"{other}\" is not supported"))
            .with_hint("Supported activations are gelu, gelu_new, gelu_pytorch_tanh and relu.")),
    }
}

/// A key that holds a size from 1 to `cap`.
fn size(key: &str, value: Option<u64>, cap: u64) -> Result<usize, EngineError> {
    let value = value.ok_or_else(|| damaged(format!("config.json has no \"{key}\"")))?;
    match usize::try_from(value) {
        Ok(size) if (1..=cap).contains(&value) => Ok(size),
        _ => Err(damaged(format!("config.json has a {key} of {value}, outside 1 to {cap}"))),
    }
}

/// Reads a JSON file of a model.
pub fn parse_json<'a, T: Deserialize<'a>>(name: &str, json: &'a [u8]) -> Result<T, EngineError> {
    serde_json::from_slice(json).map_err(|error| damaged(format!("file \"{name}\" is damaged: {error}")))
}

fn damaged(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::DamagedModel, message)
}

fn unsupported(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::UnsupportedModel, message)
}
