//! Rows that a model has a look at when they are written.

use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, name, pg_extern, pg_sys};

use super::options::Options;
use super::roles::context;
use crate::catalog::privilege::require_writable;
use crate::error::Error;
use crate::kept_columns::{self, WatchRequest, WatchStatistics, parse_mode};

/// Most alerts of a relation within a day, at most.
const MOST: i32 = 10_000;

/// Watches the rows that are written into a table.
#[pg_extern]
fn watch_rows(
    relation: Option<pg_sys::Oid>,
    model: Option<&str>,
    condition: Option<&str>,
    budget: Option<i32>,
    refresh: Option<&str>,
    options: Option<JsonB>,
) -> Result<(), ErrorReport> {
    require_writable(c"watch_rows()");
    let budget = budget.ok_or(Error::ArgumentNull("budget"))?;
    if !(1..=MOST).contains(&budget) {
        return Err(Error::ArgumentValue { argument: "budget", expected: "from 1 to 10000" }.into());
    }
    let options =
        Options::read(options.ok_or(Error::ArgumentNull("options"))?.0, "label, text_column, score_column")?;
    let text = |name| options.text(name, "a text", |text| Some(text.to_owned()));
    let request = WatchRequest {
        relation: relation.ok_or(Error::ArgumentNull("relation"))?,
        model: model.ok_or(Error::ArgumentNull("model"))?,
        condition: condition.ok_or(Error::ArgumentNull("condition"))?,
        budget: budget.unsigned_abs(),
        mode: parse_mode(refresh.ok_or(Error::ArgumentNull("refresh"))?)?,
        label: text("label")?,
        text_column: text("text_column")?,
        score_column: text("score_column")?,
    };
    Ok(kept_columns::watch(&request)?)
}

/// Watches them no longer.
#[pg_extern]
fn unwatch_rows(relation: Option<pg_sys::Oid>, model: Option<&str>) -> Result<(), ErrorReport> {
    require_writable(c"unwatch_rows()");
    let relation = relation.ok_or(Error::ArgumentNull("relation"))?;
    Ok(kept_columns::unwatch(relation, model.ok_or(Error::ArgumentNull("model"))?)?)
}

/// The trigger of watched rows that are scored while they are written.
#[pg_extern]
fn watch_written_row(fcinfo: pg_sys::FunctionCallInfo) -> Result<i64, ErrorReport> {
    // SAFETY: the server called us with this.
    unsafe {
        let trigger = context::<pg_sys::TriggerData>(fcinfo, pg_sys::NodeTag::T_TriggerData)?;
        kept_columns::watch_row(trigger)?;
    }
    Ok(0)
}

/// A row for each table and model that the calling role may see.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn watched_row_stats() -> Result<
    TableIterator<
        'static,
        (
            name!(relation, pg_sys::Oid),
            name!(model, String),
            name!(condition, String),
            name!(budget, i64),
            name!(refresh, String),
            name!(score_column, String),
            name!(waiting, Option<i64>),
            name!(last_error, Option<String>),
            name!(relation_name, String),
        ),
    >,
    ErrorReport,
> {
    let row = |watch: WatchStatistics| {
        (
            watch.relation,
            watch.model,
            watch.condition,
            watch.budget,
            watch.mode.to_owned(),
            watch.column,
            watch.waiting,
            watch.error,
            watch.table,
        )
    };
    Ok(TableIterator::new(kept_columns::watch_statistics()?.into_iter().map(row)))
}
