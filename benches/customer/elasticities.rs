//! What a training says of price elasticities, of a file.
//!
//!     cargo run --release -p ecommerce_ml_customer --example price_elasticities -- FILE [week]
//!
//! The file has a line for each observation: key, series (both numbers), microseconds since 1970, quantity, price, controls; `orange_juice.py`
//! writes one. With a second argument there are effects of weeks.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a benchmark ends by panicking")]

use std::collections::BTreeMap;
use std::time::Instant;

use ecommerce_ml_customer::price::panel::{Panel, Sales};
use ecommerce_ml_customer::price::regression::Groups;
use ecommerce_ml_customer::price::response::{Levels, Response, Settings, respond};
use ecommerce_ml_forecast::calendar::Period;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| !one.starts_with("--")).collect();
    let Some(path) = arguments.first() else {
        println!("name a file of sales");
        return;
    };
    let effects = arguments.get(1).map(|_| Period::Week);
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let rows: Vec<Vec<f64>> =
        text.lines().map(|line| line.split(',').map(|value| value.parse().unwrap()).collect()).collect();
    let column = |at: usize| -> Vec<f64> { rows.iter().map(|row| row[at]).collect() };
    let whole = |at: usize| -> Vec<i64> { column(at).iter().map(|value| *value as i64).collect() };
    let mut series: BTreeMap<(i64, i64), u32> =
        whole(0).into_iter().zip(whole(1)).map(|one| (one, 0)).collect();
    series.values_mut().zip(0..).for_each(|(number, next)| *number = next);
    let mut keys: Vec<i64> = whole(0);
    keys.sort_unstable();
    keys.dedup();
    let key_of = |key: i64| keys.binary_search(&key).unwrap() as u32;
    let sales = Sales {
        series: whole(0).into_iter().zip(whole(1)).map(|one| series[&one]).collect(),
        time: whole(2),
        quantity: column(3),
        price: column(4),
        controls: (5..rows[0].len()).map(column).collect(),
    };
    let begin = Instant::now();
    let panel = Panel::new(&sales, series.len(), Some(Period::Week));
    let of_series = series.keys().map(|(key, _)| key_of(*key)).collect();
    let groups = Groups { of_series, count: keys.len() };
    let levels = Levels { categories: None, keys: groups, category_of: vec![0; keys.len()] };
    for controls in [0, sales.controls.len()] {
        let mut panel = panel.clone();
        panel.controls.truncate(controls);
        let found = respond(&panel, &levels, Settings { effects, shrinks: false }).unwrap();
        println!("{controls} controls {effects:?}: {} {:.3?}", shown(&found.all), found.controls);
        let each: Vec<String> =
            keys.iter().zip(&found.keys).map(|(key, one)| format!("{key}: {}", shown(one))).collect();
        println!("    {}", each.join(", "));
    }
    println!("{} observations of {} series, in {:?}", panel.len(), series.len(), begin.elapsed());
}

fn shown(response: &Response) -> String {
    let known = response.elasticity.unwrap();
    format!("{:.3} ({:.3})", known.value, known.std_error)
}
