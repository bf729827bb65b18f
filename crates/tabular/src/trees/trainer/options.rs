//! What the user may choose in a training, under XGBoost's names where it has them.
//!
//! It must not know rows. Invariant: every [`Options`] that there is can be trained with.

use std::collections::BTreeMap;
use std::ops::Bound;

use ecommerce_ml_protocol::training::{Objective, TrainingCall};
use ecommerce_ml_protocol::{EngineError, Field, ValueType};
use ecommerce_ml_training::class_weights::ClassWeights;
use ecommerce_ml_training::options::reader::unexpected;
use ecommerce_ml_training::options::{class_weights, parse};
use ecommerce_ml_training::search::{self, SearchOptions};
use ecommerce_ml_training::{CommonOptions, Reader};
use serde_json::{Value, json};

use crate::call::{ALGORITHM, Algorithm, WEIGHTS, with_one_name};
use crate::columns::refused;
use crate::texts::TEXT_FEATURES;

/// Rounds that are grown at most unless the user says otherwise: early stopping ends most trainings long before.
const ROUNDS: u32 = 1000;

/// Options of a training.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Options {
    /// Those of all kinds.
    pub(super) common: CommonOptions,
    /// Rounds of trees at most. Default 1000.
    pub(super) n_estimators: u32,
    /// What each tree is multiplied by. Default 0.05.
    pub(super) learning_rate: f64,
    /// Most steps from the root of a tree to a leaf; unless it is given the best of some is found.
    pub(super) max_depth: Option<u32>,
    /// Least sum of second derivatives in a leaf. Default 2.
    pub(super) min_child_weight: f64,
    /// What the size of leaves costs. Default 1.
    pub(super) reg_lambda: f64,
    /// Rounds without an improvement after which no more are grown. Default 50.
    pub(super) early_stopping_rounds: u32,
    /// How much each class counts. Default equal. Not for regressions.
    pub(super) class_weights: ClassWeights,
    /// Columns with the direction in which answers must not fall: 1 or -1.
    pub(super) monotone: BTreeMap<String, i8>,
    /// Whether settings are looked for, and for how long.
    pub(super) search: Option<SearchOptions>,
    /// Names of what the user has given.
    pub(super) given: Vec<String>,
}

impl Options {
    /// Reads options; with them, all that hold as JSON.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] with the name of the option and what was expected.
    pub(super) fn read(call: &TrainingCall) -> Result<(Self, String), EngineError> {
        let value = with_one_name(parse(&call.options)?)?;
        let mut names = vec![
            ALGORITHM,
            "n_estimators",
            "learning_rate",
            "max_depth",
            "min_child_weight",
            "reg_lambda",
            "early_stopping_rounds",
            "monotone",
            search::OPTION,
            TEXT_FEATURES,
        ];
        if call.objective != Objective::Regression {
            names.extend(WEIGHTS);
        }
        names.extend(CommonOptions::NAMES);
        let reader = Reader::new(&value, &names)?;
        reader.choice(ALGORITHM, Algorithm::BoostedTrees, &Algorithm::CHOICES)?;
        let rounds = 1..=100_000;
        let options = Self {
            common: CommonOptions::read(&reader)?,
            n_estimators: reader
                .integer("n_estimators", rounds.clone())?
                .map_or(ROUNDS, |count| count as u32),
            learning_rate: reader.number(
                "learning_rate",
                0.05,
                (Bound::Excluded(0.0), Bound::Included(1.0)),
            )?,
            max_depth: reader.integer("max_depth", 1..=16)?.map(|depth| depth as u32),
            min_child_weight: reader.number("min_child_weight", 2.0, 0.0..=1e9)?,
            reg_lambda: reader.number("reg_lambda", 1.0, 0.0..=1e9)?,
            early_stopping_rounds: reader
                .integer("early_stopping_rounds", rounds)?
                .map_or(50, |count| count as u32),
            class_weights: class_weights(&reader)?,
            monotone: monotone(&reader, call.input.fields())?,
            search: SearchOptions::read(&reader)?,
            given: names
                .iter()
                .filter(|name| reader.given(name).is_some())
                .map(|&name| name.to_owned())
                .collect(),
        };
        let effective = options.effective(&value, call.objective).to_string();
        Ok((options, effective))
    }

    /// All options that hold, those that SQL obeys included. The depth that was found is a metric.
    fn effective(&self, given: &Value, objective: Objective) -> Value {
        let mut all = given.as_object().cloned().unwrap_or_default();
        all.retain(|_, value| !value.is_null());
        let mut put = |name: &str, value: Value| {
            all.entry(name).or_insert(value);
        };
        put(ALGORITHM, json!(Algorithm::CHOICES[0].0));
        put("seed", json!(self.common.seed));
        put("eval_fraction", json!(self.common.eval_fraction));
        put("n_estimators", json!(self.n_estimators));
        put("learning_rate", json!(self.learning_rate));
        put("min_child_weight", json!(self.min_child_weight));
        put("reg_lambda", json!(self.reg_lambda));
        put("early_stopping_rounds", json!(self.early_stopping_rounds));
        if objective != Objective::Regression && self.class_weights == ClassWeights::Equal {
            put(WEIGHTS[0], Value::Null);
        }
        all.retain(|_, value| !value.is_null());
        Value::Object(all)
    }
}

/// Reads the option `monotone`: columns of numbers with the direction of each.
fn monotone(reader: &Reader<'_>, fields: &[Field]) -> Result<BTreeMap<String, i8>, EngineError> {
    let Some(value) = reader.given("monotone") else { return Ok(BTreeMap::new()) };
    let direction = |value: &Value| match value.as_f64() {
        Some(1.0) => Some(1),
        Some(-1.0) => Some(-1),
        _ => None,
    };
    let read = |(name, value): (&String, &Value)| Some((name.clone(), direction(value)?));
    let found: Option<BTreeMap<String, i8>> =
        value.as_object().and_then(|object| object.iter().map(read).collect());
    let found =
        found.ok_or_else(|| unexpected("monotone", "an object of columns with 1 or -1 each", value))?;
    for name in found.keys() {
        let field = fields.iter().find(|field| field.name == *name);
        let Some(field) = field else {
            let names: Vec<String> = fields.iter().map(|field| format!("\"{}\"", field.name)).collect();
            return Err(refused(format!(
                "training option \"monotone\" names \"{name}\", which is not a column that is read"
            ))
            .with_detail(format!("Columns are {}.", names.join(", "))));
        };
        if !matches!(field.value_type, ValueType::Number | ValueType::Boolean) {
            return Err(refused(format!(
                "training option \"monotone\" names \"{name}\", which is of type {}",
                field.value_type
            ))
            .with_hint("Only numbers and booleans have a direction."));
        }
    }
    Ok(found)
}
