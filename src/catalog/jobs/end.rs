//! How jobs end, begin anew, and are forgotten.
//!
//! Invariant: only the worker of a job ends it as succeeded or failed, and only if it is running; a job that has no worker that
//! could do so fails here.

use ecommerce_ml_protocol::training::Finished;
use pgrx::JsonB;
use pgrx::spi::SpiHeapTupleData;
use serde_json::json;

use super::json::{baseline_comparison_json, comparison_json};
use super::{Failure, Waiting, cluster, read_waiting};
use crate::catalog::statement::{cascade, reading, returning, run};
use crate::error::Error;

/// Ends a job that has made a version.
///
/// # Errors
/// When our table can't be written.
pub fn succeed(id: i64, version: i32, outcome: &str, finished: &Finished) -> Result<bool, Error> {
    let statement = "
        UPDATE ecommerce_ml.stored_job
        SET state = 'succeeded', ended = clock_timestamp(), version = $2, outcome = $3, comparison = $4,
            baseline = baseline || jsonb_build_object('comparison', $5::jsonb), error = NULL,
            base = CASE WHEN $6 THEN base END
        WHERE job = $1 AND state = 'running'";
    let comparison = finished.comparison.as_ref().map(|found| JsonB(comparison_json(found)));
    let against = finished.against_baseline.as_ref().map(|found| JsonB(baseline_comparison_json(found)));
    let arguments = [
        id.into(),
        version.into(),
        outcome.into(),
        comparison.into(),
        against.into(),
        finished.uses_base.into(),
    ];
    Ok(run(statement, &arguments)? > 0)
}

/// Ends a job that can't go on.
///
/// # Errors
/// When our table can't be written.
pub fn fail(id: i64, failure: &Failure) -> Result<bool, Error> {
    let statement = "
        UPDATE ecommerce_ml.stored_job SET state = 'failed', ended = clock_timestamp(), error = $2
        WHERE job = $1 AND state IN ('queued', 'running')";
    let error = json!({
        "sqlstate": failure.sqlstate,
        "message": failure.message,
        "detail": failure.detail,
        "hint": failure.hint,
    });
    Ok(run(statement, &[id.into(), JsonB(error).into()])? > 0)
}

/// Cancels a job; `false` if it has ended already.
///
/// # Errors
/// When our table can't be written.
pub fn cancel(id: i64, by: Option<&str>) -> Result<bool, Error> {
    let statement = "
        UPDATE ecommerce_ml.stored_job
        SET state = 'cancelled', ended = clock_timestamp(), cancelled_by = $2::name
        WHERE job = $1 AND state IN ('queued', 'running')";
    Ok(run(statement, &[id.into(), by.into()])? > 0)
}

/// Puts a job back into the queue of this cluster and returns who its worker connects as; `None` if it has succeeded. Where
/// the login that it was submitted by isn't there any more, this session's takes its place.
///
/// # Errors
/// When our table can't be written.
pub fn requeue(id: i64) -> Result<Option<Waiting>, Error> {
    let statement = "
        UPDATE ecommerce_ml.stored_job
        SET state = 'queued', ended = NULL, attempts = 0, cancelled_by = NULL, error = NULL, cluster = $2,
            login = CASE WHEN ecommerce_ml.role_id(login) IS NULL
                         THEN session_user::text::ecommerce_ml.role_reference ELSE login END
        WHERE job = $1 AND state <> 'succeeded'
        RETURNING job, coalesce(ecommerce_ml.role_id(login)::bigint, 0), false";
    Ok(returning(statement, &[id.into(), cluster().into()], read_waiting)?.pop())
}

/// Forgets a job that has ended; `false` if it hasn't.
///
/// # Errors
/// When our table can't be written.
pub fn delete(id: i64) -> Result<bool, Error> {
    let statement =
        "DELETE FROM ecommerce_ml.stored_job WHERE job = $1 AND state NOT IN ('queued', 'running')";
    let deleted = run(statement, &[id.into()])? > 0;
    if deleted {
        for table in ["stored_epoch", "stored_trial", "stored_checkpoint", "stored_job_seen"] {
            cascade(&format!("DELETE FROM ecommerce_ml.{table} WHERE job = $1"), &[id.into()])?;
        }
    }
    Ok(deleted)
}

/// Ends jobs of this cluster whose login isn't there any more: no worker could connect.
///
/// # Errors
/// When our table can't be written.
pub fn fail_without_login() -> Result<(), Error> {
    let query = "SELECT job, login::text FROM ecommerce_ml.stored_job
                 WHERE state IN ('queued', 'running') AND cluster = $1 AND ecommerce_ml.role_id(login) IS NULL";
    let read = |row: &SpiHeapTupleData<'_>| Ok(row.get::<i64>(1)?.zip(row.get::<String>(2)?));
    // Whoever waits for a job looks for those without workers, and must not get a transaction id by that.
    for (job, login) in reading(query, &[cluster().into()], read)?.into_iter().flatten() {
        fail(job, &Error::UnknownRole(login).into())?;
    }
    Ok(())
}
