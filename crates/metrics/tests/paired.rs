//! Paired tests are scipy's: tests/reference/paired.json, written by make_paired.py beside it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use ecommerce_ml_metrics::paired::{bootstrap, mcnemar};
use serde_json::Value;

/// Of scipy, as `RESAMPLES` of make_paired.py.
const RESAMPLES: f64 = 100_000.0;

fn golden(kind: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/paired.json");
    let text = fs::read_to_string(path).expect("golden numbers can be read");
    let all: Value = serde_json::from_str(&text).expect("golden numbers are JSON");
    all[kind].as_array().expect("cases").clone()
}

#[test]
fn counts() {
    let cases = golden("mcnemar");
    assert!(cases.len() > 20);
    for case in cases {
        let count = |name: &str| case[name].as_u64().expect("a count");
        let expected = case["p_value"].as_f64().expect("a number");
        let error = mcnemar(count("wins"), count("losses")) / expected - 1.0;
        assert!(error.abs() < 1e-12, "{case}: off by {error:e}");
    }
}

/// Each side counts resamples, so they may differ by chance: by five standard errors.
#[test]
fn differences() {
    let cases = golden("bootstrap");
    assert!(cases.len() > 5);
    for case in cases {
        let values = case["differences"].as_array().expect("a list");
        let values: Vec<f64> = values.iter().map(|value| value.as_f64().expect("a number")).collect();
        let expected = case["p_value"].as_f64().expect("a number");
        let variance = (expected * (1.0 - expected)).max(1.0 / RESAMPLES);
        let tolerance = 5.0 * (variance / 9_999.0 + variance / RESAMPLES).sqrt() + 1e-4;
        let mut computed = [1, 2, 42].map(|seed| bootstrap(&values, seed));
        for computed in computed {
            assert!((computed - expected).abs() < tolerance, "{}: {computed}, not {expected}", case["name"]);
        }
        computed.sort_by(f64::total_cmp);
        assert!(computed[0] < computed[2] || expected < 1e-4, "{}: seeds make no difference", case["name"]);
    }
}
