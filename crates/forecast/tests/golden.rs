//! Trends are scipy's and pymannkendall's: tests/reference/planning.json, written by make_planning.py beside it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use ecommerce_ml_forecast::trend::Series;
use serde_json::Value;

fn golden(kind: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/planning.json");
    let all: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    all[kind].as_array().unwrap().clone()
}

#[track_caller]
fn assert_close(case: &Value, what: &str, computed: f64) {
    let Some(expected) = case[what].as_f64() else { return };
    let close = (computed - expected).abs() <= 1e-11 * expected.abs().max(1e-300);
    assert!(close, "{}: {what} is {computed}, not {expected}", case["name"]);
}

#[test]
fn trends() {
    let cases = golden("trends");
    assert!(cases.len() > 10);
    let mut inflated = 0;
    for case in cases {
        let times: Vec<i64> =
            case["times"].as_array().unwrap().iter().map(|one| one.as_i64().unwrap()).collect();
        let values: Vec<f64> =
            case["values"].as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect();
        let season = usize::try_from(case["season"].as_u64().unwrap()).unwrap();
        let series = Series::new(&times, &values).unwrap();
        let trend = series.trend(season, case["level"].as_f64().unwrap()).unwrap().unwrap();
        assert_close(&case, "slope", trend.slope);
        assert_close(&case, "lower", trend.lower);
        assert_close(&case, "upper", trend.upper);
        assert_close(&case, "variance", trend.variance);
        assert_close(&case, "p_value", trend.p_value);
        assert_eq!(Some(trend.score), case["score"].as_i64(), "{}", case["name"]);
        inflated += usize::from(case["inflated"] == true);
    }
    assert!(inflated > 0, "none is serially correlated");
}
