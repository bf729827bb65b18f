//! The rows of a relation that are most unlike those that a model has learned from, and what makes them so; of a model of series, periods
//! instead of rows.
//!
//! Invariant: a row that can't be scored isn't left out in silence: the statement fails.

use ecommerce_ml_protocol::Task;
use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::quote_identifier;
use pgrx::spi::{self, SpiHeapTupleData};

use super::series;
use crate::catalog::resolve::{Resolved, resolve};
use crate::catalog::versions;
use crate::error::Error;
use crate::relation::Relation;
use crate::rows;

/// Columns that a reason names, at most.
const REASONS: i32 = 5;

/// What came in a period, and what was expected of it.
pub struct Expectation {
    pub observed: f64,
    pub expected: f64,
    pub lower: f64,
    pub upper: f64,
}

/// A row that is unlike the others.
pub struct Anomaly {
    /// Its primary key, or all of it where there is none.
    pub keys: JsonB,
    pub time: Option<TimestampWithTimeZone>,
    /// Of a period: what came beside what was expected.
    pub expectation: Option<Expectation>,
    pub score: f64,
    /// The columns that speak most for it: an array of objects.
    pub reason: JsonB,
}

/// So many rows with the highest scores, those first.
///
/// # Errors
/// [`Error::NoSuchTable`] for a model of another task, [`Error::UnknownModel`] and those of [`versions::recipe`] where no relation is
/// named, and the server's own.
pub fn find(model: &str, relation: Option<Relation>, budget: i32) -> Result<Vec<Anomaly>, Error> {
    let resolved = resolve(model)?;
    let task = resolved.signature.task();
    if !matches!(task, Task::Anomaly | Task::Forecast) {
        return Err(Error::NoAnomalies { model: resolved.name.clone(), task: task.as_str() });
    }
    let relation = match relation {
        Some(relation) => relation,
        None => Relation::named(&versions::recipe(&resolved.name)?.relation)?,
    };
    if task == Task::Forecast {
        return series::find(&resolved, &relation, budget);
    }
    let qualified = format!("{}@{}", resolved.name, resolved.version);
    let mut found = Vec::new();
    rows::for_each(&query(&relation, &resolved, budget)?, &[&qualified], read, |row| {
        found.extend(row);
        Ok(())
    })?;
    Ok(found)
}

fn read(row: &SpiHeapTupleData<'_>) -> spi::Result<Option<Anomaly>> {
    let (keys, time, score, reason) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
    Ok(keys.zip(score).map(|(keys, score)| Anomaly {
        keys,
        time,
        expectation: None,
        score,
        reason: reason.unwrap_or(JsonB(serde_json::json!([]))),
    }))
}

/// Scores all rows, then explains the few that are kept.
fn query(relation: &Relation, model: &Resolved, budget: i32) -> Result<String, Error> {
    let from = relation.from();
    let keys = relation.primary_key()?;
    let keys = match keys.as_slice() {
        [] => "pg_catalog.to_jsonb(s.t)".to_owned(),
        keys => {
            let pair = |key: &String| format!("{}, (s.t).{}", literal(key), quote_identifier(key));
            format!("pg_catalog.jsonb_build_object({})", keys.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    };
    let time = match versions::argument(&model.name, model.version, "time_column")? {
        Some(name) if relation.columns()?.iter().any(|column| column.name() == name) => {
            relation.column_named(&name)?.require_time()?;
            format!("(s.t).{}::pg_catalog.timestamptz", quote_identifier(&name))
        }
        _ => "NULL::pg_catalog.timestamptz".to_owned(),
    };
    Ok(format!(
        "SELECT {keys}, {time}, s.score,
                (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                            'column', e.feature, 'value', e.value, 'contribution', e.contribution)
                            ORDER BY e.contribution DESC, e.feature)
                 FROM (SELECT * FROM ecommerce_ml.explain_prediction(s.t, $1) AS all_features
                       WHERE all_features.contribution OPERATOR(pg_catalog.>) 0
                       ORDER BY all_features.contribution DESC, all_features.feature LIMIT {REASONS}) AS e)
         FROM (SELECT t, ecommerce_ml.predict_value(t, $1) AS score FROM {from} AS t
               ORDER BY score DESC NULLS LAST, t::pg_catalog.text LIMIT {budget}) AS s
         ORDER BY s.score DESC, s.t::pg_catalog.text"
    ))
}

fn literal(text: &str) -> String {
    spi::quote_literal(text)
}
