//! Alerts: what somebody should look at.
//!
//! It must not know what made them. Invariant: whoever adds one of a model has its lock, so that numbers are given once; the newest
//! are kept.

use pgrx::{JsonB, Spi, pg_sys};
use serde_json::{Value, json};

use super::snapshot::Visibility;
use super::statement::{query, returning_one, run};
use crate::error::Error;

/// Alerts of a model, or of the rows of a relation, that are kept.
const KEPT: i32 = 100;
/// Where those who listen are told.
const CHANNEL: &str = "ecommerce_ml_alerts";
/// Tells our advisory locks from those of users, as far as that goes.
const LOCK: i32 = 0x0065_636d;

/// Adds an alert of a model's schedule and tells those who listen, when the transaction commits. They are told where to look and not
/// what there is to see, since everybody may listen.
///
/// # Errors
/// When our table can't be written.
pub fn add(name: &str, kind: &str, message: &str, detail: Value) -> Result<(), Error> {
    lock(name)?;
    insert(name, kind, message, detail, None)?;
    forget_all_but(name, None, KEPT)
}

/// An alert of a row.
#[derive(Debug)]
pub struct RowAlert<'a> {
    /// The model that has scored it.
    pub name: &'a str,
    /// Schema and name, quoted.
    pub relation: &'a str,
    /// Who owns that, and sees the alert.
    pub owner: &'a str,
    /// Most alerts of a relation within a day.
    pub budget: u32,
    pub score: f64,
    pub message: &'a str,
    pub detail: Value,
}

/// Adds an alert of a row, unless there are as many of the last 24 hours as the budget allows, all of them of higher scores; one of a lower
/// score makes room. Waits for transactions that add one of the same model.
///
/// # Errors
/// When our table can't be written.
pub fn add_row(alert: &RowAlert<'_>) -> Result<(), Error> {
    // Without a lock first, since most rows stop here where many meet the condition.
    if is_beyond_budget(alert)? {
        return Ok(());
    }
    lock(alert.name)?;
    if is_beyond_budget(alert)? {
        return Ok(());
    }
    insert(alert.name, "row", alert.message, alert.detail.clone(), Some((alert.relation, alert.owner)))?;
    let budget = i64::from(alert.budget);
    let statement = format!(
        "DELETE FROM ecommerce_ml.stored_alert WHERE (name, alert) IN (
             SELECT a.name, a.alert {RECENT} ORDER BY (a.detail ->> 'score')::float8 DESC, a.alert OFFSET $3)"
    );
    run(&statement, &[alert.name.into(), alert.relation.into(), budget.into()])?;
    let kept = KEPT.max(i32::try_from(alert.budget).unwrap_or(i32::MAX));
    forget_all_but(alert.name, Some(alert.relation), kept)
}

/// Alerts of the last 24 hours, of rows of a relation `$2` by a model `$1`.
const RECENT: &str = "
    FROM ecommerce_ml.stored_alert a
    WHERE a.name = $1 AND a.relation = $2 AND a.created > clock_timestamp() - interval '24 hours'";

fn is_beyond_budget(alert: &RowAlert<'_>) -> Result<bool, Error> {
    let query = format!("SELECT count(*) >= $3 AND min((a.detail ->> 'score')::float8) >= $4 {RECENT}");
    let budget = i64::from(alert.budget);
    let arguments = [alert.name.into(), alert.relation.into(), budget.into(), alert.score.into()];
    Ok(returning_one::<bool>(&query, &arguments)?.unwrap_or(false))
}

fn lock(name: &str) -> Result<(), Error> {
    let statement = "SELECT pg_catalog.pg_advisory_xact_lock($1, pg_catalog.hashtext($2))";
    Ok(Spi::run_with_args(statement, &[LOCK.into(), name.into()])?)
}

fn insert(
    name: &str,
    kind: &str,
    message: &str,
    detail: Value,
    of: Option<(&str, &str)>,
) -> Result<(), Error> {
    let statement = "
        INSERT INTO ecommerce_ml.stored_alert (name, kind, message, detail, relation, owner, alert)
        VALUES ($1, $2, $3, $4, $5, $6::ecommerce_ml.role_reference, $7)";
    let (relation, owner) = of.unzip();
    let alert = newest(name)? + 1;
    let arguments = [
        name.into(),
        kind.into(),
        message.into(),
        JsonB(detail).into(),
        relation.into(),
        owner.into(),
        alert.into(),
    ];
    run(statement, &arguments)?;
    let told = json!({"name": name, "alert": alert, "kind": kind}).to_string();
    Ok(Spi::run_with_args("SELECT pg_catalog.pg_notify($1, $2)", &[CHANNEL.into(), told.as_str().into()])?)
}

/// The number that was given last, by whoever had the lock before, even if the snapshot of the transaction is older.
fn newest(name: &str) -> Result<i32, Error> {
    let newest = c"SELECT max(a.alert) FROM ecommerce_ml.stored_alert a WHERE a.name = $1";
    let found = query(newest, &[name.into()], Visibility::Latest, |row| row.get::<i32>(1))?;
    Ok(found.into_iter().flatten().next().unwrap_or(0))
}

fn forget_all_but(name: &str, relation: Option<&str>, kept: i32) -> Result<(), Error> {
    let statement = "
        DELETE FROM ecommerce_ml.stored_alert WHERE (name, alert) IN (
            SELECT a.name, a.alert FROM ecommerce_ml.stored_alert a
            WHERE a.name = $1 AND a.relation IS NOT DISTINCT FROM $2 ORDER BY a.alert DESC OFFSET $3)";
    run(statement, &[name.into(), relation.into(), i64::from(kept).into()]).map(drop)
}

/// Forgets the alerts of a relation's rows.
///
/// # Errors
/// When our table can't be written.
pub fn forget(name: &str, relation: &str) -> Result<(), Error> {
    let statement = "DELETE FROM ecommerce_ml.stored_alert WHERE name = $1 AND relation = $2";
    run(statement, &[name.into(), relation.into()]).map(drop)
}

/// Forgets the alerts that a role owns.
///
/// # Errors
/// When our table can't be written.
pub fn drop_owned(role: pg_sys::Oid) -> Result<(), Error> {
    let statement = "DELETE FROM ecommerce_ml.stored_alert WHERE ecommerce_ml.role_id(owner)::bigint = $1";
    run(statement, &[i64::from(role.to_u32()).into()]).map(drop)
}
