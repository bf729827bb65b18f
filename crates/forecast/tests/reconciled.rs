//! Sums that agree with their parts: numpy's, by the formula itself (tests/reference/reconciled.json, written by make_reconciled.py beside it).

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use ecommerce_ml_forecast::reconcile::Hierarchy;
use serde_json::Value;

fn numbers(case: &Value, name: &str) -> Vec<f64> {
    case[name].as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect()
}

#[test]
fn forecasts_agree_as_weighted_least_squares_has_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/reconciled.json");
    let all: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    for case in all["cases"].as_array().unwrap() {
        let keys: Vec<Vec<String>> = serde_json::from_value(case["keys"].clone()).unwrap();
        let hierarchy = Hierarchy::of_keys(&keys);
        let found =
            hierarchy.reconcile(&numbers(case, "forecasts"), &numbers(case, "variances"), f64::NEG_INFINITY);
        for (found, expected) in found.iter().zip(numbers(case, "agreed")) {
            assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{found}, not {expected}");
        }
    }
}

#[test]
fn what_is_certain_stays_and_nothing_is_negative() {
    let keys = [vec![], vec!["a".to_owned()], vec!["b".to_owned()], vec!["c".to_owned()]];
    let hierarchy = Hierarchy::of_keys(&keys);
    assert!(hierarchy.is_sum(0) && !hierarchy.is_sum(1));
    let found = hierarchy.reconcile(&[10.0, 4.0, 3.0, 9.0], &[0.0, 0.0, 1.0, 1.0], 0.0);
    assert!((found[0] - 10.0).abs() < 1e-6 && (found[1] - 4.0).abs() < 1e-6, "{found:?}");
    assert!((found[2] + found[3] - 6.0).abs() < 1e-6 && found[2] >= 0.0, "{found:?}");
    let all_certain = hierarchy.reconcile(&[10.0, 4.0, 3.0, 3.0], &[0.0; 4], 0.0);
    assert!((all_certain[0] - 10.0).abs() < 1e-9);
    assert!(hierarchy.reconcile(&[-5.0, 1.0, 1.0, 1.0], &[1.0; 4], 0.0).iter().all(|one| *one >= 0.0));
    // Without sums all stay.
    let alone = Hierarchy::of_keys(&keys[1..]);
    assert_eq!(alone.reconcile(&[4.0, 3.0, 9.0], &[1.0; 3], 0.0), [4.0, 3.0, 9.0]);
}
