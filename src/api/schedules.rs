//! Trainings by schedule.

use std::ffi::CStr;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{Array, JsonB, notice, pg_extern, pg_sys};

use super::columns::named_columns;
use super::training::training_request;
use crate::catalog::privilege::require_writable;
use crate::error::Error;
use crate::jobs;

/// Lets a model be trained again and again.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn schedule_training(
    name: Option<&str>,
    cron: Option<&str>,
    relation: Option<pg_sys::Oid>,
    text_column: Option<&CStr>,
    label_column: Option<&CStr>,
    task: Option<&str>,
    base: Option<&str>,
    options: Option<JsonB>,
    min_new_rows: Option<i64>,
    feature_columns: Option<Array<'_, &CStr>>,
    key_columns: Option<Array<'_, &CStr>>,
    time_column: Option<&CStr>,
) -> Result<(), ErrorReport> {
    require_writable(c"schedule_training()");
    let columns = named_columns(text_column, label_column, feature_columns, key_columns, time_column)?;
    let request = training_request((name, relation), columns, (task, base, options))?;
    let min_new_rows = min_new_rows.ok_or(Error::ArgumentNull("min_new_rows"))?;
    Ok(jobs::schedule(&request, cron, min_new_rows)?)
}

/// Ends the schedule of a model; false if it has none.
#[pg_extern]
fn unschedule_training(name: &str) -> Result<bool, ErrorReport> {
    require_writable(c"unschedule_training()");
    Ok(jobs::unschedule(name)?)
}

/// Trains a model if its schedule says that there is something to do; says so otherwise.
#[pg_extern]
fn run_scheduled_training(name: &str) -> Result<Option<i64>, ErrorReport> {
    require_writable(c"run_scheduled_training()");
    let run = jobs::run_schedule(name)?;
    if run.job.is_none() {
        notice!("model \"{name}\" is not trained: {}", run.outcome);
    }
    Ok(run.job)
}
