//! Baselines are scikit-learn's dummies: tests/reference/baselines.json, written by make_baselines.py beside it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use ecommerce_ml_metrics::baseline::{Numbers, of_classes};
use serde_json::Value;

fn golden(kind: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/baselines.json");
    let text = fs::read_to_string(path).expect("golden numbers can be read");
    let all: Value = serde_json::from_str(&text).expect("golden numbers are JSON");
    let cases = all[kind].as_array().expect("cases").clone();
    assert!(cases.len() > 3);
    cases
}

#[track_caller]
fn assert_close(case: &Value, what: &str, computed: Option<f64>) {
    let (computed, expected) =
        (computed.expect("a value"), case["expected"][what].as_f64().expect("a number"));
    let close = (computed - expected).abs() <= 1e-12 * expected.abs().max(1.0);
    assert!(close, "{}: {what} is {computed}, not {expected}", case["name"]);
}

#[test]
fn the_most_frequent_class() {
    for case in golden("classes") {
        let count = |rows: &Value| {
            let mut counts = vec![0_u64; case["classes"].as_u64().unwrap() as usize];
            rows.as_array().unwrap().iter().for_each(|class| counts[class.as_u64().unwrap() as usize] += 1);
            counts
        };
        let baseline =
            of_classes(&count(&case["learned"]), &count(&case["held_out"])).expect("there are rows");
        assert_eq!(Some(baseline.class as u64), case["expected"]["class"].as_u64(), "{}", case["name"]);
        assert_close(&case, "accuracy", Some(baseline.accuracy));
        assert_close(&case, "macro_f1", Some(baseline.macro_f1));
        assert_close(&case, "log_loss", Some(baseline.log_loss));
    }
    assert_eq!(of_classes(&[0, 0], &[1, 0]), None);
    assert_eq!(of_classes(&[1, 0], &[0, 0]), None);
    assert!(of_classes(&[3, 0], &[0, 1]).unwrap().log_loss > 36.0, "what was never seen is not impossible");
}

#[test]
fn the_mean_and_the_median() {
    for case in golden("numbers") {
        let read = |rows: &Value| {
            Numbers::of(rows.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect())
        };
        let (learned, held_out) = (read(&case["learned"]), read(&case["held_out"]));
        let (mean, median) = (learned.mean(), learned.median());
        assert_close(&case, "mean", mean);
        assert_close(&case, "median", median);
        assert_close(&case, "mae", held_out.mae(median.unwrap()));
        assert_close(&case, "rmse", held_out.rmse(mean.unwrap()));
    }
    let nothing = Numbers::default();
    assert_eq!(
        (nothing.mean(), nothing.median(), nothing.mae(1.0), nothing.rmse(1.0)),
        (None, None, None, None)
    );
    let huge = Numbers::of(vec![f64::MAX, f64::MAX]);
    assert_eq!((huge.mean(), huge.median(), huge.rmse(0.0)), (Some(f64::MAX), Some(f64::MAX), None));
}

#[test]
fn memory_is_bounded() {
    let mut numbers = Numbers::default();
    (0..=1 << 20).for_each(|number| numbers.add(f64::from(number)));
    assert_eq!((numbers.median(), numbers.mean()), (None, None));
}
