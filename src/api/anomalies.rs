//! What is unlike the rest.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, name, pg_extern, pg_sys};

use crate::error::Error;
use crate::explanation::anomalies::{Anomaly, Expectation, find};
use crate::relation::Relation;

/// Rows of an answer, unless a call says otherwise, and at most.
const BUDGET: i32 = 100;
const MOST: i32 = 100_000;

/// The most suspicious rows, or periods, of a relation, or of the one that the model was trained on. Without a model there is nothing to say.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn detect_anomalies(
    model: Option<&str>,
    relation: Option<pg_sys::Oid>,
    budget: Option<i32>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(keys, JsonB),
            name!(time, Option<TimestampWithTimeZone>),
            name!(observed, Option<f64>),
            name!(expected, Option<f64>),
            name!(lower, Option<f64>),
            name!(upper, Option<f64>),
            name!(score, f64),
            name!(reason, JsonB),
        ),
    >,
    ErrorReport,
> {
    let Some(model) = model else { return Ok(TableIterator::empty()) };
    let budget = budget.unwrap_or(BUDGET);
    if !(1..=MOST).contains(&budget) {
        return Err(Error::ArgumentValue { argument: "budget", expected: "from 1 to 100000" }.into());
    }
    let relation = relation.map(Relation::open).transpose()?;
    let row = |Anomaly { keys, time, expectation, score, reason }: Anomaly| {
        let of = |number: fn(&Expectation) -> f64| expectation.as_ref().map(number);
        let (observed, expected) = (of(|one| one.observed), of(|one| one.expected));
        (keys, time, observed, expected, of(|one| one.lower), of(|one| one.upper), score, reason)
    };
    Ok(TableIterator::new(find(model, relation, budget)?.into_iter().map(row).collect::<Vec<_>>()))
}
