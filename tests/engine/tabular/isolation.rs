//! Isolation forests: scores like scikit-learn's, and what a stranger would give them.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_metrics::Curve;
use ecommerce_ml_predictor::{Job, ModelKind};
use ecommerce_ml_protocol::training::{Label, Objective};
use ecommerce_ml_protocol::{Answers, Contributions, ErrorKind, Input, Output, Rows, ValueType};
use ecommerce_ml_tabular::{BoostedTrees, IsolationForest};
use serde::Deserialize;

use crate::kit::{numbers, predict, rows, texts};
use crate::trained::{Trained, copy, job_of_trees, train_with};

fn job(rows: Rows, options: &str) -> Job {
    let labels = vec![Label::Number(1.0); rows.count as usize];
    job_of_trees(Objective::Anomaly, rows, labels, options)
}

fn train(rows: &Rows, options: &str) -> Trained {
    train_with(&IsolationForest::new(2), job(rows.clone(), options)).unwrap()
}

fn scores(trained: &Trained, rows: &Rows) -> Vec<f64> {
    let model = IsolationForest::new(2).load(None, &trained.files).unwrap();
    let Answers::Numbers(scores) = predict(&*model, rows).unwrap() else { panic!("no numbers") };
    scores.into_iter().map(Option::unwrap).collect()
}

/// Baseline and contributions of each row.
fn explained(trained: &Trained, rows: &Rows) -> Vec<(f64, Vec<f64>)> {
    let model = IsolationForest::new(2).load(None, &trained.files).unwrap();
    let output = Output::Contributions { class: None };
    let answers = model.submit(Input::Rows(rows.clone()), output).wait().unwrap().answers;
    let Answers::Explanations(explanations) = answers else { panic!("{answers:?}") };
    let columns = |explanation: ecommerce_ml_protocol::Explanation| {
        let Contributions::Columns(columns) = explanation.contributions else { panic!("no columns") };
        (explanation.baseline, columns)
    };
    explanations.into_iter().flatten().map(columns).collect()
}

#[derive(Deserialize)]
struct Golden {
    roc_auc: f64,
    average_precision: f64,
    anomalies: usize,
    rows: Vec<Vec<f64>>,
    scores: Vec<f64>,
}

#[test]
fn scores_are_those_of_scikit_learn() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/isolation.json");
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let column = |at: usize| {
        numbers(&format!("f{at}"), &golden.rows.iter().map(|row| Some(row[at])).collect::<Vec<_>>())
    };
    let rows = rows((0..10).map(column).collect());
    let trained = train(&rows, r#"{"n_estimators": 2000}"#);
    let scores = scores(&trained, &rows);
    let most =
        scores.iter().zip(&golden.scores).map(|(own, theirs)| (own - theirs).abs()).fold(0.0, f64::max);
    assert!(most < 0.012, "a score differs by {most}");
    let mut curve = Curve::new(1000);
    for (row, score) in scores.iter().enumerate() {
        curve.add(*score as f32, row >= rows.count as usize - golden.anomalies).unwrap();
    }
    let (area, precision) = (curve.area().unwrap(), curve.average_precision().unwrap());
    assert!((area - golden.roc_auc).abs() < 0.01, "area {area}, theirs {}", golden.roc_auc);
    assert!(
        (precision - golden.average_precision).abs() < 0.05,
        "{precision}, not {}",
        golden.average_precision
    );
}

/// Payments: small ones by card in the country, and what comes now and then.
fn payments() -> Rows {
    let amounts: Vec<Option<f64>> = (0..1000).map(|row| Some(20.0 + f64::from(row * 7 % 50))).collect();
    let kinds: Vec<Option<&str>> =
        (0..1000).map(|row| Some(if row % 3 == 0 { "cash" } else { "card" })).collect();
    rows(vec![numbers("amount", &amounts), texts("paid", &kinds)])
}

#[test]
fn what_is_unlike_the_rest_is_found_and_told_by_which_column() {
    let trained = train(&payments(), "{}");
    let asked = rows(vec![
        numbers("amount", &[Some(30.0), Some(9000.0), Some(30.0), None, Some(30.0)]),
        texts("paid", &[Some("card"), Some("card"), Some("voucher"), Some("card"), None]),
    ]);
    let found = scores(&trained, &asked);
    for (row, score) in found.iter().enumerate().skip(1) {
        assert!(*score > found[0] + 0.05, "row {row}: {found:?}");
    }
    assert!(found.iter().all(|score| (0.0..=1.0).contains(score)), "{found:?}");
    let explained = explained(&trained, &asked);
    for ((baseline, columns), score) in explained.iter().zip(&found) {
        let sum = baseline + columns.iter().sum::<f64>();
        assert!((sum.exp2() - score).abs() < 1e-6, "contributions add up to the logarithm of the score");
    }
    let strongest = |row: usize| usize::from(explained[row].1[1] > explained[row].1[0]);
    assert_eq!([1, 2, 3, 4].map(strongest), [0, 1, 0, 1]);
}

#[test]
fn the_same_rows_give_the_same_model_in_any_order_on_any_threads() {
    let all = payments();
    let reversed = all.picked(&(0..1000).rev().collect::<Vec<_>>());
    let once = train(&all, "{}");
    let again = train_with(&IsolationForest::new(1), job(reversed, "{}")).unwrap();
    assert!(once.files == again.files);
    let other: ModelFiles = train(&all, r#"{"seed": 7}"#).files;
    assert!(once.files != other);
    let metrics: Vec<&str> = once.finished().metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(metrics, ["score_p50", "score_p95", "score_p99"]);
    let details: serde_json::Value = serde_json::from_str(&once.finished().info.details).unwrap();
    let importance: f64 =
        details["importance"].as_array().unwrap().iter().map(|part| part.as_f64().unwrap()).sum();
    assert!((importance - 1.0).abs() < 1e-6);
}

#[test]
fn what_can_not_be_learned_from_is_refused() {
    let refused = |rows: Rows, options: &str| {
        let error = train_with(&IsolationForest::new(1), job(rows, options)).map(drop).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{error:?}");
        error.message
    };
    let one = rows(vec![numbers("amount", &[Some(1.0)])]);
    assert_eq!(refused(one, "{}"), "training needs at least 2 rows");
    let alike = rows(vec![numbers("amount", &[Some(1.0); 50]), texts("paid", &[None; 50])]);
    assert_eq!(refused(alike, "{}"), "all rows to learn from are alike");
    let infinite = rows(vec![numbers("amount", &[Some(1.0), Some(f64::INFINITY)])]);
    assert!(refused(infinite, "{}").contains("amount"));
    for options in [r#"{"max_samples": 1}"#, r#"{"n_estimators": 0}"#, r#"{"contamination": 0.1}"#] {
        refused(payments(), options);
    }
    let labelled = job(payments(), "{}");
    let trees = BoostedTrees::new(1);
    assert!(!trees.trainer().unwrap().accepts(&copy(&labelled).plan.call), "a kind that learns from labels");
    assert_eq!(payments().columns[0].values.value_type(), ValueType::Number);
}

#[test]
fn damaged_files_are_told() {
    let trained = train(&payments(), "{}");
    for (name, bytes) in trained.files.iter() {
        let parts = trained.files.iter().map(|(other, whole)| {
            let kept = if other == name { bytes[..bytes.len() / 2].to_vec() } else { whole.to_vec() };
            (other.to_owned(), kept)
        });
        let damaged = ModelFiles::from_parts(parts.collect());
        let error = IsolationForest::new(1).load(None, &damaged).map(drop).unwrap_err();
        assert_eq!(error.kind, ErrorKind::DamagedModel, "{name}: {error:?}");
    }
}
