//! What `config.json` says of dropout, under the defaults of `transformers`.
//!
//! Invariant: every rate is from 0 to below 1.

use ecommerce_ml_protocol::EngineError;
use serde::Deserialize;

use super::{damaged, parse_json};
use crate::files::ModelFiles;

/// Rates at which training drops numbers out at random.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropoutRates {
    /// Of hidden states.
    pub hidden: f32,
    /// Of the probabilities of attention.
    pub attention: f32,
    /// Before the head's layers; `None` for as many as of hidden states.
    pub classifier: Option<f32>,
}

/// The keys of all families.
#[derive(Deserialize)]
struct Raw {
    model_type: Option<String>,
    hidden_dropout_prob: Option<f64>,
    attention_probs_dropout_prob: Option<f64>,
    classifier_dropout: Option<f64>,
    dropout: Option<f64>,
    attention_dropout: Option<f64>,
    seq_classif_dropout: Option<f64>,
    cls_dropout: Option<f64>,
}

impl DropoutRates {
    /// Those of a model.
    ///
    /// # Errors
    /// [`ErrorKind::FileMissing`](ecommerce_ml_protocol::ErrorKind::FileMissing), and
    /// [`ErrorKind::DamagedModel`](ecommerce_ml_protocol::ErrorKind::DamagedModel) for what is no rate.
    pub fn load(files: &ModelFiles) -> Result<Self, EngineError> {
        let raw: Raw = parse_json("config.json", files.require("config.json")?)?;
        if raw.model_type.as_deref() == Some("distilbert") {
            return Ok(Self {
                hidden: rate("dropout", raw.dropout.unwrap_or(0.1))?,
                attention: rate("attention_dropout", raw.attention_dropout.unwrap_or(0.1))?,
                classifier: Some(rate("seq_classif_dropout", raw.seq_classif_dropout.unwrap_or(0.2))?),
            });
        }
        if raw.model_type.as_deref() == Some("modernbert") {
            return Ok(Self {
                hidden: 0.0,
                attention: 0.0,
                classifier: Some(rate("classifier_dropout", raw.classifier_dropout.unwrap_or(0.0))?),
            });
        }
        if raw.model_type.as_deref() == Some("deberta-v2") {
            let hidden = rate("hidden_dropout_prob", raw.hidden_dropout_prob.unwrap_or(0.1))?;
            let classifier = raw.cls_dropout.map(|value| rate("cls_dropout", value)).transpose()?;
            return Ok(Self { hidden, attention: 0.0, classifier });
        }
        let classifier = raw.classifier_dropout.map(|value| rate("classifier_dropout", value));
        Ok(Self {
            hidden: rate("hidden_dropout_prob", raw.hidden_dropout_prob.unwrap_or(0.1))?,
            attention: rate("attention_probs_dropout_prob", raw.attention_probs_dropout_prob.unwrap_or(0.1))?,
            classifier: classifier.transpose()?,
        })
    }
}

fn rate(key: &str, value: f64) -> Result<f32, EngineError> {
    match value {
        0.0..1.0 => Ok(value as f32),
        _ => Err(damaged(format!("config.json has a {key} of {value}, outside 0 to 1"))),
    }
}
