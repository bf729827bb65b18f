//! What the user may choose in a training of an ensemble.
//!
//! It must not know rows. Which members there are is settled before it begins. Invariant: every [`Options`] can be trained with.

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_training::options::parse;
use ecommerce_ml_training::{CommonOptions, Reader};
use serde_json::{Value, json};

/// The option that names members, and makes a training one of an ensemble.
pub(super) const ENSEMBLE: &str = "ensemble";

/// Part of the rows that is held out unless the user says otherwise: a few weights need few rows, and whether the ensemble is
/// better than its best member many.
const EVAL_FRACTION: f64 = 0.5;

/// Options of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Options {
    /// Those of all kinds.
    pub(super) common: CommonOptions,
}

impl Options {
    /// Reads options; with them, all that hold as JSON.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] with the name of the option and what was expected.
    pub(super) fn read(json: &str) -> Result<(Self, String), EngineError> {
        let value = parse(json)?;
        let names: Vec<&str> = [ENSEMBLE].into_iter().chain(CommonOptions::NAMES).collect();
        let reader = Reader::new(&value, &names)?;
        let common = CommonOptions::read(&reader)?;
        let eval_fraction = reader.number("eval_fraction", EVAL_FRACTION, 0.0..=0.5)?;
        let common = CommonOptions { eval_fraction, ..common };
        let mut all = value.as_object().cloned().unwrap_or_default();
        all.retain(|_, value| !value.is_null());
        all.entry("seed").or_insert(json!(common.seed));
        all.entry("eval_fraction").or_insert(json!(common.eval_fraction));
        Ok((Self { common }, Value::Object(all).to_string()))
    }
}
