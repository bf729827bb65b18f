//! What a training was called with, as our tables keep it.
//!
//! It must not know what an argument means to a kind of model. Invariant: what was not given is not there, so that a call can
//! be repeated as it was.

use pgrx::JsonB;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

/// The arguments of `train_model`, but for the names of model and relation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arguments {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_column: Option<String>,
    pub task: String,
    /// As it was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// A JSON object.
    pub options: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_columns: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_columns: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_column: Option<String>,
    /// The models that option `ensemble` names, with the versions that they had when the job was submitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<String>>,
}

impl Arguments {
    /// As a JSON object.
    ///
    /// # Errors
    /// None in practice: all of it can be written.
    pub fn to_json(&self) -> Result<Value, Error> {
        serde_json::to_value(self).map_err(|_| Error::Unexpected("arguments that are no JSON"))
    }

    /// What [`to_json`](Self::to_json) has made; `None` for anything else.
    pub fn from_json(value: Value) -> Option<Self> {
        serde_json::from_value(value).ok()
    }

    /// Those of a column of our tables; `None` for what none of them holds.
    pub(super) fn from_column(value: Option<JsonB>) -> Option<Self> {
        Self::from_json(value?.0)
    }
}
