//! What trees go by: how much features lower the loss, and how forecasts move with a column.
//!
//! It must not know rows. Invariant: parts sum to 1.

use std::collections::BTreeMap;

use ecommerce_ml_forecast::parallel::map;
use ecommerce_ml_protocol::ValueType;

use super::tails::Tail;
use super::trees::Trees;

/// Series whose forecasts tell how they move, at most.
const MOST_SERIES: usize = 2_000;
/// By what columns are multiplied.
const FACTORS: [(f32, &str); 2] = [(0.9, "- 10 %"), (1.1, "+ 10 %")];

/// Which part of what was learned goes by each column, and by each of what series themselves tell.
pub fn importance(trees: &Trees) -> BTreeMap<String, f64> {
    let features = trees.layout.features();
    let gains = trees.forest.gains(features.len());
    let all: f64 = gains.iter().sum();
    let mut parts = BTreeMap::new();
    for ((_, owner), gain) in features.into_iter().zip(gains) {
        *parts.entry(owner).or_default() += if all > 0.0 { gain / all } else { 0.0 };
    }
    parts
}

/// By which part the sum of all forecasts changes if a column of numbers above 0 is smaller or larger throughout: keys are as `price + 10 %`.
pub fn effects(trees: &Trees, tails: &[Tail], threads: usize) -> BTreeMap<String, f64> {
    let stride = tails.len().div_ceil(MOST_SERIES).max(1);
    let some: Vec<&Tail> = tails.iter().step_by(stride).collect();
    let mut found = BTreeMap::new();
    for (column, scheme) in trees.layout.columns.iter().enumerate() {
        let is_number = scheme.field.value_type == ValueType::Number;
        if !is_number || !some.iter().any(|tail| tail.known().value(column, tail.end()) > 0.0) {
            continue;
        }
        let sum = |factor: f32| -> f64 {
            map(&some, threads, |tail| of_tail(trees, tail, column, factor)).into_iter().sum()
        };
        let now = sum(1.0);
        for (factor, name) in FACTORS.into_iter().filter(|_| now.abs() > 0.0) {
            found.insert(format!("{} {name}", scheme.field.name), sum(factor) / now - 1.0);
        }
    }
    found
}

fn of_tail(trees: &Trees, tail: &Tail, column: usize, factor: f32) -> f64 {
    let horizon = trees.layout.horizon;
    let changed = tail.with_known(tail.known().scaled(column, tail.end(), horizon, factor));
    let (past, at) = changed.past();
    trees.forecasts(past, &[at], horizon).concat().iter().sum()
}
