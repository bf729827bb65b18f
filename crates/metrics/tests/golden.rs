//! The metrics are scikit-learn's: tests/reference/metrics.json, written by make_metrics.py beside it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use ecommerce_ml_metrics::{ClassScores, Confusion, Regression, Scored};
use serde_json::Value;

const TOLERANCE: f64 = 1e-12;

fn golden(kind: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/metrics.json");
    let text = fs::read_to_string(path).expect("golden numbers can be read");
    let all: Value = serde_json::from_str(&text).expect("golden numbers are JSON");
    let cases = all[kind].as_array().expect("cases").clone();
    assert!(!cases.is_empty());
    cases
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number")).collect()
}

fn indices(values: &Value) -> Vec<usize> {
    let index = |value: &Value| usize::try_from(value.as_u64().expect("an index")).expect("an index");
    values.as_array().expect("a list").iter().map(index).collect()
}

#[track_caller]
fn assert_close(case: &Value, what: &str, computed: Option<f64>) {
    let expected = case["expected"][what].as_f64();
    let close = match (computed, expected) {
        (Some(computed), Some(expected)) => (computed - expected).abs() < TOLERANCE,
        (None, None) => true,
        _ => false,
    };
    assert!(close, "{}: {what} is {computed:?}, not {expected:?}", case["name"]);
}

#[track_caller]
fn assert_averages(case: &Value, kind: &str, scores: Option<ClassScores>) {
    assert_close(case, &format!("{kind}_precision"), scores.map(|scores| scores.precision));
    assert_close(case, &format!("{kind}_recall"), scores.map(|scores| scores.recall));
    assert_close(case, &format!("{kind}_f1"), scores.map(|scores| scores.f1));
}

fn check_confusion(case: &Value, confusion: &Confusion) {
    assert_close(case, "accuracy", confusion.accuracy());
    assert_averages(case, "macro", confusion.macro_average());
    assert_averages(case, "weighted", confusion.weighted_average());
    let expected = &case["expected"];
    let occurring: Vec<usize> = confusion.occurring().collect();
    assert_eq!(occurring, indices(&expected["labels"]), "{}", case["name"]);
    for (place, class) in occurring.iter().enumerate() {
        let scores = confusion.class(*class);
        let of = |what: &str| numbers(&expected[what])[place];
        assert!((scores.precision - of("precision")).abs() < TOLERANCE, "{} {class}", case["name"]);
        assert!((scores.recall - of("recall")).abs() < TOLERANCE, "{} {class}", case["name"]);
        assert!((scores.f1 - of("f1")).abs() < TOLERANCE, "{} {class}", case["name"]);
        assert_eq!(scores.support, indices(&expected["support"])[place] as u64);
        let row: Vec<usize> =
            occurring.iter().map(|other| usize::try_from(confusion.count(*class, *other)).unwrap()).collect();
        assert_eq!(row, indices(&expected["confusion_matrix"][place]), "{}", case["name"]);
    }
}

#[test]
fn scored_rows() {
    for case in golden("scored") {
        let classes = usize::try_from(case["classes"].as_u64().unwrap()).unwrap();
        let mut scored = Scored::new(classes);
        for (actual, row) in indices(&case["actual"]).iter().zip(case["probabilities"].as_array().unwrap()) {
            let row: Vec<f32> = numbers(row).iter().map(|value| *value as f32).collect();
            scored.add(*actual, &row).expect("rows are sound");
        }
        check_confusion(&case, scored.confusion());
        assert_close(&case, "log_loss", scored.log_loss());
        assert_close(&case, "calibration_error", scored.calibration_error());
        assert_close(&case, "macro_roc_auc", scored.macro_roc_auc());
        for class in 0..classes {
            let expected = case["expected"]["roc_auc"][class].as_f64();
            let computed = scored.roc_auc(class);
            assert_eq!(computed.is_some(), expected.is_some(), "{} {class}", case["name"]);
            let gap = computed.zip(expected).map_or(0.0, |(computed, expected)| computed - expected);
            assert!(gap.abs() < TOLERANCE, "{} {class}: {computed:?}, not {expected:?}", case["name"]);
        }
    }
}

#[test]
fn labels_alone() {
    for case in golden("labels") {
        let mut confusion = Confusion::new(usize::try_from(case["classes"].as_u64().unwrap()).unwrap());
        for (actual, predicted) in indices(&case["actual"]).iter().zip(indices(&case["predicted"])) {
            confusion.add(*actual, predicted, 1).expect("classes exist");
        }
        check_confusion(&case, &confusion);
    }
}

#[test]
fn numbers_for_numbers() {
    for case in golden("regression") {
        let mut regression = Regression::default();
        for (actual, predicted) in numbers(&case["actual"]).iter().zip(numbers(&case["predicted"])) {
            regression.add(*actual, predicted).expect("numbers are finite");
        }
        assert_close(&case, "mae", regression.mae());
        assert_close(&case, "rmse", regression.rmse());
        assert_close(&case, "r2", regression.r2());
        assert_close(&case, "pearson", regression.pearson());
    }
}
