//! The rows of a job as sales of series.
//!
//! It must not know what is learned from them. Invariant: series are numbered in the order of their keys, whatever the order of rows.

use std::collections::BTreeMap;

use ecommerce_ml_protocol::training::{Label, TrainingCall, TrainingInput};
use ecommerce_ml_protocol::{EngineError, Field, Input, Rows, ValueType, Values};
use ecommerce_ml_training::Dataset;

use super::refused;
use crate::price::panel::Sales;

/// Most values of a control that is a text.
const MOST_VALUES: usize = 50;

/// What a training reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// The key columns.
    pub keys: Vec<Field>,
    /// The price.
    pub price: Field,
    /// The other features.
    pub controls: Vec<Field>,
}

impl Columns {
    /// As a call names them.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for a call without a time or a price, or of columns that can't be these.
    pub fn of(call: &TrainingCall) -> Result<Self, EngineError> {
        let TrainingInput::Events { keys, fields } = &call.input else {
            return Err(refused("an elasticity is learned from sales, each with a time and a price"));
        };
        if !call.has_time {
            return Err(refused("an elasticity needs the time of each row"));
        }
        let features = fields.get(keys.len()..).unwrap_or_default();
        let Some((price, controls)) = features.split_first() else {
            return Err(refused("an elasticity needs a column of prices")
                .with_hint("Name it first in feature_columns, as in feature_columns => '{price}'."));
        };
        if price.value_type != ValueType::Number {
            let message = format!("column \"{}\" is of type {}, and no price", price.name, price.value_type);
            return Err(refused(message)
                .with_hint("The first of feature_columns is the price, the others are controls."));
        }
        match controls.iter().find(|control| control.value_type == ValueType::Timestamp) {
            Some(control) => {
                Err(refused(format!("column \"{}\" of moments cannot be a control", control.name))
                    .with_hint("Effects of time are an option: \"time_effects\"."))
            }
            None => Ok(Self { keys: keys.clone(), price: price.clone(), controls: controls.to_vec() }),
        }
    }
}

/// Sales with the names of their series and controls.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The rows that count.
    pub sales: Sales,
    /// `[series][column]`.
    pub series: Vec<Vec<String>>,
    /// `[control]`: a column, or a column and one of its values.
    pub controls: Vec<String>,
}

/// Rows that count: whose quantity is not negative, whose price is above 0 and whose controls are there.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for columns that didn't come as they should, and for a text of too many values.
pub fn read(dataset: &Dataset, columns: &Columns) -> Result<Read, EngineError> {
    let Input::Rows(rows) = &dataset.input else { return Err(refused("an elasticity does not read a text")) };
    let keys = columns.keys.iter().map(|key| texts(rows, &key.name)).collect::<Result<Vec<_>, _>>()?;
    let price = numbers(rows, &columns.price.name)?;
    let mut controls = Vec::new();
    for column in &columns.controls {
        controls.extend(control(rows, column)?);
    }
    let quantity = |row: usize| match dataset.labels.get(row) {
        Some(Label::Number(quantity)) => Some(*quantity).filter(|one| one.is_finite() && *one >= 0.0),
        _ => None,
    };
    let price = |row: usize| price.get(row).copied().flatten().filter(|one| one.is_finite() && *one > 0.0);
    let counts = |row: &usize| {
        let there =
            controls.iter().all(|one| one.values.get(*row).copied().flatten().is_some_and(f64::is_finite));
        there && quantity(*row).is_some() && price(*row).is_some()
    };
    let places: Vec<usize> = (0..dataset.len()).filter(counts).collect();
    let mut found: BTreeMap<Vec<&str>, Vec<usize>> = BTreeMap::new();
    for (at, row) in places.iter().enumerate() {
        let key = keys.iter().map(|column| column.get(*row).copied().unwrap_or_default()).collect();
        found.entry(key).or_default().push(at);
    }
    let mut series = vec![0; places.len()];
    for (number, rows) in (0..).zip(found.values()) {
        rows.iter().for_each(|row| series[*row] = number);
    }
    let values = |one: &Control| places.iter().filter_map(|row| one.values[*row]).collect();
    let sales = Sales {
        series,
        time: places.iter().map(|row| dataset.times.get(*row).copied().unwrap_or(0)).collect(),
        quantity: places.iter().filter_map(|row| quantity(*row)).collect(),
        price: places.iter().filter_map(|row| price(*row)).collect(),
        controls: controls.iter().map(values).collect(),
    };
    let series = found.into_keys().map(|key| key.into_iter().map(str::to_owned).collect()).collect();
    Ok(Read { sales, series, controls: controls.into_iter().map(|one| one.name).collect() })
}

struct Control {
    name: String,
    values: Vec<Option<f64>>,
}

/// A column as numbers: one, or of a text one for each value but the first.
fn control(rows: &Rows, column: &Field) -> Result<Vec<Control>, EngineError> {
    let name = column.name.clone();
    let truth = |value: &Option<bool>| value.map(|is_true| if is_true { 1.0 } else { 0.0 });
    match rows.column(&column.name) {
        Some(Values::Number(values)) => Ok(vec![Control { name, values: values.clone() }]),
        Some(Values::Boolean(values)) => {
            Ok(vec![Control { name, values: values.iter().map(truth).collect() }])
        }
        Some(Values::Text { dictionary, codes }) => {
            let mut used: Vec<&str> = codes.iter().filter_map(|code| text(dictionary, *code)).collect();
            used.sort_unstable();
            used.dedup();
            if used.len() > MOST_VALUES {
                let message = format!("column \"{name}\" has {} values, too many for a control", used.len());
                return Err(refused(message)
                    .with_detail(format!("A text of up to {MOST_VALUES} values can be one."))
                    .with_hint("What tells series apart belongs to key_columns."));
            }
            let of = |value: &&str| {
                let is_it = |code: &Option<u32>| {
                    text(dictionary, *code).map(|text| if text == *value { 1.0 } else { 0.0 })
                };
                Control { name: format!("{name}={value}"), values: codes.iter().map(is_it).collect() }
            };
            Ok(used.iter().skip(1).map(of).collect())
        }
        _ => Err(refused(format!("column \"{name}\" did not come as numbers or words"))),
    }
}

fn text(dictionary: &[String], code: Option<u32>) -> Option<&str> {
    dictionary.get(usize::try_from(code?).ok()?).map(String::as_str)
}

fn texts<'a>(rows: &'a Rows, name: &str) -> Result<Vec<&'a str>, EngineError> {
    let missing = || refused(format!("key column \"{name}\" did not come with a text for each row"));
    let Some(Values::Text { dictionary, codes }) = rows.column(name) else { return Err(missing()) };
    codes.iter().map(|code| text(dictionary, *code)).collect::<Option<_>>().ok_or_else(missing)
}

fn numbers<'a>(rows: &'a Rows, name: &str) -> Result<&'a [Option<f64>], EngineError> {
    match rows.column(name) {
        Some(Values::Number(values)) => Ok(values),
        _ => Err(refused(format!("column \"{name}\" did not come as numbers"))),
    }
}
