//! What the user may choose in a training, under scikit-learn's names.
//!
//! It must not know rows. Invariant: every [`Options`] that there is can be trained with.

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_protocol::training::DEFAULT_SEED;
use ecommerce_ml_protocol::training::TrainingCall;
use ecommerce_ml_training::options::SQL_OPTIONS;
use ecommerce_ml_training::options::parse;
use ecommerce_ml_training::options::reader::Reader;
use serde_json::{Value, json};

/// Options of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Options {
    /// Decides what chance decides.
    pub(super) seed: u64,
    /// Trees. Default 100.
    pub(super) n_estimators: usize,
    /// Rows that each tree is grown from, at most. Default 256.
    pub(super) max_samples: usize,
}

impl Options {
    /// Reads options; with them, all that hold as JSON.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] with the name of the option and what was expected.
    pub(super) fn read(call: &TrainingCall) -> Result<(Self, String), EngineError> {
        let value = parse(&call.options)?;
        let names: Vec<&str> =
            ["seed", "n_estimators", "max_samples"].into_iter().chain(SQL_OPTIONS).collect();
        let reader = Reader::new(&value, &names)?;
        let count = |name, most, default| {
            reader.integer(name, 2..=most).map(|count| count.map_or(default, |count| count as usize))
        };
        let options = Self {
            seed: reader.integer("seed", 0..=i64::MAX as u64)?.unwrap_or(DEFAULT_SEED),
            n_estimators: count("n_estimators", 10_000, 100)?,
            max_samples: count("max_samples", 100_000, 256)?,
        };
        let mut all = value.as_object().cloned().unwrap_or_default();
        all.retain(|_, value| !value.is_null());
        let own = [
            ("seed", json!(options.seed)),
            ("n_estimators", json!(options.n_estimators)),
            ("max_samples", json!(options.max_samples)),
        ];
        all.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Ok((options, Value::Object(all).to_string()))
    }
}
