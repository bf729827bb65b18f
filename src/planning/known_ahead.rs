//! Columns of a relation that are known ahead: prices and promotions of the time to come, as a model of series reads them.
//!
//! It must not know what a model makes of them. Invariant: rows are read by a statement of the calling role and brought together by the
//! server: of a period the mean of numbers, the part that is true, the most frequent text.

use std::collections::BTreeMap;

use ecommerce_ml_protocol::{Field, ValueType};
use pgrx::spi::{self, SpiHeapTupleData};

use super::history::{fields, in_utc, micros, unit};
use crate::catalog::resolve::Resolved;
use crate::catalog::versions;
use crate::error::Error;
use crate::relation::{Column, Relation};
use crate::rows;

/// What is known of the columns of a series in some periods, as JSON without its brackets: of the same period the
/// last one counts.
#[derive(Default)]
pub struct KnownAhead(String);

impl KnownAhead {
    /// From a JSON array.
    pub fn new(json: Option<String>) -> Self {
        let json = json.unwrap_or_default();
        let json = json.trim();
        Self(json.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or_default().to_owned())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// As the engine reads it.
    pub fn json(&self) -> String {
        format!("[{}]", self.0)
    }

    /// Adds what counts where both know of a period.
    pub fn extend(&mut self, more: &Self) {
        if !self.is_empty() && !more.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&more.0);
    }
}

/// The columns.
#[derive(Default)]
pub struct KnownColumns(Vec<(Column, ValueType)>);

/// The columns that a model reads of the time to come.
pub fn known_fields(model: &Resolved) -> Vec<Field> {
    serde_json::from_value(model.info["known_ahead"].clone()).unwrap_or_default()
}

impl KnownColumns {
    /// Those of a model, in its order.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`]; [`Error::ColumnType`] for another type than in training.
    pub fn of(model: &Resolved, relation: &Relation) -> Result<Self, Error> {
        let column = |field: Field| {
            let column = relation.column_named(&field.name)?;
            let now = column.as_feature()?;
            if now.value_type == field.value_type {
                Ok((column, field.value_type))
            } else {
                Err(column.unfit(match field.value_type {
                    ValueType::Number => "a number, as in training",
                    ValueType::Boolean => "boolean, as in training",
                    ValueType::Text | ValueType::Timestamp => "a text, as in training",
                }))
            }
        };
        Ok(Self(known_fields(model).into_iter().map(column).collect::<Result<_, _>>()?))
    }

    /// A JSON array of the periods of a series, of groups `g` with their moments.
    pub fn json(&self) -> String {
        if self.0.is_empty() {
            return "NULL::pg_catalog.text".to_owned();
        }
        let names: String = (0..self.0.len()).map(|at| format!(", g.f{at}")).collect();
        format!(
            "pg_catalog.json_agg(pg_catalog.json_build_array(g.moment{names}) ORDER BY g.moment)::pg_catalog.text"
        )
    }

    /// What each is in a period, as further columns of a query of relation `t`.
    ///
    /// # Errors
    /// [`Error::ColumnType`].
    pub fn of_period(&self) -> Result<String, Error> {
        let of_column = |(at, (column, value_type)): (usize, &(Column, ValueType))| {
            let own = column.as_it_is();
            let value = match value_type {
                // Intervals and times are numbers to learn from, in seconds.
                ValueType::Number if column.kind().is_err() => {
                    finite_mean(&format!("pg_catalog.date_part('epoch', {own})"))
                }
                ValueType::Number => finite_mean(&column.as_number()?),
                ValueType::Boolean => format!("pg_catalog.avg({own}::pg_catalog.int4)::pg_catalog.float8"),
                ValueType::Text | ValueType::Timestamp => {
                    format!("pg_catalog.mode() WITHIN GROUP (ORDER BY {own}::pg_catalog.text)")
                }
            };
            Ok(format!(", {value} AS f{at}"))
        };
        self.0.iter().enumerate().map(of_column).collect()
    }
}

/// The mean of a `double precision`, of which what is no number or infinite says nothing.
fn finite_mean(number: &str) -> String {
    format!(
        "pg_catalog.avg({number}) FILTER (WHERE {number} OPERATOR(pg_catalog.<) 'Infinity'::pg_catalog.float8
             AND {number} OPERATOR(pg_catalog.>) '-Infinity'::pg_catalog.float8)"
    )
}

/// What a relation says of the time to come, by the keys of series.
///
/// # Errors
/// [`Error::ReadsNoFuture`]; [`Error::UnknownColumn`] and [`Error::ColumnType`] for a relation without keys, time or columns; the server's own.
pub fn future(model: &Resolved, relation: &Relation) -> Result<BTreeMap<Vec<String>, KnownAhead>, Error> {
    if known_fields(model).is_empty() {
        return Err(Error::ReadsNoFuture(model.name.clone()));
    }
    let missing =
        || Error::ArgumentMissing { argument: "time_column", task: model.signature.task().as_str() };
    let time = versions::argument(&model.name, model.version, "time_column")?.ok_or_else(missing)?;
    let time = relation.column_named(&time)?;
    time.require_time()?;
    let keys = fields(model);
    let keys = keys.iter().map(|field| relation.column_named(&field.name)).collect::<Result<Vec<_>, _>>()?;
    let known = KnownColumns::of(model, relation)?;
    let mut conditions = vec![format!("pg_catalog.isfinite({})", time.as_it_is())];
    conditions.extend(keys.iter().map(|key| format!("{} IS NOT NULL", key.as_it_is())));
    let selected: String =
        keys.iter().enumerate().map(|(at, key)| format!("{} AS k{at}, ", key.as_key())).collect();
    let names: Vec<String> = (0..keys.len()).map(|at| format!("k{at}")).collect();
    let query = format!(
        "SELECT ARRAY[{listed}]::pg_catalog.text[], {json}
         FROM (SELECT {selected}{start} AS moment{columns} FROM {from} AS t WHERE {counted} GROUP BY {grouped}moment) AS g
         {by}",
        listed = names.join(", "),
        json = known.json(),
        start = micros(&format!("pg_catalog.date_trunc('{}', {})", unit(model)?, in_utc(&time))),
        columns = known.of_period()?,
        from = relation.from(),
        counted = conditions.join(" AND "),
        grouped = names.iter().map(|name| format!("{name}, ")).collect::<String>(),
        by = if names.is_empty() { "HAVING pg_catalog.count(*) > 0".to_owned() } else { format!("GROUP BY {}", names.join(", ")) },
    );
    let mut found = BTreeMap::new();
    rows::for_each(&query, &[], read, |(keys, json)| {
        found.insert(keys, KnownAhead::new(json));
        Ok(())
    })?;
    Ok(found)
}

fn read(row: &SpiHeapTupleData<'_>) -> spi::Result<(Vec<String>, Option<String>)> {
    Ok((row.get::<Vec<String>>(1)?.unwrap_or_default(), row.get(2)?))
}
