//! Forecasts the series of a file that `compare.py` writes, and prints what they are worth as a JSON object.
//!
//!     forecast_series FILE THREADS [training]
//!
//! With `training` the test part is put aside and the last values of the training part are forecast instead: that is what settings
//! are chosen by.

#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark ends where something is amiss"
)]

use std::collections::BTreeMap;
use std::time::Instant;

use ecommerce_ml_forecast::accuracy::{Accuracy, Scale};
use ecommerce_ml_forecast::forecaster::{Forecaster, Options};
use ecommerce_ml_forecast::series::Series;
use serde_json::{Value, json};

const LEVEL: f64 = 0.8;

struct Case {
    kind: String,
    season: usize,
    training: Vec<f64>,
    test: Vec<f64>,
}

fn read(line: &str, of_training: bool) -> Option<Case> {
    let mut parts = line.split('|');
    let mut head = parts.next()?.split_whitespace().skip(1);
    let (kind, season) = (head.next()?.to_owned(), head.next()?.parse().ok()?);
    let numbers =
        |text: &str| text.split_whitespace().map(|number| number.parse().ok()).collect::<Option<Vec<f64>>>();
    let (mut training, mut test) = (numbers(parts.next()?)?, numbers(parts.next()?)?);
    if of_training {
        let from = training.len() - test.len().min(training.len().saturating_sub(5));
        test = training.split_off(from);
    }
    Some(Case { kind, season, training, test })
}

/// Series of one kind, which share season and horizon, are fitted together.
fn forecast(cases: &[Case], threads: usize, found: &mut BTreeMap<String, Accuracy>) {
    let series: Vec<Series> = cases
        .iter()
        .map(|case| Series { key: 0, first: 0, values: case.training.clone(), missing: Vec::new() })
        .collect();
    let horizon = cases.iter().map(|case| case.test.len()).max().unwrap_or(1);
    let season = cases.first().map_or(1, |case| case.season);
    let fitted =
        Forecaster::fit(&series, i64::MIN, Options { season, horizon, threads }).expect("series are sound");
    for (place, case) in cases.iter().enumerate() {
        let forecasts = fitted.forecast(place, case.test.len(), LEVEL).expect("a horizon within bounds");
        let scale = Scale::of(&case.training, season);
        for name in [case.kind.as_str(), "all"] {
            found.entry(name.to_owned()).or_default().add(&case.test, &forecasts, scale, LEVEL);
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, threads, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: forecast_series FILE THREADS [training]");
        std::process::exit(2);
    };
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let of_training = rest.first().is_some_and(|word| word == "training");
    let cases: Vec<Case> = text.lines().filter_map(|line| read(line, of_training)).collect();
    let mut kinds: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for case in cases {
        kinds.entry(case.kind.clone()).or_default().push(case);
    }
    let threads = threads.parse().expect("a number of threads");
    let mut found = BTreeMap::new();
    let begin = Instant::now();
    kinds.values().for_each(|cases| forecast(cases, threads, &mut found));
    let seconds = begin.elapsed().as_secs_f64();
    let measures = |accuracy: &Accuracy| {
        json!({
            "smape": accuracy.smape(),
            "mase": accuracy.mase(),
            "rmsse": accuracy.rmsse(),
            "wape": accuracy.wape(),
            "coverage": accuracy.coverage(),
        })
    };
    let mut result: serde_json::Map<String, Value> =
        found.iter().map(|(name, accuracy)| (name.clone(), measures(accuracy))).collect();
    result.insert("seconds".to_owned(), json!(seconds));
    println!("{}", Value::Object(result));
}
