//! What a model's series come to.
//!
//! It must not know how series are forecast. Invariant: series are asked for some at a time, so that no answer of the engine grows with
//! their number.

use std::collections::BTreeMap;
use std::rc::Rc;

use ecommerce_ml_protocol::{Column, Field, Rows, Table, Values};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use serde_json::{Map, Value};

use super::history::{self, SERIES_AT_ONCE, SeriesColumns, Source};
use super::known_ahead::{KnownAhead, future};
use crate::catalog::resolve::Resolved;
use crate::columns::EPOCH;
use crate::error::Error;
use crate::inference::{TableRow, model_of, tables};
use crate::relation::Relation;

/// Rows of one answer of the engine, about: some megabytes.
const ROWS_AT_ONCE: usize = 50_000;
/// Periods of each series, where the model says how many.
const PERIODS: usize = 100;

/// What is asked.
pub struct Question<'a> {
    pub model: &'a str,
    /// Periods ahead; those that the model was trained for if there are none.
    pub horizon: Option<usize>,
    /// Part of the values that intervals cover.
    pub level: f64,
    /// Values of key columns; of all series if there are none.
    pub keys: Option<Value>,
    /// What series are now, to go on from; from the training on without it.
    pub history: Option<&'a Relation>,
    /// What is known of the time to come; what was known last stays without it.
    pub future: Option<&'a Relation>,
}

/// A period of a series.
pub struct Forecast {
    pub keys: Value,
    pub time: TimestampWithTimeZone,
    pub value: f64,
    pub lower: f64,
    pub upper: f64,
    pub method: String,
}

/// The forecasts of all series that are asked for, by keys and time.
///
/// # Errors
/// [`Error::ArgumentValue`] for keys that the model doesn't have, those of [`future`] and [`tables`], and the engine's.
pub fn find(question: &Question<'_>) -> Result<Vec<Forecast>, Error> {
    let model = model_of(Some(question.model))?;
    let columns = history::fields(&model);
    let keys = wanted(question.keys.as_ref(), &columns)?;
    let future = question.future.map(|relation| future(&model, relation)).transpose()?;
    if let Some(relation) = question.history {
        return continued(question, &model, relation, (&keys, &future.unwrap_or_default()));
    }
    if let Some(future) = future {
        return with_future(question, &model, (&keys, &future));
    }
    let count = (ROWS_AT_ONCE / question.horizon.unwrap_or(PERIODS).max(1)).max(1);
    let mut found = Vec::new();
    for page in 0.. {
        pgrx::check_for_interrupts!();
        let arguments = arguments(question, &keys, page * count, count);
        let answer = tables(&model, Table::Forecast, arguments)?.pop().unwrap_or_default();
        if answer.count == 0 {
            break;
        }
        add(&mut found, &[answer], &columns)?;
    }
    Ok(found)
}

/// What is known ahead, by the keys of series.
type Future = BTreeMap<Vec<String>, KnownAhead>;

/// The forecasts of the series of a relation that the model has, from the end of its rows.
fn continued(
    question: &Question<'_>,
    model: &Rc<Resolved>,
    relation: &Relation,
    (wanted, future): (&[(String, String)], &Future),
) -> Result<Vec<Forecast>, Error> {
    let fields = history::fields(model);
    let columns = SeriesColumns::of(model, relation, (None, None))?.with_known(model, relation)?;
    let source = Source::new(model, relation, &columns)?;
    let Some(latest) = source.latest()? else { return Ok(Vec::new()) };
    let numbers = numbers(question);
    let mut found = Vec::new();
    source.for_each(|mut histories| {
        histories.retain(|history| has(&fields, &history.keys, wanted));
        for history in &mut histories {
            if let Some(more) = future.get(&history.keys) {
                history.know(more);
            }
        }
        let arguments = history::arguments(&fields, &histories, latest, &numbers);
        add(&mut found, &tables(model, Table::Forecast, arguments)?, &fields)
    })?;
    Ok(found)
}

/// The forecasts of all series from the end of the training, with what is known of the time to come.
fn with_future(
    question: &Question<'_>,
    model: &Rc<Resolved>,
    (wanted, future): (&[(String, String)], &Future),
) -> Result<Vec<Forecast>, Error> {
    let fields = history::fields(model);
    let mut series = history::all_keys(model, &fields)?;
    series.retain(|keys| has(&fields, keys, wanted));
    let nothing = KnownAhead::default();
    let mut found = Vec::new();
    for some in series.chunks(SERIES_AT_ONCE) {
        pgrx::check_for_interrupts!();
        let known: Vec<&KnownAhead> = some.iter().map(|keys| future.get(keys).unwrap_or(&nothing)).collect();
        let arguments = history::known_arguments(&fields, some, &known, &numbers(question));
        add(&mut found, &tables(model, Table::Forecast, arguments)?, &fields)?;
    }
    Ok(found)
}

/// Whether these are among the wanted keys.
fn has(fields: &[Field], keys: &[String], wanted: &[(String, String)]) -> bool {
    let has = |(name, text): &(String, String)| {
        fields.iter().zip(keys).any(|(field, key)| field.name == *name && key == text)
    };
    wanted.iter().all(has)
}

#[allow(clippy::cast_precision_loss)]
fn numbers(question: &Question<'_>) -> [(&'static str, Option<f64>); 2] {
    [("horizon", question.horizon.map(|horizon| horizon as f64)), ("level", Some(question.level))]
}

fn add(found: &mut Vec<Forecast>, answers: &[Rows], fields: &[Field]) -> Result<(), Error> {
    for answer in answers {
        for row in TableRow::all(answer) {
            found.push(forecast(row, fields).ok_or(UNEXPECTED)?);
        }
    }
    Ok(())
}

const UNEXPECTED: Error = Error::Unexpected("a forecast without time or value");

/// The value of each key column; none where any will do.
fn wanted(keys: Option<&Value>, columns: &[Field]) -> Result<Vec<(String, String)>, Error> {
    let refused = || Error::ArgumentValue {
        argument: "keys",
        expected: "an object of key columns of the model, each with a value",
    };
    let Some(keys) = keys.filter(|keys| !keys.is_null()) else { return Ok(Vec::new()) };
    let given = keys.as_object().ok_or_else(refused)?;
    let key = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(is_true) => is_true.to_string(),
            _ => return Err(refused()),
        };
        columns.iter().any(|column| column.name == *name).then(|| (name.clone(), text)).ok_or_else(refused)
    };
    given.iter().map(key).collect()
}

#[allow(clippy::cast_precision_loss)]
fn arguments(question: &Question<'_>, keys: &[(String, String)], after: usize, count: usize) -> Rows {
    let number = |name: &str, value: Option<f64>| Column {
        name: name.to_owned(),
        values: Values::Number(vec![value]),
    };
    let mut columns = vec![
        number("horizon", question.horizon.map(|horizon| horizon as f64)),
        number("level", Some(question.level)),
        number("after", Some(after as f64)),
        number("count", Some(count as f64)),
    ];
    columns.extend(keys.iter().map(|(name, value)| Column {
        name: name.clone(),
        values: Values::Text { dictionary: vec![value.clone()], codes: vec![Some(0)] },
    }));
    Rows { count: 1, columns }
}

fn forecast(row: TableRow<'_>, columns: &[Field]) -> Option<Forecast> {
    // A sum has no more keys than tell of it.
    let key = |field: &Field| {
        Some((field.name.clone(), history::key_value(row.text(&field.name)?, field.value_type)))
    };
    Some(Forecast {
        keys: Value::Object(columns.iter().filter_map(key).collect::<Map<_, _>>()),
        time: moment(row.timestamp("time")?),
        value: row.number("value")?,
        lower: row.number("lower")?,
        upper: row.number("upper")?,
        method: row.text("method")?.to_owned(),
    })
}

/// Microseconds since 1970 as the server has them; infinite beyond its range.
pub fn moment(microseconds: i64) -> TimestampWithTimeZone {
    let infinite = || {
        let end = if microseconds > 0 { pg_sys::TimestampTz::MAX } else { pg_sys::TimestampTz::MIN };
        TimestampWithTimeZone::try_from(end).unwrap_or_else(|_| pgrx::datum::to_timestamp(0.0))
    };
    TimestampWithTimeZone::try_from(microseconds.saturating_sub(EPOCH)).unwrap_or_else(|_| infinite())
}
