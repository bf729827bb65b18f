//! Drift of the rows that the latest training of a model has not seen.
//!
//! It must not know what becomes of it. Invariant: the rows are those that count as new, read as the schedule's role.

use std::collections::BTreeSet;

use ecommerce_ml_drift::Measure;
use ecommerce_ml_protocol::training::{Label, TrainingRows};
use serde_json::{Value, json};

use super::row_fingerprints::RowFingerprints;
use super::rows::Rows;
use crate::catalog::resolve::resolve;
use crate::drift::{self, ALPHA, Predictions, Target};
use crate::error::Error;
use crate::evaluation::ModelClasses;
use crate::relation::Kind;

/// New rows that are measured, at most.
const SAMPLE_ROWS: u64 = 10_000;

/// What was measured of drift.
pub struct DriftCheck {
    pub version: i32,
    /// None if there is nothing to compare with.
    measures: Option<Vec<Measure>>,
}

impl DriftCheck {
    /// Measures the new rows, of which there are so many, against what the live version has kept of its training.
    ///
    /// # Errors
    /// Those of [`resolve`], of the rows and of the engine.
    pub fn of(model: &str, rows: &Rows, (fingerprints, new): (&RowFingerprints, i64)) -> Result<Self, Error> {
        let model = resolve(model)?;
        let version = model.version;
        let Ok(reference) = drift::stored(&model) else { return Ok(Self { version, measures: None }) };
        let reads_same = match rows.reads.fields() {
            [] => model.columns.is_none(),
            fields => model.columns.as_ref().is_some_and(|read| read.iter().all(|one| fields.contains(one))),
        };
        if !reads_same {
            return Ok(Self { version, measures: None });
        }
        let kind = rows.reads.label.as_ref().and_then(|label| label.kind().ok()).unwrap_or(Kind::Text);
        let labels = &model.signature.labels;
        let classes = (!labels.is_empty()).then(|| ModelClasses::of(labels, kind));
        let count = u64::try_from(new).unwrap_or_default();
        let mut predictions =
            Predictions::new(&model, usize::try_from(count.min(SAMPLE_ROWS)).unwrap_or_default());
        rows.for_each_batch(|batch, _| {
            let places: Vec<usize> = fingerprints
                .missing(&batch, rows.reads.fields())
                .filter(|(_, hash)| count <= SAMPLE_ROWS || hash % count < SAMPLE_ROWS)
                .map(|(place, _)| place)
                .collect();
            let targets = places.iter().map(|place| target(&batch, *place, classes.as_ref())).collect();
            predictions.add(batch.input.picked(&places), targets)
        })?;
        let measures = ecommerce_ml_drift::compare(&reference, &predictions.finish()?, ALPHA);
        Ok(Self { version, measures: Some(measures) })
    }

    /// Whether a population stability index has drifted and is at least so large.
    pub fn has_drifted(&self, least: f64) -> bool {
        self.stability().any(|one| one.drifted == Some(true) && one.value >= Some(least))
    }

    /// How far it has drifted.
    pub fn in_words(&self, least: f64) -> String {
        let largest = self.stability().filter(|one| one.drifted.is_some());
        let largest = largest.max_by(|one, other| {
            (one.drifted, one.value)
                .partial_cmp(&(other.drifted, other.value))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        match largest.and_then(|one| Some((one, one.value?))) {
            None if self.measures.is_none() => "drift unknown, without a training reference".to_owned(),
            None => "drift unknown, of too few new rows".to_owned(),
            Some((one, value)) => {
                let of = one
                    .feature
                    .as_ref()
                    .map_or_else(|| "predictions".to_owned(), |name| format!("\"{name}\""));
                let by_chance = if one.drifted == Some(false) { ", which has not drifted" } else { "" };
                format!("drift of {of} {value:.2} of {least}{by_chance}")
            }
        }
    }

    fn stability(&self) -> impl Iterator<Item = &Measure> {
        self.measures.iter().flatten().filter(|one| one.name == "population_stability")
    }

    /// As schedules keep it.
    pub fn to_json(&self) -> Value {
        json!({"version": self.version, "measures": self.measures.iter().flatten().map(measure_json).collect::<Vec<_>>()})
    }

    /// What has drifted that had not when it was measured last, of the same version; nothing if all was known.
    pub fn news(&self, before: Option<&Value>) -> Option<(String, Value)> {
        let before = before.filter(|before| before["version"] == self.version);
        let known: BTreeSet<(String, String)> = before
            .and_then(|before| before["measures"].as_array())
            .into_iter()
            .flatten()
            .filter(|one| one["drifted"] == true)
            .map(|one| (one["measure"].to_string(), one["feature"].to_string()))
            .collect();
        let drifted: Vec<Value> = self
            .measures
            .iter()
            .flatten()
            .filter(|one| one.drifted == Some(true))
            .map(measure_json)
            .collect();
        let is_new = |one: &Value| !known.contains(&(one["measure"].to_string(), one["feature"].to_string()));
        if !drifted.iter().any(is_new) {
            return None;
        }
        let name = |one: &Value| match one["feature"].as_str() {
            Some(feature) => format!("{} of \"{feature}\"", one["measure"].as_str().unwrap_or_default()),
            None => one["measure"].as_str().unwrap_or_default().to_owned(),
        };
        let names: Vec<String> = drifted.iter().map(name).collect();
        let message = format!(
            "new rows have drifted from the training of version {}: {}",
            self.version,
            names.join(", ")
        );
        Some((message, json!({"version": self.version, "measures": drifted})))
    }
}

fn measure_json(one: &Measure) -> Value {
    json!({
        "measure": one.name, "feature": one.feature, "value": one.value, "threshold": one.threshold, "drifted": one.drifted,
        "baseline_value": one.baseline, "current_value": one.current, "p_value": one.p_value,
        "baseline_rows": one.rows[0], "current_rows": one.rows[1],
    })
}

fn target(batch: &TrainingRows, place: usize, classes: Option<&ModelClasses>) -> Option<Target> {
    match (batch.labels.get(place)?, classes) {
        (Label::Class(class), Some(classes)) => {
            Some(Target::Class(classes.target(class).map(|one| one.class)))
        }
        (Label::Number(number), Some(classes)) => {
            Some(Target::Class(classes.target(&number.to_string()).map(|one| one.class)))
        }
        (Label::Number(number), None) => Some(Target::Number(*number)),
        // Nobody knows which of them it is.
        (Label::Range(..) | Label::Class(_), _) => None,
    }
}
