//! Columns of tables that hold what an expression over models says of each row.

use std::ffi::CStr;

use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, name, pg_extern, pg_sys};

use super::columns::column_name;
use super::options::Options;
use super::roles::context;
use super::training::interval;
use crate::catalog::privilege::require_writable;
use crate::error::Error;
use crate::kept_columns::{self, ColumnStatistics, KeepRequest, parse_mode};

/// Keeps a column.
#[pg_extern]
fn keep_column(
    relation: Option<pg_sys::Oid>,
    column_name: Option<&CStr>,
    expression: Option<&str>,
    refresh: Option<&str>,
    options: Option<JsonB>,
) -> Result<(), ErrorReport> {
    require_writable(c"keep_column()");
    let (relation, column) = named(relation, column_name)?;
    let refresh = refresh.ok_or(Error::ArgumentNull("refresh"))?;
    let options = Options::read(options.ok_or(Error::ArgumentNull("options"))?.0, "batch_rows")?;
    let batch_rows = options.count("batch_rows", 1, "a whole number of at least 1")?;
    let request = KeepRequest {
        relation,
        column,
        expression: expression.ok_or(Error::ArgumentNull("expression"))?,
        mode: parse_mode(refresh)?,
        batch_rows: batch_rows.map(|rows| u32::try_from(rows).unwrap_or(u32::MAX)),
        reads: None,
        watch: None,
    };
    Ok(kept_columns::keep(&request)?)
}

/// Waits until nothing of a kept column is stale.
#[pg_extern]
fn refresh_column(relation: Option<pg_sys::Oid>, column_name: Option<&CStr>) -> Result<(), ErrorReport> {
    require_writable(c"refresh_column()");
    let (relation, column) = named(relation, column_name)?;
    Ok(kept_columns::refresh(relation, &column)?)
}

/// Keeps a column no longer; its values stay.
#[pg_extern]
fn forget_column(relation: Option<pg_sys::Oid>, column_name: Option<&CStr>) -> Result<(), ErrorReport> {
    require_writable(c"forget_column()");
    let (relation, column) = named(relation, column_name)?;
    Ok(kept_columns::forget(relation, &column)?)
}

fn named(relation: Option<pg_sys::Oid>, column: Option<&CStr>) -> Result<(pg_sys::Oid, String), Error> {
    let relation = relation.ok_or(Error::ArgumentNull("relation"))?;
    Ok((relation, column_name(column.ok_or(Error::ArgumentNull("column_name"))?)))
}

/// The trigger of a kept column. What it returns is the row.
#[pg_extern]
fn write_kept_row(fcinfo: pg_sys::FunctionCallInfo) -> Result<i64, ErrorReport> {
    // SAFETY: the server called us with this.
    let row = unsafe {
        let trigger = context::<pg_sys::TriggerData>(fcinfo, pg_sys::NodeTag::T_TriggerData)?;
        kept_columns::write_row(trigger)?
    };
    Ok((row as usize as u64).cast_signed())
}

/// A row for each kept column that the calling role may see.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn kept_column_stats() -> Result<
    TableIterator<
        'static,
        (
            name!(relation, pg_sys::Oid),
            name!(column_name, String),
            name!(expression, String),
            name!(refresh, String),
            name!(model, Option<String>),
            name!(rows, Option<i64>),
            name!(fresh, Option<i64>),
            name!(rows_per_second, Option<f64>),
            name!(eta, Option<Interval>),
            name!(last_error, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let row = |column: ColumnStatistics| {
        (
            column.relation,
            column.column,
            column.expression,
            column.mode.to_owned(),
            column.versions,
            column.rows,
            column.fresh,
            column.rows_per_second,
            column.seconds_left.and_then(interval),
            column.error,
        )
    };
    Ok(TableIterator::new(kept_columns::statistics()?.into_iter().map(row)))
}
