//! The statement behind `training_window`: what was known of each customer at a moment, and what came after it.
//!
//! It must not know models. Invariant: a feature is computed from rows before the cutoff alone, a label from rows at or after it
//! and before the end of the horizon; no other row has a part in either.

use pgrx::Spi;
use pgrx::datum::{DatumWithOid, Interval, TimestampWithTimeZone};
use pgrx::pg_sys;

use crate::error::Error;
use crate::relation::{Column, Relation};

/// The columns that a call names.
pub struct WindowColumns {
    pub customer: Column,
    pub time: Column,
    pub amount: Option<Column>,
}

/// The moments that a call names.
pub struct Moments {
    pub cutoff: TimestampWithTimeZone,
    /// None: there are no labels yet.
    pub horizon: Option<Interval>,
    /// Until when the relation has all rows; none: until its latest.
    pub complete_until: Option<TimestampWithTimeZone>,
}

/// The statement, whose parameters are cutoff and horizon.
///
/// # Errors
/// [`Error::ArgumentValue`], [`Error::ColumnType`], [`Error::HorizonIncomplete`]; the server's own for a relation that the role may
/// not read.
pub fn statement(relation: &Relation, columns: &WindowColumns, moments: &Moments) -> Result<String, Error> {
    columns.time.require_time()?;
    let amount = columns.amount.as_ref().map(Column::as_number).transpose()?;
    check_moments(moments)?;
    let time = format!("{}::pg_catalog.timestamptz", columns.time.as_it_is());
    check_complete(relation, &columns.time, &time, moments)?;
    Ok(text(relation, columns.customer.as_it_is(), &time, amount.as_deref()))
}

/// An infinite cutoff has nothing on one of its sides, and a horizon that doesn't lead past it has no labels.
fn check_moments(moments: &Moments) -> Result<(), Error> {
    let query = "SELECT pg_catalog.isfinite($1), $1 OPERATOR(pg_catalog.+) $2 OPERATOR(pg_catalog.>) $1";
    let (is_finite, is_ahead) = Spi::connect(|client| {
        let found =
            client.select(query, Some(1), &[moments.cutoff.into(), argument(moments.horizon)])?.first();
        Ok::<_, Error>((found.get::<bool>(1)?, found.get::<bool>(2)?))
    })?;
    if is_finite != Some(true) {
        return Err(Error::ArgumentValue { argument: "cutoff", expected: "a finite timestamp" });
    }
    if is_ahead == Some(false) {
        return Err(Error::ArgumentValue {
            argument: "horizon",
            expected: "an interval of more than nothing",
        });
    }
    Ok(())
}

/// Refuses labels of a time that isn't over, as far as the rows, or the caller, tell: customers would seem lost who have had no
/// time to come again. A row of a date says that its day is over; one of the future says nothing of the time before it.
fn check_complete(relation: &Relation, column: &Column, time: &str, moments: &Moments) -> Result<(), Error> {
    let Some(horizon) = moments.horizon else { return Ok(()) };
    // SAFETY: the type of a column exists.
    let is_date = unsafe { pg_sys::getBaseType(column.type_oid()) } == pg_sys::DATEOID;
    let day = if is_date { "1 day" } else { "0" };
    let query = format!(
        "SELECT f.until OPERATOR(pg_catalog.<) ($1 OPERATOR(pg_catalog.+) $2), f.until::pg_catalog.text,
                ($1 OPERATOR(pg_catalog.+) $2)::pg_catalog.text, (f.until OPERATOR(pg_catalog.-) $2)::pg_catalog.text
         FROM (SELECT coalesce($3, (
             SELECT least(pg_catalog.max({time}) OPERATOR(pg_catalog.+) '{day}'::pg_catalog.interval, pg_catalog.now())
             FROM {from} AS t WHERE pg_catalog.isfinite({raw}) HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0)) AS until) AS f",
        from = relation.from(),
        raw = column.as_it_is(),
    );
    let arguments = [moments.cutoff.into(), horizon.into(), argument(moments.complete_until)];
    let (is_short, said) = Spi::connect(|client| {
        let found = client.select(&query, Some(1), &arguments)?.first();
        let said = [found.get::<String>(2)?, found.get(3)?, found.get(4)?];
        Ok::<_, Error>((found.get::<bool>(1)?, said.map(Option::unwrap_or_default)))
    })?;
    let [until, ends, latest_cutoff] = said;
    if is_short != Some(true) {
        return Ok(());
    }
    Err(Error::HorizonIncomplete { relation: relation.name().to_owned(), until, ends, latest_cutoff })
}

fn argument<T: pgrx::IntoDatum + Into<DatumWithOid<'static>>>(value: Option<T>) -> DatumWithOid<'static> {
    value.map_or_else(DatumWithOid::null::<T>, Into::into)
}

/// The latest days whose purchases are counted.
const RECENT_DAYS: [u32; 3] = [30, 90, 365];

/// `$1` is the cutoff, `$2` the horizon or NULL.
fn text(relation: &Relation, customer: &str, time: &str, amount: Option<&str>) -> String {
    let from = relation.from();
    let has_amount = if amount.is_some() { "true" } else { "false" };
    let amount = amount.map_or_else(
        || "NULL::pg_catalog.float8".to_owned(),
        // Neither is an amount.
        |amount| {
            format!("CASE WHEN {amount} OPERATOR(pg_catalog.<>) ALL ('{{NaN,Infinity,-Infinity}}'::pg_catalog.float8[]) THEN {amount} END")
        },
    );
    let recent = |days: &u32| {
        let since = format!("($1 OPERATOR(pg_catalog.-) '{days} days'::pg_catalog.interval)");
        format!("pg_catalog.count(*) FILTER (WHERE g.past AND g.at OPERATOR(pg_catalog.>=) {since})")
    };
    let recent: Vec<String> = RECENT_DAYS.iter().map(recent).collect();
    let median = "pg_catalog.percentile_cont(0.5) WITHIN GROUP (ORDER BY";
    let labelled = "$2 IS NOT NULL";
    format!(
        "SELECT g.customer, {recency}, {tenure}, pg_catalog.count(*) FILTER (WHERE g.past), {recent},
                pg_catalog.avg(g.gap) FILTER (WHERE g.past), {median} g.gap) FILTER (WHERE g.past),
                pg_catalog.max(g.gap) FILTER (WHERE g.past),
                pg_catalog.avg(g.amount) FILTER (WHERE g.past), {median} g.amount) FILTER (WHERE g.past),
                pg_catalog.sum(g.amount) FILTER (WHERE g.past),
                pg_catalog.sum(g.amount) FILTER (
                    WHERE g.past AND g.at OPERATOR(pg_catalog.>=) ($1 OPERATOR(pg_catalog.-) '365 days'::pg_catalog.interval)),
                CASE WHEN {labelled} THEN pg_catalog.bool_or(NOT g.past) END,
                CASE WHEN {labelled} THEN pg_catalog.count(*) FILTER (WHERE NOT g.past) END,
                CASE WHEN {labelled} AND {has_amount} THEN coalesce(pg_catalog.sum(g.amount) FILTER (WHERE NOT g.past), 0) END
         FROM (
             SELECT r.customer, r.at, r.amount, r.past, {gap} AS gap
             FROM (SELECT {customer}::pg_catalog.text COLLATE pg_catalog.\"C\" AS customer, {time} AS at, {amount} AS amount,
                          {time} OPERATOR(pg_catalog.<) $1 AS past
                   FROM {from} AS t
                   WHERE {customer} IS NOT NULL AND pg_catalog.isfinite({time})
                     AND {time} OPERATOR(pg_catalog.<) coalesce($1 OPERATOR(pg_catalog.+) $2, $1)) AS r
             WINDOW w AS (PARTITION BY r.customer ORDER BY r.at)) AS g
         GROUP BY g.customer HAVING pg_catalog.bool_or(g.past)
         ORDER BY g.customer",
        recency = days("$1 OPERATOR(pg_catalog.-) pg_catalog.max(g.at) FILTER (WHERE g.past)"),
        tenure = days("$1 OPERATOR(pg_catalog.-) pg_catalog.min(g.at)"),
        gap = days("r.at OPERATOR(pg_catalog.-) pg_catalog.lag(r.at) OVER w"),
        recent = recent.join(", "),
    )
}

/// An interval between two moments in days of 24 hours.
fn days(interval: &str) -> String {
    format!("(EXTRACT(epoch FROM {interval})::pg_catalog.float8 OPERATOR(pg_catalog./) 86400)")
}
