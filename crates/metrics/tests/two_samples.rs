//! Tests of two samples are those of SciPy and statsmodels: tests/reference/two_samples.json.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use ecommerce_ml_metrics::drivers::Sums;
use ecommerce_ml_metrics::student;
use ecommerce_ml_metrics::two_samples::{shares, welch};
use serde_json::Value;

fn golden(kind: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/two_samples.json");
    let all: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    all[kind].as_array().unwrap().clone()
}

fn sums(values: &Value) -> Sums {
    let values: Vec<f64> = values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    Sums {
        rows: values.len() as u64,
        sum: values.iter().sum(),
        squares: values.iter().map(|value| value * value).sum(),
    }
}

fn counts(values: &Value) -> (u64, u64) {
    (values[0].as_u64().unwrap(), values[1].as_u64().unwrap())
}

#[track_caller]
fn near(found: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1e-300), "{found:e} {expected:e}");
}

#[test]
fn tails_of_student() {
    for case in golden("tails") {
        let found = student::tail(case["t"].as_f64().unwrap(), case["degrees"].as_f64().unwrap());
        near(found, &case["tail"], 1e-10);
    }
    assert!(student::tail(f64::NAN, 3.0).is_nan() && student::tail(1.0, 0.0).is_nan());
    assert_eq!((student::tail(f64::INFINITY, 3.0), student::two_sided(0.0, 3.0)), (0.0, 1.0));
    assert!((student::upper_quantile(0.025, 10.0) - 2.228_138_851_986_274).abs() < 1e-12);
}

#[test]
fn means_differ() {
    for case in golden("means") {
        let (test, control) = (sums(&case["test"]), sums(&case["control"]));
        let found = welch(test, control, 0.95).unwrap();
        near(found.p_value, &case["p_value"], 1e-9);
        near(found.lower, &case["lower"], 1e-9);
        near(found.upper, &case["upper"], 1e-9);
        let swapped = welch(control, test, 0.95).unwrap();
        assert_eq!((swapped.difference, swapped.p_value), (-found.difference, found.p_value));
    }
    let same = sums(&serde_json::json!([4, 4, 4, 4, 4, 4]));
    let few = sums(&serde_json::json!([1, 2, 3, 4]));
    assert_eq!((welch(same, same, 0.95), welch(few, same, 0.95)), (None, None));
    let tenths = Sums { rows: 10, sum: 0.1 * 10.0, squares: 0.1 * 0.1 * 10.0 };
    assert_eq!(welch(tenths, tenths, 0.95), None, "rounding is no variance");
}

#[test]
fn shares_differ() {
    for case in golden("shares") {
        let (test, control) = (counts(&case["test"]), counts(&case["control"]));
        let found = shares(test, control).unwrap();
        near(found.p_value, &case["p_value"], 1e-9);
        assert_eq!(found.test.name(), case["by"].as_str().unwrap());
        assert!((shares(control, test).unwrap().p_value - found.p_value).abs() < 1e-12);
    }
    assert_eq!((shares((0, 0), (1, 2)), shares((0, 9), (0, 9)), shares((9, 9), (9, 9))), (None, None, None));
}
