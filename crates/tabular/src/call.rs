//! What trainings of columns are called with, whatever they make.
//!
//! It must not know models. Invariant: each call is one algorithm's.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::training::{Objective, TrainingCall, TrainingChecked, TrainingInput};
use ecommerce_ml_protocol::{EngineError, Input, Rows};
use ecommerce_ml_training::Targets;
use ecommerce_ml_training::class_weights::ClassWeights;
use ecommerce_ml_training::options::parse;
use serde_json::Value;

use crate::columns::refused;
use crate::texts::{Choice, DEFAULT_BASE};

/// The option that names the algorithm.
pub(crate) const ALGORITHM: &str = "algorithm";

/// Both names of the weights: the one of all kinds, and scikit-learn's.
pub(crate) const WEIGHTS: [&str; 2] = ["class_weights", "class_weight"];

/// What is made of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// Unless another is named.
    BoostedTrees,
    /// Logistic and ridge regression.
    Linear,
}

impl Algorithm {
    /// Both by their names.
    pub(crate) const CHOICES: [(&str, Algorithm); 2] =
        [("boosted_trees", Algorithm::BoostedTrees), ("linear", Algorithm::Linear)];

    /// The one that a call is for; of a call that names none that there is, the default, which refuses it.
    pub(crate) fn of(call: &TrainingCall) -> Self {
        let options = parse(&call.options).unwrap_or_default();
        let named = options.get(ALGORITHM).and_then(Value::as_str);
        let found = Self::CHOICES.iter().find(|(name, _)| Some(*name) == named);
        found.map_or(Algorithm::BoostedTrees, |(_, algorithm)| *algorithm)
    }
}

/// Whether a training goes by labels of rows of columns.
pub(crate) fn reads_labelled_columns(call: &TrainingCall) -> bool {
    let labelled =
        matches!(call.objective, Objective::Classification | Objective::Rating | Objective::Regression);
    labelled && matches!(call.input, TrainingInput::Columns { .. })
}

/// Refuses columns that can't be learned from.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`].
pub(crate) fn check_columns(input: &TrainingInput) -> Result<(), EngineError> {
    let TrainingInput::Columns { fields, .. } = input else {
        return Err(refused("a model of columns does not read a text"));
    };
    if fields.is_empty() {
        return Err(refused("training needs at least one column to read"));
    }
    let twice =
        fields.iter().enumerate().find(|(at, field)| fields[..*at].iter().any(|one| one.name == field.name));
    match twice {
        Some((_, field)) => Err(refused(format!("column \"{}\" is named twice", field.name))),
        None => Ok(()),
    }
}

/// The columns of an input.
pub(crate) fn columns_of(input: &Input) -> Result<&Rows, EngineError> {
    match input {
        Input::Rows(rows) => Ok(rows),
        Input::Texts(_) => Err(refused("a model of columns does not read a text")),
    }
}

/// What is known of a training of this kind before it begins.
///
/// # Errors
/// Those of [`Choice::of`].
pub(crate) fn checked(call: &TrainingCall, kind: &str) -> Result<TrainingChecked, EngineError> {
    let may_read = Choice::of(call)?.may_read(call.input.fields());
    let default_base = may_read.then(|| DEFAULT_BASE.to_owned());
    Ok(TrainingChecked { kind: kind.to_owned(), default_base })
}

/// Bytes of the files of a model.
pub(crate) fn bytes_of(files: &ModelFiles) -> usize {
    files.iter().map(|(_, bytes)| bytes.len()).sum()
}

/// Weights by the names of the labels: stars may be written as numbers.
pub(crate) fn by_stars(weights: &ClassWeights, targets: &Targets) -> ClassWeights {
    let (ClassWeights::Given(given), Targets::Stars(_)) = (weights, targets) else { return weights.clone() };
    let labels = targets.labels();
    let name = |label: &String| match label.parse::<usize>() {
        Ok(stars @ 1..=5) => labels[stars - 1].clone(),
        _ => label.clone(),
    };
    ClassWeights::Given(given.iter().map(|(label, &weight)| (name(label), weight)).collect())
}

/// Weights of classes under the name that all kinds have.
pub(crate) fn with_one_name(mut options: Value) -> Result<Value, EngineError> {
    let Value::Object(values) = &mut options else { return Ok(options) };
    let Some(weights) = values.remove(WEIGHTS[1]).filter(|value| !value.is_null()) else {
        return Ok(options);
    };
    if values.get(WEIGHTS[0]).is_some_and(|value| !value.is_null()) {
        let [one, other] = WEIGHTS;
        return Err(refused(format!("training options \"{one}\" and \"{other}\" are the same")));
    }
    values.insert(WEIGHTS[0].to_owned(), weights);
    Ok(options)
}
