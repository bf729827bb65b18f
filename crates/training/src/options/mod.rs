//! What the user may choose in a training, whatever the kind of the model.
//!
//! # Layout
//! - [`reader`]: JSON to checked values.
//!
//! It must not know rows, nor the options of a kind beyond their names. Invariant: what has a range of its own was refused beyond
//! it, with its name and what was expected.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ecommerce_ml_protocol::training::DEFAULT_SEED;
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use serde_json::Value;

use crate::class_weights::ClassWeights;

pub mod reader;

pub use reader::Reader;
use reader::{described, number_in, unexpected};

/// Options that SQL obeys and a training doesn't look at: known names, whatever their values.
pub const SQL_OPTIONS: [&str; 3] = ["where", "deploy", "keep_versions"];

/// Options that every kind has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CommonOptions {
    /// Decides what chance decides. Default [`DEFAULT_SEED`].
    pub seed: u64,
    /// Part of the rows that is held out, 0 to 0.5. Default 0.1.
    pub eval_fraction: f64,
}

impl CommonOptions {
    /// All names of them, those that SQL obeys among them.
    pub const NAMES: [&str; 5] = ["seed", "eval_fraction", SQL_OPTIONS[0], SQL_OPTIONS[1], SQL_OPTIONS[2]];

    /// Reads them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] with a message that names the option and what was expected.
    pub fn read(reader: &Reader<'_>) -> Result<Self, EngineError> {
        Ok(Self {
            seed: reader.integer("seed", 0..=i64::MAX as u64)?.unwrap_or(DEFAULT_SEED),
            eval_fraction: reader.number("eval_fraction", 0.1, 0.0..=0.5)?,
        })
    }
}

/// The options of a call as a JSON value.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] if they are no JSON.
pub fn parse(json: &str) -> Result<Value, EngineError> {
    serde_json::from_str(json).map_err(|error| {
        let message = format!("training options are no JSON: {error}");
        EngineError::new(ErrorKind::InvalidRequest, message)
    })
}

/// Options as text that is the same for the same training: without nulls and what SQL obeys.
pub fn canonical(mut options: Value) -> String {
    if let Value::Object(values) = &mut options {
        values.retain(|name, value| !value.is_null() && !SQL_OPTIONS.contains(&name.as_str()));
    }
    options.to_string()
}

/// Reads the option `class_weights`: how much each class counts in the loss.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] if it is neither "balanced" nor an object of labels with a number each.
pub fn class_weights(reader: &Reader<'_>) -> Result<ClassWeights, EngineError> {
    match reader.given("class_weights") {
        None => Ok(ClassWeights::Equal),
        Some(Value::String(word)) if word == "balanced" => Ok(ClassWeights::Balanced),
        Some(value) => {
            let kind = "\"balanced\" or an object of labels with";
            numbers("class_weights", kind, value, 0.0..=1e6).map(ClassWeights::Given)
        }
    }
}

/// An object of numbers.
fn numbers(
    name: &str,
    kind: &str,
    value: &Value,
    range: RangeInclusive<f64>,
) -> Result<BTreeMap<String, f64>, EngineError> {
    let number = |(key, value): (&String, &Value)| Some((key.clone(), number_in(value, &range)?));
    let found = value.as_object().and_then(|object| object.iter().map(number).collect());
    found.ok_or_else(|| unexpected(name, &described(&format!("{kind} a number each,"), &range), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(options: Value) -> Result<CommonOptions, EngineError> {
        CommonOptions::read(&Reader::new(&options, &CommonOptions::NAMES)?)
    }

    #[test]
    fn every_kind_has_the_same_defaults() {
        assert_eq!(read(json!({})).unwrap(), CommonOptions { seed: 42, eval_fraction: 0.1 });
        let given =
            json!({"seed": 7, "eval_fraction": 0, "where": "x", "deploy": "never", "keep_versions": 3});
        assert_eq!(read(given).unwrap(), CommonOptions { seed: 7, eval_fraction: 0.0 });
        let error = read(json!({"eval_fraction": 0.6})).unwrap_err();
        assert_eq!(
            error.message,
            "training option \"eval_fraction\" must be a number from 0 to 0.5, not 0.6"
        );
        assert_eq!(read(json!({"sed": 1})).unwrap_err().message, "unknown training option \"sed\"");
    }

    #[test]
    fn what_sql_obeys_makes_no_other_training() {
        let one = parse(r#"{"seed": 1, "where": "x", "deploy": null}"#).unwrap();
        assert_eq!(canonical(one), canonical(json!({"seed": 1, "keep_versions": 5})));
        assert!(parse("{").unwrap_err().message.starts_with("training options are no JSON: "));
    }
}
