//! What a training has measured, as JSON for those who look at jobs and versions.
//!
//! Invariant: a metric has the name that `evaluate_model` gives it.

use ecommerce_ml_protocol::training::{Baseline, BaselineComparison, Comparison, Metric};
use serde_json::{Map, Value, json};

/// Metrics as a JSON object; those of a class are an object under its name.
pub fn metrics_json(metrics: &[Metric]) -> Value {
    let (mut overall, mut classes) = (Map::new(), Map::<String, Value>::new());
    for metric in metrics {
        match &metric.class {
            None => drop(overall.insert(metric.name.clone(), json!(metric.value))),
            Some(class) => {
                let scores = classes.entry(class.clone()).or_insert_with(|| json!({}));
                scores[&metric.name] = json!(metric.value);
            }
        }
    }
    if !classes.is_empty() {
        overall.insert("classes".to_owned(), classes.into());
    }
    overall.into()
}

/// A comparison with the live version as a JSON object.
pub fn comparison_json(comparison: &Comparison) -> Value {
    compared(comparison, "live")
}

/// A comparison with the baseline as a JSON object.
pub fn baseline_comparison_json(against: &BaselineComparison) -> Value {
    let mut found = compared(&against.comparison, "baseline");
    found["testable"] = json!(against.testable);
    found["beaten"] = json!(against.beaten);
    found
}

fn compared(comparison: &Comparison, with: &str) -> Value {
    json!({
        "metric": comparison.metric,
        "new": comparison.new,
        with: comparison.incumbent,
        "test": comparison.test,
        "p_value": comparison.p_value,
        "wins": comparison.wins,
        "losses": comparison.losses,
        "rows": comparison.rows,
        "better": comparison.better,
    })
}

/// A baseline as a JSON object: what it answers, where that has a meaning, and its metrics.
pub fn baseline_json(baseline: &Baseline) -> Value {
    let mut answers = json!({"metrics": metrics_json(&baseline.metrics)});
    let known = [
        ("method", baseline.method.as_ref().map(|method| json!(method))),
        ("label", baseline.label.as_ref().map(|label| json!(label))),
        ("mean", baseline.mean.map(|mean| json!(mean))),
        ("median", baseline.median.map(|median| json!(median))),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            answers[name] = value;
        }
    }
    answers
}
