//! A loaded model behind the boundary of all kinds.
//!
//! It must not know files. Invariant: [`Predictor::submit`] takes a fraction of a millisecond, however many customers there are.

use std::sync::Arc;

use ecommerce_ml_predictor::{ModelPrecision, Pending, Predictor};
use ecommerce_ml_protocol::{Answers, Column, EngineError, Input, ModelInfo, Output, Rows, Table, Values};

use super::model::LifetimeModel;
use super::refused;
use crate::learning::past_rate;

/// Most customers of an answer.
const MOST_ROWS: usize = 100_000;
/// Longest time ahead, in seconds: a century.
const MOST_SECONDS: f64 = 100.0 * 365.25 * 86_400.0;

/// A model that answers.
#[derive(Debug)]
pub struct LifetimePredictor {
    info: ModelInfo,
    precision: ModelPrecision,
    model: Arc<LifetimeModel>,
}

impl LifetimePredictor {
    /// Of a model that is ready, whose files take so many bytes.
    #[must_use]
    pub fn new((model, bytes): (LifetimeModel, u64)) -> Self {
        let precision = ModelPrecision { name: "f64", note: String::new() };
        Self { info: model.info(bytes), precision, model: Arc::new(model) }
    }
}

impl Predictor for LifetimePredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn precision(&self) -> &ModelPrecision {
        &self.precision
    }

    fn submit(&self, input: Input, output: Output) -> Pending {
        let (Input::Rows(arguments), Output::Table(Table::Lifetimes)) = (input, output) else {
            return Pending::ready(Err(refused("model only answers what its customers will do")));
        };
        let model = Arc::clone(&self.model);
        Pending::on_thread("lifetimes", move || answer(&model, &arguments))
    }
}

fn answer(model: &LifetimeModel, arguments: &Rows) -> Result<Answers, EngineError> {
    let tables = (0..arguments.count as usize).map(|row| lifetimes(model, arguments, row));
    tables.collect::<Result<_, _>>().map(Answers::Tables)
}

fn lifetimes(model: &LifetimeModel, arguments: &Rows, row: usize) -> Result<Rows, EngineError> {
    let seconds = number(arguments, "horizon", row).unwrap_or(f64::NAN);
    if !(seconds > 0.0 && seconds <= MOST_SECONDS) {
        return Err(refused("\"horizon\" must be above 0 and at most a hundred years"));
    }
    let horizon = seconds / 86_400.0;
    let (after, count) = (size(arguments, "after", row)?, size(arguments, "count", row)?);
    let (after, count) = (after.unwrap_or(0), count.unwrap_or(usize::MAX));
    let known = || model.customers.iter().zip(&model.histories).skip(after).take(count);
    if known().count() > MOST_ROWS {
        return Err(refused(format!("lifetimes of more than {MOST_ROWS} customers at once"))
            .with_hint("Ask for fewer customers at a time."));
    }
    let expected: Vec<_> = known().map(|(_, history)| model.expect(history, horizon)).collect();
    let past = known().map(|(_, history)| past_rate(history, horizon));
    let has_amounts = model.model.spend.is_some();
    let (past_purchases, past_values): (Vec<_>, Vec<_>) =
        past.map(|(purchases, value)| (Some(purchases), has_amounts.then_some(value))).unzip();
    let names: Vec<String> = known().map(|(name, _)| name.clone()).collect();
    let codes = (0..names.len()).map(|code| u32::try_from(code).ok()).collect();
    let column = |name: &str, values: Vec<Option<f64>>| Column {
        name: name.to_owned(),
        values: Values::Number(values),
    };
    let customer = Column { name: "customer".to_owned(), values: Values::Text { dictionary: names, codes } };
    Ok(Rows {
        count: u32::try_from(expected.len()).unwrap_or(u32::MAX),
        columns: vec![
            customer,
            column("alive", expected.iter().map(|one| Some(one.alive)).collect()),
            column("purchases", expected.iter().map(|one| one.purchases).collect()),
            column("value", expected.iter().map(|one| one.value).collect()),
            column("lower", expected.iter().map(|one| Some(one.interval.0)).collect()),
            column("upper", expected.iter().map(|one| Some(one.interval.1)).collect()),
            column("past_purchases", past_purchases),
            column("past_value", past_values),
        ],
    })
}

fn number(rows: &Rows, name: &str, row: usize) -> Option<f64> {
    let Values::Number(values) = rows.column(name)? else { return None };
    values.get(row).copied().flatten()
}

/// A count; none if it isn't given.
fn size(rows: &Rows, name: &str, row: usize) -> Result<Option<usize>, EngineError> {
    match number(rows, name, row) {
        None => Ok(None),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(size) if size.fract() == 0.0 && (0.0..=1e15).contains(&size) => Ok(Some(size as usize)),
        Some(size) => Err(refused(format!("\"{name}\" must be a whole number of at least 0, not {size}"))),
    }
}
