//! The series of a relation, as a model of series is asked about them.
//!
//! It must not know what is asked. Invariant: rows are read by a statement of the calling role and summed by the server, so what is held
//! here are some series at a time, a number for each of their periods.

use std::rc::Rc;

use ecommerce_ml_protocol::{self as protocol, Field, Reads, Rows, Table, ValueType, Values};
use pgrx::pg_sys;
use pgrx::spi::{self, SpiHeapTupleData};

use super::known_ahead::{KnownAhead, KnownColumns};
use crate::catalog::resolve::Resolved;
use crate::catalog::versions;
use crate::error::Error;
use crate::inference::{TableRow, tables};
use crate::relation::{Column, Relation};
use crate::rows;

/// Series of one question, and bytes of their values from which on there is no further one in it.
pub const SERIES_AT_ONCE: usize = 200;
const BYTES_AT_ONCE: usize = 1 << 20;
/// Series of one answer that only tells of their keys.
const KEYS_AT_ONCE: usize = 5_000;

/// The columns of a relation that make series.
pub struct SeriesColumns {
    keys: Vec<Column>,
    time: Column,
    value: Column,
    /// What is known ahead.
    known: KnownColumns,
}

/// Where series come from.
pub struct Source<'a> {
    pub relation: &'a Relation,
    pub columns: &'a SeriesColumns,
    /// How long a period is.
    unit: &'static str,
}

/// A series of the relation.
pub struct History {
    /// As the model has them.
    pub keys: Vec<String>,
    /// A JSON array of moments and quantities.
    json: String,
    /// What is known ahead.
    known: KnownAhead,
}

/// How long a period of a model is, as `date_trunc` calls it.
pub(super) fn unit(model: &Resolved) -> Result<&'static str, Error> {
    let units = ["hour", "day", "week", "month", "quarter", "year"];
    let unit = units.into_iter().find(|unit| model.info["frequency"].as_str() == Some(unit));
    unit.ok_or(Error::Unexpected("a forecast without a frequency"))
}

/// A key as JSON has it.
pub(super) fn key_value(text: &str, value_type: ValueType) -> serde_json::Value {
    let typed = match value_type {
        ValueType::Number | ValueType::Boolean => serde_json::from_str(text).ok(),
        ValueType::Text | ValueType::Timestamp => None,
    };
    typed.unwrap_or_else(|| serde_json::Value::String(text.to_owned()))
}

/// The key columns of a model.
pub fn fields(model: &Resolved) -> Vec<Field> {
    match &model.signature.reads {
        Reads::Keys(fields) => fields.clone(),
        Reads::Text | Reads::Columns(_) => Vec::new(),
    }
}

/// The keys of a series as users have them.
pub fn shown(fields: &[Field], keys: &[String]) -> serde_json::Value {
    let pair = |(field, text): (&Field, &String)| (field.name.clone(), key_value(text, field.value_type));
    serde_json::Value::Object(fields.iter().zip(keys).map(pair).collect())
}

impl SeriesColumns {
    /// Those that a model was trained on, or others for time and value; without those that are known ahead.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`], [`Error::ColumnType`]; [`Error::ArgumentMissing`] where nothing is known of the training.
    pub fn of(
        model: &Resolved,
        relation: &Relation,
        (time, value): (Option<&str>, Option<&str>),
    ) -> Result<Self, Error> {
        let missing = |argument| Error::ArgumentMissing { argument, task: model.signature.task().as_str() };
        let of_training = |argument: &'static str| {
            versions::argument(&model.name, model.version, argument)?.ok_or_else(|| missing(argument))
        };
        let name = |given: Option<&str>, argument| match given {
            Some(name) => Ok(name.to_owned()),
            None => of_training(argument),
        };
        let time = relation.column_named(&name(time, "time_column")?)?;
        let value = relation.column_named(&name(value, "label_column")?)?;
        time.require_time()?;
        value.as_number()?;
        let keys =
            fields(model).iter().map(|field| relation.column_named(&field.name)).collect::<Result<_, _>>()?;
        Ok(Self { keys, time, value, known: KnownColumns::default() })
    }

    /// The same with those that are known ahead.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`], [`Error::ColumnType`].
    pub fn with_known(self, model: &Resolved, relation: &Relation) -> Result<Self, Error> {
        Ok(Self { known: KnownColumns::of(model, relation)?, ..self })
    }
}

impl History {
    /// Adds what is known ahead from elsewhere, which replaces what was.
    pub fn know(&mut self, more: &KnownAhead) {
        self.known.extend(more);
    }
}

impl<'a> Source<'a> {
    /// The series that a model has of a relation.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for a model without periods.
    pub fn new(model: &Resolved, relation: &'a Relation, columns: &'a SeriesColumns) -> Result<Self, Error> {
        Ok(Self { relation, columns, unit: unit(model)? })
    }

    /// The last moment of all rows, in microseconds since 1970 in UTC; none without rows.
    ///
    /// # Errors
    /// The server's own.
    pub fn latest(&self) -> Result<Option<i64>, Error> {
        let latest = micros(&format!(
            "pg_catalog.date_trunc('second', pg_catalog.max({}))",
            in_utc(&self.columns.time)
        ));
        let query = format!("SELECT {latest} FROM {} AS t WHERE {}", self.relation.from(), self.counted());
        let mut found = None;
        rows::for_each(
            &query,
            &[],
            |row: &SpiHeapTupleData<'_>| row.get::<i64>(1),
            |latest| {
                found = latest;
                Ok(())
            },
        )?;
        Ok(found)
    }

    /// Hands out all series by their keys, some at a time.
    ///
    /// # Errors
    /// [`Error::ValueNotFinite`], the server's own, and those of `take`.
    pub fn for_each(&self, mut take: impl FnMut(Vec<History>) -> Result<(), Error>) -> Result<(), Error> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        rows::for_each(&self.query()?, &[], read, |(keys, moments, values, known)| {
            let Some(json) = self.json(&moments, &values)? else { return Ok(()) };
            let known = KnownAhead::new(known);
            bytes += json.len() + known.bytes();
            batch.push(History { keys, json, known });
            if batch.len() < SERIES_AT_ONCE && bytes < BYTES_AT_ONCE {
                return Ok(());
            }
            pgrx::check_for_interrupts!();
            bytes = 0;
            take(std::mem::take(&mut batch))
        })?;
        if batch.is_empty() { Ok(()) } else { take(batch) }
    }

    fn json(&self, moments: &[i64], values: &[f64]) -> Result<Option<String>, Error> {
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Error::ValueNotFinite(self.columns.value.name().to_owned()));
        }
        let pairs: Vec<String> =
            moments.iter().zip(values).map(|(moment, value)| format!("[{moment},{value:e}]")).collect();
        Ok((!pairs.is_empty()).then(|| format!("[{}]", pairs.join(","))))
    }

    /// Rows without a time, a quantity or a key are passed over, as in training.
    fn counted(&self) -> String {
        let SeriesColumns { keys, time, value, .. } = self.columns;
        let mut conditions = vec![
            format!("pg_catalog.isfinite({})", time.as_it_is()),
            format!("{} IS NOT NULL", value.as_it_is()),
        ];
        conditions.extend(keys.iter().map(|key| format!("{} IS NOT NULL", key.as_it_is())));
        conditions.join(" AND ")
    }

    fn query(&self) -> Result<String, Error> {
        let SeriesColumns { keys, time, value, known } = self.columns;
        let selected = keys.iter().enumerate().map(|(at, key)| format!("{} AS k{at}, ", key.as_key()));
        let names: Vec<String> = (0..keys.len()).map(|at| format!("k{at}")).collect();
        let listed = names.join(", ");
        let comma = |names: &str| if names.is_empty() { String::new() } else { format!("{names}, ") };
        let (grouped, ordered) = match listed.is_empty() {
            true => (String::new(), String::new()),
            false => (format!(" GROUP BY {listed}"), format!(" ORDER BY {listed}")),
        };
        Ok(format!(
            "SELECT ARRAY[{listed}]::pg_catalog.text[], pg_catalog.array_agg(g.moment ORDER BY g.moment),
                    pg_catalog.array_agg(g.total ORDER BY g.moment), {json}
             FROM (SELECT {selected}{start} AS moment, pg_catalog.sum({number}) AS total{known} FROM {from} AS t
                   WHERE {counted} GROUP BY {names}moment) AS g{grouped}{ordered}",
            selected = selected.collect::<String>(),
            start = micros(&format!("pg_catalog.date_trunc('{}', {})", self.unit, in_utc(time))),
            number = value.as_number()?,
            json = known.json(),
            known = known.of_period()?,
            from = self.relation.from(),
            counted = self.counted(),
            names = comma(&listed),
        ))
    }
}

/// Keys, moments, quantities, and what is known ahead.
type SeriesRow = (Vec<String>, Vec<i64>, Vec<f64>, Option<String>);

fn read(row: &SpiHeapTupleData<'_>) -> spi::Result<SeriesRow> {
    let (keys, moments, values) = (row.get(1)?, row.get(2)?, row.get(3)?);
    Ok((keys.unwrap_or_default(), moments.unwrap_or_default(), values.unwrap_or_default(), row.get(4)?))
}

/// A time without a time zone, as training reads it.
pub fn in_utc(time: &Column) -> String {
    // SAFETY: the type of a column exists.
    let base = unsafe { pg_sys::getBaseType(time.type_oid()) };
    match base {
        pg_sys::TIMESTAMPTZOID => {
            format!("pg_catalog.timezone('UTC', {}::pg_catalog.timestamptz)", time.as_it_is())
        }
        _ => format!("{}::pg_catalog.timestamp", time.as_it_is()),
    }
}

/// Microseconds of a moment of whole seconds.
pub(super) fn micros(moment: &str) -> String {
    format!(
        "(pg_catalog.date_part('epoch', {moment})::pg_catalog.int8 OPERATOR(pg_catalog.*) 1000000::pg_catalog.int8)"
    )
}

/// The arguments of a question about series of which this is known, with further numbers that are the same for all.
pub fn arguments(
    fields: &[Field],
    histories: &[History],
    latest: i64,
    numbers: &[(&str, Option<f64>)],
) -> Rows {
    let keys: Vec<&[String]> = histories.iter().map(|one| one.keys.as_slice()).collect();
    let mut rows = keyed(fields, &keys, numbers);
    rows.columns.push(texts("history", histories.iter().map(|one| one.json.clone()).collect()));
    rows.columns.push(protocol::Column {
        name: "latest".to_owned(),
        values: Values::Timestamp(vec![Some(latest); histories.len()]),
    });
    if histories.iter().any(|one| !one.known.is_empty()) {
        rows.columns.push(texts("known", histories.iter().map(|one| one.known.json()).collect()));
    }
    rows
}

/// The arguments of a question about series as they were trained, of which this is known ahead.
pub fn known_arguments(
    fields: &[Field],
    series: &[Vec<String>],
    known: &[&KnownAhead],
    numbers: &[(&str, Option<f64>)],
) -> Rows {
    let keys: Vec<&[String]> = series.iter().map(Vec::as_slice).collect();
    let mut rows = keyed(fields, &keys, numbers);
    rows.columns.push(texts("known", known.iter().map(|one| one.json()).collect()));
    rows
}

/// The arguments that say which series are meant, and numbers that are the same for all.
fn keyed(fields: &[Field], series: &[&[String]], numbers: &[(&str, Option<f64>)]) -> Rows {
    let key = |at: usize| series.iter().map(|keys| keys.get(at).cloned().unwrap_or_default()).collect();
    let mut columns: Vec<protocol::Column> =
        fields.iter().enumerate().map(|(at, field)| texts(&field.name, key(at))).collect();
    columns.extend(numbers.iter().map(|(name, number)| protocol::Column {
        name: (*name).to_owned(),
        values: Values::Number(vec![*number; series.len()]),
    }));
    Rows { count: u32::try_from(series.len()).unwrap_or(u32::MAX), columns }
}

/// A column of texts, none of which comes again.
fn texts(name: &str, dictionary: Vec<String>) -> protocol::Column {
    let codes = (0..).take(dictionary.len()).map(Some).collect();
    protocol::Column { name: name.to_owned(), values: Values::Text { dictionary, codes } }
}

/// A series of which no row is there.
pub fn without_rows(keys: Vec<String>) -> History {
    History { keys, json: "[]".to_owned(), known: KnownAhead::default() }
}

/// The keys of all series of a model, in their order.
///
/// # Errors
/// Those of [`tables`].
pub fn all_keys(model: &Rc<Resolved>, fields: &[Field]) -> Result<Vec<Vec<String>>, Error> {
    let mut found = Vec::new();
    for page in 0.. {
        let columns = [("horizon", 1), ("after", page * KEYS_AT_ONCE), ("count", KEYS_AT_ONCE)];
        #[allow(clippy::cast_precision_loss)]
        let columns = columns.map(|(name, value)| protocol::Column {
            name: name.to_owned(),
            values: Values::Number(vec![Some(value as f64)]),
        });
        let arguments = Rows { count: 1, columns: columns.to_vec() };
        let answer = tables(model, Table::Forecast, arguments)?.pop().unwrap_or_default();
        let keys = |row: TableRow<'_>| {
            fields.iter().map(|field| row.text(&field.name).map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        found.extend(TableRow::all(&answer).filter_map(keys));
        if (answer.count as usize) < KEYS_AT_ONCE {
            break;
        }
    }
    Ok(found)
}
