//! What the user may choose in a training, under scikit-learn's names where it has them.
//!
//! It must not know rows. Invariant: every [`Options`] that there is can be trained with.

use std::ops::Bound;

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_protocol::training::Objective;
use ecommerce_ml_training::class_weights::ClassWeights;
use ecommerce_ml_training::options::{canonical, class_weights, parse};
use ecommerce_ml_training::{CommonOptions, Reader};
use serde_json::{Value, json};

use crate::call::{ALGORITHM, WEIGHTS, with_one_name};
use crate::texts::TEXT_FEATURES;

/// Options of a training.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Options {
    /// Those of all kinds.
    pub(super) common: CommonOptions,
    /// How much the rows count beside the size of the coefficients: `C` of a logistic regression, or `alpha` of a ridge regression
    /// for the contrary. Default 1.
    pub(super) penalty: Penalty,
    /// Iterations after which the training ends, though it hasn't converged. Default 1000.
    pub(super) max_iter: u32,
    /// The training has converged when no coefficient would change by more in a step of its own. Default 1e-8.
    pub(super) tol: f64,
    /// Categories of a column that have a feature of their own, that of all others included. Default 1000.
    pub(super) max_categories: usize,
    /// How much each class counts. Default equal. Not for regressions.
    pub(super) class_weights: ClassWeights,
}

/// What the size of coefficients costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Penalty {
    /// Of a logistic regression: the sum of losses counts so much beside half the sum of squares.
    Logistic { c: f64 },
    /// Of a ridge regression: the sum of squares counts so much beside that of squared errors.
    Ridge { alpha: f64 },
}

impl Options {
    /// Reads options; with them, all that hold as JSON, and text that is the same for the same training.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] with the name of the option and what was expected.
    pub(super) fn read(json: &str, objective: Objective) -> Result<(Self, String, String), EngineError> {
        let value = with_one_name(parse(json)?)?;
        let mut names = vec![ALGORITHM, "max_iter", "tol", "max_categories", TEXT_FEATURES];
        match objective {
            Objective::Classification | Objective::Rating => names.extend(["C", WEIGHTS[0], WEIGHTS[1]]),
            _ => names.push("alpha"),
        }
        names.extend(CommonOptions::NAMES);
        let reader = Reader::new(&value, &names)?;
        let positive = (Bound::Excluded(0.0), Bound::Included(1e12));
        let penalty = match objective {
            Objective::Regression => Penalty::Ridge { alpha: reader.number("alpha", 1.0, positive)? },
            _ => Penalty::Logistic { c: reader.number("C", 1.0, positive)? },
        };
        let options = Self {
            common: CommonOptions::read(&reader)?,
            penalty,
            max_iter: reader.integer("max_iter", 1..=1_000_000)?.unwrap_or(1000) as u32,
            tol: reader.number("tol", 1e-8, (Bound::Excluded(0.0), Bound::Included(1.0)))?,
            max_categories: reader.integer("max_categories", 2..=100_000)?.unwrap_or(1000) as usize,
            class_weights: class_weights(&reader)?,
        };
        let effective = options.effective(&value).to_string();
        Ok((options, effective, canonical(value)))
    }

    /// All options that hold, those that SQL obeys included.
    fn effective(&self, given: &Value) -> Value {
        let mut all = given.as_object().cloned().unwrap_or_default();
        all.retain(|_, value| !value.is_null());
        let mut put = |name: &str, value: Value| {
            all.entry(name).or_insert(value);
        };
        put("seed", json!(self.common.seed));
        put("eval_fraction", json!(self.common.eval_fraction));
        put("max_iter", json!(self.max_iter));
        put("tol", json!(self.tol));
        put("max_categories", json!(self.max_categories));
        match self.penalty {
            Penalty::Logistic { c } => put("C", json!(c)),
            Penalty::Ridge { alpha } => put("alpha", json!(alpha)),
        }
        Value::Object(all)
    }
}
