//! A picture of one series of a model: what it was, as far as the calling role may read it, and what it comes to.
//!
//! It must not know how a picture is drawn: that is `ecommerce_ml_report`'s. Invariant: the past is read by a statement of the calling
//! role, and only where that role may read it; who may ask the model gets a picture anyway, without the past.

use ecommerce_ml_report::picture::forecast::{Expected, Observed, Plot, forecast};
use pgrx::spi::SpiHeapTupleData;
use pgrx::{pg_sys, spi};
use serde_json::Value;

use super::forecasts::{self, Forecast, Question};
use super::history::in_utc;
use crate::catalog::resolve::Resolved;
use crate::columns::EPOCH;
use crate::error::Error;
use crate::inference::model_of;
use crate::relation::Relation;
use crate::rows;

/// Periods of the past that are shown for each that is to come, and at least and at most.
const PAST: usize = 4;
const LEAST_PAST: usize = 24;
const MOST_PAST: usize = 400;

/// The picture; nothing if the model has no such series.
///
/// # Errors
/// Those of [`forecasts::find`]; [`Error::ArgumentValue`] if the keys are those of several series.
pub fn plot(question: &Question<'_>) -> Result<Option<String>, Error> {
    let found = forecasts::find(question)?;
    let Some(first) = found.first() else { return Ok(None) };
    if found.iter().any(|one| one.keys != first.keys) {
        return Err(Error::ArgumentValue {
            argument: "keys",
            expected: "the key columns of one series, with their values",
        });
    }
    let model = model_of(Some(question.model))?;
    let unit = match model.info["frequency"].as_str() {
        Some(unit @ ("hour" | "day" | "week" | "month" | "quarter" | "year")) => unit,
        _ => return Err(Error::Unexpected("a forecast without a frequency")),
    };
    let past = (found.len() * PAST).clamp(LEAST_PAST, MOST_PAST);
    let history = history(&model, first, (unit, past))?;
    let times = times(&found, unit)?;
    let expected = found.iter().zip(times).map(|(one, time)| Expected {
        time,
        value: one.value,
        lower: one.lower,
        upper: one.upper,
    });
    Ok(Some(forecast(&Plot {
        title: title(&model, &first.keys),
        method: first.method.clone(),
        level: question.level,
        history,
        forecast: expected.collect(),
    })))
}

fn title(model: &Resolved, keys: &Value) -> String {
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let keys: Vec<String> = keys.as_object().into_iter().flatten().map(|(_, value)| shown(value)).collect();
    if keys.is_empty() { model.name.clone() } else { format!("{}: {}", model.name, keys.join(", ")) }
}

/// How a moment is written, whole periods as short as can be.
fn format_of(unit: &str) -> &'static str {
    match unit {
        "hour" => "YYYY-MM-DD HH24:MI",
        "month" => "YYYY-MM",
        "quarter" => "YYYY \"Q\"Q",
        "year" => "YYYY",
        _ => "YYYY-MM-DD",
    }
}

/// A moment as SQL has it, without a time zone: forecasts are in UTC, as the times are that they were learned from.
fn moment(one: &Forecast) -> String {
    let micros = one.time.into_inner().saturating_add(EPOCH);
    format!(
        "('1970-01-01'::pg_catalog.timestamp OPERATOR(pg_catalog.+) '{micros} microseconds'::pg_catalog.interval)"
    )
}

/// When the periods to come begin.
fn times(found: &[Forecast], unit: &str) -> Result<Vec<String>, Error> {
    let moments = found.iter().map(moment).collect::<Vec<_>>().join(", ");
    let query = format!(
        "SELECT pg_catalog.to_char(u.moment, '{}') FROM pg_catalog.unnest(ARRAY[{moments}]) WITH ORDINALITY AS u(moment, place)
         ORDER BY u.place",
        format_of(unit)
    );
    let mut times = Vec::new();
    rows::for_each(
        &query,
        &[],
        |row: &SpiHeapTupleData<'_>| row.get::<String>(1),
        |time| {
            times.push(time.unwrap_or_default());
            Ok(())
        },
    )?;
    Ok(times)
}

/// What a version was trained on.
struct Recipe {
    relation: Option<pg_sys::Oid>,
    value: Option<String>,
    time: Option<String>,
    keys: Vec<String>,
    is_zero_between: bool,
}

/// The training that made the version, if the calling role sees it and may read what it read.
const RECIPE: &str = "
SELECT r.oid, j.label_column::pg_catalog.text, j.time_column::pg_catalog.text, j.key_columns::pg_catalog.text[],
       coalesce(j.options OPERATOR(pg_catalog.->>) 'gaps', 'zero') OPERATOR(pg_catalog.=) 'zero'
FROM ecommerce_ml.jobs AS j
JOIN pg_catalog.pg_class AS r ON r.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(j.relation::pg_catalog.text)
WHERE j.name OPERATOR(pg_catalog.=) $1 AND j.version::pg_catalog.text OPERATOR(pg_catalog.=) $2
  AND NOT j.options OPERATOR(pg_catalog.?) 'where' AND pg_catalog.has_schema_privilege(r.relnamespace, 'USAGE')
  AND NOT EXISTS (
      SELECT FROM pg_catalog.unnest(
          ARRAY[j.label_column, j.time_column]::pg_catalog.text[] OPERATOR(pg_catalog.||) j.key_columns::pg_catalog.text[]) AS c(name)
      WHERE c.name IS NOT NULL AND NOT coalesce((
          SELECT pg_catalog.has_column_privilege(r.oid, a.attnum, 'SELECT') FROM pg_catalog.pg_attribute AS a
          WHERE a.attrelid OPERATOR(pg_catalog.=) r.oid AND a.attname OPERATOR(pg_catalog.=) c.name::pg_catalog.name
            AND NOT a.attisdropped), false))
ORDER BY j.job DESC LIMIT 1";

fn read_recipe(row: &SpiHeapTupleData<'_>) -> spi::Result<Recipe> {
    Ok(Recipe {
        relation: row.get(1)?,
        value: row.get(2)?,
        time: row.get(3)?,
        keys: row.get(4)?.unwrap_or_default(),
        is_zero_between: row.get(5)?.unwrap_or(false),
    })
}

/// The latest periods of the past, in order; none if it can't be had.
fn history(model: &Resolved, first: &Forecast, (unit, most): (&str, usize)) -> Result<Vec<Observed>, Error> {
    let mut recipe = None;
    rows::for_each(RECIPE, &[&model.name, &model.version.to_string()], read_recipe, |found| {
        recipe = Some(found);
        Ok(())
    })?;
    let Some(recipe) = recipe else { return Ok(Vec::new()) };
    let (Some(relation), Some(value), Some(time)) = (recipe.relation, &recipe.value, &recipe.time) else {
        return Ok(Vec::new());
    };
    let relation = Relation::open(relation)?;
    let (value, time) = (relation.column_named(value)?, relation.column_named(time)?);
    let columns = recipe.keys.iter().map(|key| relation.column_named(key)).collect::<Result<Vec<_>, _>>()?;
    let (number, when) = (value.as_number()?, time.as_it_is());
    let texts: Vec<String> = recipe.keys.iter().map(|key| text_of(&first.keys[key.as_str()])).collect();
    let keys = columns.iter().enumerate().map(|(at, key)| {
        format!(" AND ({})::pg_catalog.text OPERATOR(pg_catalog.=) ${}", key.as_key(), at + 1)
    });
    let start = format!("pg_catalog.date_trunc('{unit}', {})", in_utc(&time));
    let step = if unit == "quarter" { "3 months".to_owned() } else { format!("1 {unit}") };
    let end = moment(first);
    let between = if recipe.is_zero_between { "coalesce(h.value, 0)" } else { "h.value" };
    let query = format!(
        "WITH h AS MATERIALIZED (
             SELECT {start} AS start, pg_catalog.sum({number}) AS value FROM {from} AS t
             WHERE pg_catalog.isfinite({when}) AND {start} OPERATOR(pg_catalog.<) {end}{keys} GROUP BY 1)
         SELECT pg_catalog.to_char(g.start, '{format}'), {between}
         FROM pg_catalog.generate_series(
             greatest((SELECT pg_catalog.min(h.start) FROM h), {end} OPERATOR(pg_catalog.-) ({most} OPERATOR(pg_catalog.*) '{step}'::pg_catalog.interval)),
             {end} OPERATOR(pg_catalog.-) '{step}'::pg_catalog.interval, '{step}'::pg_catalog.interval) AS g(start)
         LEFT JOIN h ON h.start OPERATOR(pg_catalog.=) g.start
         WHERE EXISTS (SELECT FROM h) ORDER BY g.start",
        from = relation.from(),
        keys = keys.collect::<String>(),
        format = format_of(unit)
    );
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut history = Vec::new();
    rows::for_each(&query, &texts, rows::read_pair::<String, f64>, |(time, value)| {
        let value = value.filter(|value| value.is_finite());
        history.push(Observed { time: time.unwrap_or_default(), value });
        Ok(())
    })?;
    Ok(history)
}

/// The text that a key had in the relation.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
