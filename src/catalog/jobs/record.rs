//! What becomes of a job while it runs.
//!
//! Invariant: nothing is recorded of a job that isn't running any more; who records learns that.

use ecommerce_ml_protocol::training::{Epoch, Prepared, Trial};
use pgrx::JsonB;
use serde_json::{Value, json};

use super::json::{baseline_json, metrics_json};
use crate::catalog::statement::{committed, returning_one, run};
use crate::error::Error;

/// Records what a training is going to do, with notices of its rows. Returns whether the job is still running, as do the others that record.
///
/// # Errors
/// When our table can't be written.
pub fn record_prepared(
    id: i64,
    prepared: &Prepared,
    columns: &[String],
    skipped: i64,
    notices: Value,
) -> Result<bool, Error> {
    let labels: Value =
        prepared.labels.iter().map(|(label, rows)| json!({"label": label, "rows": rows})).collect();
    let baseline = prepared.baseline.as_ref().map(|baseline| JsonB(baseline_json(baseline)));
    let mut prepared = json!({
        "training_rows": prepared.training_rows,
        "held_out_rows": prepared.held_out_rows,
        "skipped_rows": skipped,
        "labels": labels,
        "rows_sha256": prepared.rows_sha256.to_string(),
        "epochs": prepared.epochs,
        "steps": prepared.steps,
        "memory": prepared.memory,
        "options": serde_json::from_str::<Value>(&prepared.options).unwrap_or_default(),
        "notices": notices,
    });
    if !columns.is_empty() {
        prepared["columns"] = json!(columns);
    }
    let statement = "
        UPDATE ecommerce_ml.stored_job SET prepared = $2, baseline = $3 WHERE job = $1 AND state = 'running'";
    Ok(run(statement, &[id.into(), JsonB(prepared).into(), baseline.into()])? > 0)
}

/// What [`record_prepared`] has recorded of a job's rows, as committed now. It is for the caller to know whether it may be seen.
///
/// # Errors
/// When our table can't be read.
pub fn notices(id: i64) -> Result<Option<Value>, Error> {
    let query = c"SELECT prepared -> 'notices' FROM ecommerce_ml.stored_job WHERE job = $1";
    Ok(committed(query, id)?.and_then(|notices| serde_json::from_str(&notices).ok()))
}

/// What [`record_prepared`] has recorded of a job.
///
/// # Errors
/// When our table can't be read, or there is nothing yet.
pub fn prepared(id: i64) -> Result<Value, Error> {
    let query = "SELECT prepared FROM ecommerce_ml.stored_job WHERE job = $1";
    let found = returning_one::<JsonB>(query, &[id.into()])?;
    found.map(|JsonB(prepared)| prepared).ok_or(Error::Unexpected("a training that was not prepared"))
}

/// The columns that a job's training has read, if it was prepared before and read columns.
///
/// # Errors
/// When our table can't be read.
pub fn columns(id: i64) -> Result<Option<Vec<String>>, Error> {
    let query = "SELECT prepared -> 'columns' FROM ecommerce_ml.stored_job WHERE job = $1";
    let found = returning_one::<JsonB>(query, &[id.into()])?;
    Ok(found.and_then(|JsonB(columns)| serde_json::from_value(columns).ok()))
}

/// Seconds since a job was first started.
///
/// # Errors
/// When our table can't be read.
pub fn seconds(id: i64) -> Result<Option<f64>, Error> {
    let query = "
        SELECT extract(epoch FROM clock_timestamp() - started)::float8 FROM ecommerce_ml.stored_job WHERE job = $1";
    returning_one(query, &[id.into()])
}

/// Keeps a job from being dropped until the transaction ends, so that nothing is stored for one that isn't there; `false`
/// if it isn't running any more.
///
/// # Errors
/// When our table can't be read.
pub fn keep(id: i64) -> Result<bool, Error> {
    let query = "SELECT true FROM ecommerce_ml.stored_job WHERE job = $1 AND state = 'running' FOR KEY SHARE";
    Ok(returning_one::<bool>(query, &[id.into()])?.is_some())
}

/// Records that something will last: a new count of attempts begins.
///
/// # Errors
/// When our table can't be written.
pub fn record_progress(id: i64) -> Result<bool, Error> {
    let statement = "UPDATE ecommerce_ml.stored_job SET attempts = 0 WHERE job = $1 AND state = 'running'";
    Ok(run(statement, &[id.into()])? > 0)
}

/// Records an epoch; one that was repeated after an interruption takes the place of the first.
///
/// # Errors
/// When our table can't be written.
pub fn record_epoch(id: i64, epoch: &Epoch) -> Result<bool, Error> {
    let statement = "
        INSERT INTO ecommerce_ml.stored_epoch (job, epoch, step, training_loss, evaluation, best, seconds)
        SELECT job, $2, $3, $4, $5, $6, $7 FROM ecommerce_ml.stored_job WHERE job = $1 AND state = 'running'
        FOR KEY SHARE
        ON CONFLICT (job, epoch) DO UPDATE
        SET step = excluded.step, training_loss = excluded.training_loss, evaluation = excluded.evaluation,
            best = excluded.best, seconds = excluded.seconds, ended = excluded.ended";
    let arguments = [
        id.into(),
        i32::try_from(epoch.epoch).unwrap_or(i32::MAX).into(),
        i64::try_from(epoch.step).unwrap_or(i64::MAX).into(),
        epoch.training_loss.into(),
        JsonB(metrics_json(&epoch.evaluation)).into(),
        epoch.best.into(),
        epoch.seconds.into(),
    ];
    Ok(run(statement, &arguments)? > 0)
}

/// Records how far a trial has come; `false` if the job isn't running any more.
///
/// # Errors
/// When our table can't be written.
pub fn record_trial(id: i64, trial: &Trial) -> Result<bool, Error> {
    let statement = "
        INSERT INTO ecommerce_ml.stored_trial (job, trial, settings, rung, rows, loss, seconds)
        SELECT job, $2, $3, $4, $5, $6, $7 FROM ecommerce_ml.stored_job WHERE job = $1 AND state = 'running'
        FOR KEY SHARE
        ON CONFLICT (job, trial) DO UPDATE
        SET settings = excluded.settings, rung = excluded.rung, rows = excluded.rows, loss = excluded.loss, best = false,
            seconds = excluded.seconds + CASE WHEN excluded.rung > 1 THEN stored_trial.seconds ELSE 0 END";
    let settings: Value = serde_json::from_str(&trial.settings)
        .map_err(|_| Error::Unexpected("settings of a trial that are no JSON"))?;
    let arguments = [
        id.into(),
        i32::try_from(trial.number).unwrap_or(i32::MAX).into(),
        JsonB(settings).into(),
        i32::try_from(trial.rung).unwrap_or(i32::MAX).into(),
        i64::try_from(trial.rows).unwrap_or(i64::MAX).into(),
        trial.loss.into(),
        trial.seconds.into(),
    ];
    Ok(run(statement, &arguments)? > 0)
}

/// Records which trial a training goes on with; `false` if the job isn't running any more.
///
/// # Errors
/// When our table can't be written.
pub fn record_chosen(id: i64, number: u32) -> Result<bool, Error> {
    let statement = "UPDATE ecommerce_ml.stored_trial SET best = trial = $2 WHERE job = $1";
    run(statement, &[id.into(), i32::try_from(number).unwrap_or(i32::MAX).into()])?;
    super::is_running(id)
}

/// The settings that a training has found and gone on with, if it has looked for any.
///
/// # Errors
/// When our table can't be read.
pub fn found_settings(id: i64) -> Result<Option<Value>, Error> {
    let query = "SELECT settings FROM ecommerce_ml.stored_trial WHERE job = $1 AND best";
    Ok(returning_one::<JsonB>(query, &[id.into()])?.map(|JsonB(settings)| settings))
}
