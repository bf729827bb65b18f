//! What a model as a whole goes by, and how far off its answers may be: what its kind found out when it was made.
//!
//! It must not ask the engine. Invariant: an interval holds its value.

use ecommerce_ml_protocol::{LabelScheme, Prediction, Task};

use crate::catalog::resolve::Resolved;
use crate::error::Error;

/// A column and its part in what the model goes by.
pub type Importance = (String, f64);

/// A value with a lower and an upper bound.
pub type Interval = (f64, f64, f64);

/// The columns that a model reads, or the models that it puts together, the most important ones first; they sum to 1, unless the model goes by
/// none. Of a model of series, the parts of
/// trend, season and remainder in what series vary by, which sum to 1, then the part of the series that each method forecasts; of one with trees, what
/// these go by, which sums to 1, and by which part forecasts change with a column.
///
/// # Errors
/// [`Error::NoMeaning`] for a version that was made before this was kept.
pub fn importance(model: &Resolved) -> Result<Vec<Importance>, Error> {
    if model.signature.task() == Task::Forecast {
        return parts_of_series(model);
    }
    let fields = || model.columns.iter().flat_map(|fields| fields.iter()).map(|field| field.name.clone());
    let names: Vec<String> = match model.info["parts"].as_array() {
        Some(names) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        None => fields().collect(),
    };
    let mut columns: Vec<Importance> = names.into_iter().zip(numbers(&model.info["importance"])).collect();
    if columns.is_empty() {
        let wanted = "importance of columns: it was made by an earlier version, and has to be trained again";
        return Err(no_meaning(model, wanted));
    }
    columns.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    Ok(columns)
}

fn parts_of_series(model: &Resolved) -> Result<Vec<Importance>, Error> {
    let parts = |value: &serde_json::Value| -> Vec<Importance> {
        let parts = value.as_object().into_iter().flatten();
        let mut parts: Vec<Importance> =
            parts.filter_map(|(name, part)| Some((name.clone(), part.as_f64()?))).collect();
        parts.sort_by(|one, other| other.1.total_cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        parts
    };
    let methods = parts(&model.info["methods"]);
    if methods.is_empty() {
        return Err(no_meaning(
            model,
            "methods: it was made by an earlier version, and has to be trained again",
        ));
    }
    let series: f64 = methods.iter().map(|(_, count)| count).sum();
    let methods = methods.into_iter().map(|(name, count)| (format!("method {name}"), count / series));
    let trees = [&model.info["importance"], &model.info["effects"]].into_iter().flat_map(parts);
    Ok(parts(&model.info["components"]).into_iter().chain(methods).chain(trees).collect())
}

/// Where a part `level` of all actual values is expected. Of a regression it is as far on both sides as that part of the rows was off
/// that the model was measured on, but not learned from; of stars the shortest range in the middle that is at least as likely.
///
/// # Errors
/// [`Error::NoMeaning`] for other classes, and for a regression that wasn't measured.
pub fn interval(model: &Resolved, prediction: Prediction<'_>, level: f64) -> Result<Interval, Error> {
    match prediction {
        Prediction::Number(value) => {
            let residuals = numbers(&model.info["residuals"]);
            let last = residuals.len().saturating_sub(1) as f64;
            let Some(margin) = residuals.get((level * last).ceil() as usize) else {
                let wanted = "interval: train it as boosted trees, of enough rows";
                return Err(no_meaning(model, wanted));
            };
            Ok((value, value - margin, value + margin))
        }
        Prediction::Class { labels, probabilities } => {
            let LabelScheme::Stars(order) = LabelScheme::of(labels) else {
                return Err(no_meaning(model, "interval: its classes are no numbers"));
            };
            let of = |class: &usize| probabilities.get(*class).copied().map_or(0.0, f64::from);
            let stars: Vec<(f64, f64)> = (1..=5).map(f64::from).zip(order.iter().map(of)).collect();
            let value = stars.iter().map(|(stars, probability)| stars * probability).sum::<f64>();
            let tail = (1.0 - level) / 2.0;
            Ok((value, bound(stars.iter(), tail).min(value), bound(stars.iter().rev(), tail).max(value)))
        }
    }
}

/// The first stars at which more than a tail has been passed.
fn bound<'a>(stars: impl Iterator<Item = &'a (f64, f64)>, tail: f64) -> f64 {
    let mut passed = 0.0;
    let mut last = 0.0;
    for (stars, probability) in stars {
        passed += probability;
        last = *stars;
        if passed > tail {
            break;
        }
    }
    last
}

fn numbers(array: &serde_json::Value) -> Vec<f64> {
    array.as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64).collect()
}

fn no_meaning(model: &Resolved, wanted: &'static str) -> Error {
    let qualified = format!("{}@{}", model.name, model.version);
    Error::NoMeaning { model: qualified, wanted, labels: model.signature.labels.clone() }
}
