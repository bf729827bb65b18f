//! Rows compared with a reference: measures, thresholds, which are crossed.
//!
//! A threshold is what chance crosses with the probability that was asked for, divided by the number of measures (Bonferroni), but no
//! less than what matters. Invariant: of too few rows a measure has no threshold, and nobody says whether it has drifted.

use crate::distribution::{Distribution, Observed};
use crate::energy;
use crate::mean::{Change, Mean, Share};
use crate::null_distribution::NullDistribution;
use crate::reference::{Feature, Reference};
use crate::sample::{Sample, SampledColumn};
use crate::stability::Counts;
use crate::unseen::unseen;

/// Rows of either group that a threshold takes.
pub const LEAST_ROWS: u64 = 30;

/// Differences that don't matter, however sure they are: of a population stability index "no change" by convention, of a
/// Jensen-Shannon distance what is as much, of means and shares what nobody would look into.
const LEAST_STABILITY: f64 = 0.1;
const LEAST_DISTANCE: f64 = 0.134;
const LEAST_CONFIDENCE: f64 = 0.02;
const LEAST_SHARE: f64 = 0.01;
/// Of a mean absolute error, in parts of what it was.
const LEAST_ERROR: f64 = 0.05;

/// What is measured.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Measure {
    /// As SQL shows it.
    pub name: &'static str,
    /// The column, if it isn't of predictions.
    pub feature: Option<String>,
    /// None if there is nothing to compare.
    pub value: Option<f64>,
    /// None of too few rows.
    pub threshold: Option<f64>,
    /// Whether the size of the value is above the threshold.
    pub drifted: Option<bool>,
    /// What it is a difference of, if it is one.
    pub baseline: Option<f64>,
    /// The same of the current rows.
    pub current: Option<f64>,
    /// Where the difference is with a probability of 95 %.
    pub interval: Option<[f64; 2]>,
    /// The probability of a value of this size where nothing has changed, of this measure alone.
    pub p_value: Option<f64>,
    /// Rows that have what is measured.
    pub rows: [u64; 2],
}

/// A measure before anybody knows how many there are.
struct Finding {
    measure: Measure,
    null: Option<NullDistribution>,
    least: f64,
}

/// All measures, those of predictions first. `alpha` is the probability that any of them crosses its threshold where nothing has
/// changed.
pub fn compare(reference: &Reference, current: &Sample, alpha: f64) -> Vec<Measure> {
    let mut findings = Vec::new();
    if let Some((kept, observed)) = reference.prediction.as_ref().zip(current.prediction.as_ref()) {
        findings.extend(distributions(None, kept, observed));
    }
    let share = [reference.unanswered, current.unanswered];
    findings.extend(of_share("unanswered", None, share));
    findings.extend(of_mean("confidence", [&reference.confidence, &current.confidence], LEAST_CONFIDENCE));
    findings.extend(of_mean(
        "unknown_pieces",
        [&reference.unknown_pieces, &current.unknown_pieces],
        LEAST_SHARE,
    ));
    findings.extend(embedding_distance(reference, current));
    findings.extend(of_mean("accuracy", [&reference.accuracy, &current.accuracy], LEAST_SHARE));
    let least = LEAST_ERROR * reference.error.mean().unwrap_or_default();
    findings.extend(of_mean("mae", [&reference.error, &current.error], least));
    for feature in &reference.features {
        if let Some(column) = current.features.iter().find(|column| column.name == feature.name) {
            findings.extend(of_feature(feature, column));
        }
    }
    decide(findings, alpha)
}

#[allow(clippy::cast_precision_loss)]
fn decide(findings: Vec<Finding>, alpha: f64) -> Vec<Measure> {
    let has_rows = |finding: &Finding| finding.measure.rows.iter().all(|rows| *rows >= LEAST_ROWS);
    let tests = findings.iter().filter(|finding| finding.null.is_some() && has_rows(finding)).count();
    let decide = |finding: Finding| {
        let is_told = has_rows(&finding);
        let Finding { mut measure, null, least } = finding;
        if let Some(value) = measure.value.filter(|_| is_told) {
            let chance = null.as_ref().map(|null| null.threshold(alpha / tests.max(1) as f64));
            let threshold = chance.map_or(least, |chance| chance.max(least));
            measure.p_value = null.as_ref().map(|null| null.p_value(value));
            measure.threshold = Some(threshold);
            measure.drifted = Some(value.abs() > threshold);
        }
        measure
    };
    findings.into_iter().map(decide).collect()
}

fn distributions(feature: Option<&str>, kept: &Distribution, observed: &Observed) -> Vec<Finding> {
    let Some(counts) = kept.beside(observed) else { return Vec::new() };
    let rows = [kept.rows(), observed.rows()];
    let is_told = rows.iter().all(|rows| *rows > 0);
    let finding = |name, value: fn(&Counts) -> f64, null, least| Finding {
        measure: Measure {
            name,
            feature: feature.map(str::to_owned),
            value: is_told.then(|| value(&counts)),
            rows,
            ..Measure::default()
        },
        null,
        least,
    };
    vec![
        finding(
            "population_stability",
            Counts::population_stability,
            counts.stability_null(),
            LEAST_STABILITY,
        ),
        finding("jensen_shannon", Counts::jensen_shannon, counts.distance_null(), LEAST_DISTANCE),
    ]
}

fn of_feature(feature: &Feature, column: &SampledColumn) -> Vec<Finding> {
    let name = Some(feature.name.as_str());
    let mut findings = Vec::new();
    if let Some((kept, observed)) = feature.values.as_ref().zip(column.observed.as_ref()) {
        findings.extend(distributions(name, kept, observed));
        if let Some((value, null)) = kept.categories(observed).and_then(|pairs| unseen(&pairs)) {
            let measure = Measure {
                name: "unseen_categories",
                feature: Some(feature.name.clone()),
                value: Some(value),
                rows: [kept.rows(), observed.rows()],
                ..Measure::default()
            };
            findings.push(Finding { measure, null: Some(null), least: LEAST_SHARE });
        }
    }
    findings.extend(of_share("null_share", name, [feature.nulls, column.nulls]));
    findings
}

fn of_share(name: &'static str, feature: Option<&str>, [baseline, current]: [Share; 2]) -> Option<Finding> {
    let measure = Measure {
        name,
        feature: feature.map(str::to_owned),
        baseline: baseline.value(),
        current: current.value(),
        rows: [baseline.rows, current.rows],
        ..Measure::default()
    };
    (baseline.rows > 0 || current.rows > 0).then(|| changed(measure, baseline.change(current), LEAST_SHARE))
}

fn of_mean(name: &'static str, [baseline, current]: [&Mean; 2], least: f64) -> Option<Finding> {
    let measure = Measure {
        name,
        baseline: baseline.mean(),
        current: current.mean(),
        rows: [baseline.count(), current.count()],
        ..Measure::default()
    };
    (baseline.count() > 0 && current.count() > 0).then(|| changed(measure, baseline.change(current), least))
}

fn changed(measure: Measure, change: Option<Change>, least: f64) -> Finding {
    let measure = Measure {
        value: change.as_ref().map(|change| change.value),
        interval: change.as_ref().map(|change| change.interval),
        ..measure
    };
    Finding { measure, null: change.map(|change| change.null), least }
}

fn embedding_distance(reference: &Reference, current: &Sample) -> Option<Finding> {
    let (value, null) = energy::energy(&reference.embeddings, &current.embeddings)?;
    let rows = [reference.embeddings.len() as u64, current.embeddings.len() as u64];
    let measure = Measure { name: "embedding_distance", value: Some(value), rows, ..Measure::default() };
    Some(Finding { measure, null: Some(null), least: 0.0 })
}
