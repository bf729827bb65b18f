//! Methods are statsforecast's: tests/reference/forecasts.json, written by make_forecasts.py beside it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use ecommerce_ml_forecast::methods::Model;
use ecommerce_ml_forecast::methods::ets::{Component, Ets, Form};
use ecommerce_ml_forecast::methods::intermittent::{Croston, Tsb};
use ecommerce_ml_forecast::methods::season::Season;
use ecommerce_ml_forecast::methods::theta::Theta;
use serde_json::Value;

const HORIZON: usize = 12;

fn golden() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/forecasts.json");
    let all: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    all.as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect()
}

fn season_of(case: &Value) -> usize {
    usize::try_from(case["season"].as_u64().unwrap()).unwrap()
}

/// By how much two forecasts differ at most, relative to the deviation of the series.
fn difference(values: &[f64], one: &[f64], other: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let deviation =
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
    one.iter().zip(other).map(|(one, other)| (one - other).abs() / deviation).fold(0.0, f64::max)
}

#[test]
fn methods_without_search() {
    for case in golden() {
        let values = numbers(&case["values"]);
        let close = |what: &str, computed: f64| {
            let expected = case["fixed"][what].as_f64().unwrap();
            assert!(
                (computed - expected).abs() <= 1e-12 * expected.abs(),
                "{what}: {computed}, not {expected}"
            );
        };
        close("croston", Croston::fit(&values, 0.1, false).forecast());
        close("sba", Croston::fit(&values, 0.1, true).forecast());
        close("tsb", Tsb::fit(&values, (0.2, 0.1)).forecast());
    }
}

/// The minimum that we find is no higher, and where it is the same so are the forecasts.
#[test]
fn theta() {
    let mut same = 0;
    for case in golden().into_iter().filter(|case| case["theta"].is_object()) {
        let values = numbers(&case["values"]);
        let found = Season::of(&values, season_of(&case));
        // statsforecast always multiplies.
        let factors = || Season::factors(&values, season_of(&case)).unwrap();
        let season = if found == Season::None { found } else { factors() };
        for (name, dynamic) in [("OTM", false), ("DOTM", true)] {
            let golden = &case["theta"][name];
            assert_eq!(golden["seasonal"] == true, season != Season::None);
            let model = Theta::fit(&values, &season, dynamic);
            let forecast = Model::Theta(model.clone()).forecast(HORIZON);
            let apart = difference(&values, &forecast, &numbers(&golden["forecast"]));
            // statsforecast's is a sum, over the mean of what is fitted.
            let adjusted: Vec<f64> =
                values.iter().enumerate().map(|(time, value)| season.remove(time, *value).abs()).collect();
            let mean = adjusted.iter().sum::<f64>() / adjusted.len() as f64;
            let mse = golden["mse"].as_f64().unwrap() * mean / (adjusted.len() - 3) as f64;
            println!(
                "{} {name} {apart} mse {} {mse} {:?} {} {}",
                case["name"],
                model.mse,
                model.parameters(),
                golden["alpha"],
                golden["theta"]
            );
            assert!(model.mse <= mse * 1.0001, "{} {name}: {}, not {mse}", case["name"], model.mse);
            if model.mse > mse * 0.9999 {
                same += 1;
                assert!(apart < 0.05, "{} {name}: {forecast:?}, not {}", case["name"], golden["forecast"]);
            }
        }
    }
    assert!(same >= 5, "{same} are the same");
}

#[test]
fn ets() {
    for case in golden().into_iter().filter(|case| case["ets"].is_object()) {
        let values = numbers(&case["values"]);
        for (name, golden) in case["ets"].as_object().unwrap() {
            let kind = |letter| match letter {
                'A' => Component::Additive,
                'M' => Component::Multiplicative,
                _ => Component::None,
            };
            let letters: Vec<char> = name.chars().filter(|letter| *letter != 'd').collect();
            let trend = if name.contains("Ad") { Component::Damped } else { Component::None };
            let form = Form { error: kind(letters[0]), trend, season: kind(letters[2]) };
            let (model, aicc) = Ets::fit(&values, form, season_of(&case)).unwrap();
            assert_eq!(model.name(), format!("ets({name})"));
            let expected = golden["aicc"].as_f64().unwrap();
            let forecast = Model::Ets(model).forecast(HORIZON);
            let apart = difference(&values, &forecast, &numbers(&golden["forecast"]));
            println!("{} {name} aicc {aicc} {expected} apart {apart}", case["name"]);
            if form.season == Component::None {
                assert!(aicc <= expected + 2.0, "{} {name}: {aicc}, not {expected}", case["name"]);
            }
        }
    }
}
