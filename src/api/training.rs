//! Trainings in the background.

use std::ffi::CStr;
use std::time::Duration;

use pgrx::datum::Interval;
use pgrx::heap_tuple::PgHeapTuple;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{AllocatedByRust, Array, IntoDatum, JsonB, PgTupleDesc, name, pg_extern, pg_sys};

use super::columns::named_columns;
use crate::catalog::arguments::Arguments;
use crate::catalog::privilege::require_writable;
use crate::error::Error;
use crate::evaluation::NamedColumns;
use crate::jobs::{self, Progress, TrainingRequest};

/// Trains a new version of a model from rows, in the background.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn train_model(
    name: Option<&str>,
    relation: Option<pg_sys::Oid>,
    text_column: Option<&CStr>,
    label_column: Option<&CStr>,
    task: Option<&str>,
    base: Option<&str>,
    options: Option<JsonB>,
    feature_columns: Option<Array<'_, &CStr>>,
    key_columns: Option<Array<'_, &CStr>>,
    time_column: Option<&CStr>,
) -> Result<i64, ErrorReport> {
    require_writable(c"train_model()");
    let columns = named_columns(text_column, label_column, feature_columns, key_columns, time_column)?;
    let request = training_request((name, relation), columns, (task, base, options))?;
    Ok(jobs::submit(&request)?)
}

/// What is asked for by a call with these arguments: name and relation; columns; task, base and options.
///
/// # Errors
/// [`Error::ArgumentNull`].
pub fn training_request<'a>(
    (name, relation): (Option<&'a str>, Option<pg_sys::Oid>),
    columns: NamedColumns,
    (task, base, options): (Option<&str>, Option<&str>, Option<JsonB>),
) -> Result<TrainingRequest<'a>, Error> {
    let arguments = Arguments {
        text_column: columns.text,
        label_column: columns.label,
        task: task.ok_or(Error::ArgumentNull("task"))?.to_owned(),
        base: base.map(str::to_owned),
        options: options.ok_or(Error::ArgumentNull("options"))?.0,
        feature_columns: columns.features,
        key_columns: columns.keys,
        time_column: columns.time,
        members: None,
    };
    Ok(TrainingRequest {
        name: name.ok_or(Error::ArgumentNull("name"))?,
        relation: relation.ok_or(Error::ArgumentNull("relation"))?,
        arguments,
    })
}

/// Trains a model as its live version was trained, from the rows of today.
#[pg_extern]
fn retrain_model(name: &str) -> Result<i64, ErrorReport> {
    require_writable(c"retrain_model()");
    Ok(jobs::retrain(name)?)
}

/// Cancels a training; false if it has ended already.
#[pg_extern]
fn cancel_job(job: i64) -> Result<bool, ErrorReport> {
    require_writable(c"cancel_job()");
    Ok(jobs::cancel(job)?)
}

/// Lets a training go on from its last checkpoint.
#[pg_extern]
fn resume_job(job: i64) -> Result<(), ErrorReport> {
    require_writable(c"resume_job()");
    Ok(jobs::resume(job)?)
}

/// Forgets a training that has ended.
#[pg_extern]
fn drop_job(job: i64) -> Result<(), ErrorReport> {
    require_writable(c"drop_job()");
    Ok(jobs::forget(job)?)
}

/// Waits until a training has ended, or the time is over, and returns its state.
#[pg_extern]
fn wait_for_job(job: Option<i64>, timeout: Option<Interval>) -> Result<Option<String>, ErrorReport> {
    let Some(job) = job else { return Ok(None) };
    Ok(Some(jobs::wait(job, timeout.map(duration))?))
}

/// The same between transactions: the procedure, whose argument `state` is what it returns.
#[pg_extern]
fn await_job(
    job: Option<i64>,
    timeout: Option<Interval>,
    _state: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Record, ErrorReport> {
    // SAFETY: the server calls with a context of its own kind, which lives as long as the call.
    let is_atomic = unsafe {
        let context = (*fcinfo).context;
        !pgrx::is_a(context, pg_sys::NodeTag::T_CallContext)
            || (*context.cast::<pg_sys::CallContext>()).atomic
    };
    let waited =
        job.map(|job| jobs::wait_between_transactions(job, timeout.map(duration), is_atomic)).transpose()?;
    Ok(record(fcinfo, waited)?)
}

type Record = PgHeapTuple<'static, AllocatedByRust>;

/// What a procedure with one argument that comes back returns.
fn record(fcinfo: pg_sys::FunctionCallInfo, value: Option<String>) -> Result<Record, Error> {
    let mut shape = std::ptr::null_mut();
    // SAFETY: the server's own call, whose result is described by its catalog.
    let class = unsafe { pg_sys::get_call_result_type(fcinfo, std::ptr::null_mut(), &raw mut shape) };
    if class != pg_sys::TypeFuncClass::TYPEFUNC_COMPOSITE {
        return Err(Error::Unexpected("a call of a procedure that returns nothing"));
    }
    // SAFETY: a description that was just made; the values are as many as its columns, and are copied.
    unsafe {
        let shape = PgTupleDesc::from_pg_copy(pg_sys::BlessTupleDesc(shape));
        PgHeapTuple::from_datums(shape, [value.into_datum()]).map_err(|_| Error::Unexpected("no record"))
    }
}

/// One that lies behind us is over at once.
fn duration(interval: Interval) -> Duration {
    Duration::from_micros(u64::try_from(interval.as_micros()).unwrap_or(0))
}

/// Where a training is, in a line for people.
#[pg_extern]
fn progress(job: i64) -> Result<String, ErrorReport> {
    Ok(jobs::progress_line(job)?)
}

/// A row for each training of this database that has a worker.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn training_progress() -> TableIterator<
    'static,
    (
        name!(job, i64),
        name!(pid, i32),
        name!(engine_pid, Option<i32>),
        name!(phase, String),
        name!(rows_read, i64),
        name!(epoch, Option<i32>),
        name!(epochs, Option<i32>),
        name!(step, Option<i64>),
        name!(steps, Option<i64>),
        name!(loss, Option<f64>),
        name!(learning_rate, Option<f64>),
        name!(examples_per_second, Option<f64>),
        name!(eta, Option<Interval>),
        name!(memory, Option<i64>),
    ),
> {
    let row = |progress: Progress| {
        (
            progress.job,
            progress.pid,
            progress.engine_pid,
            progress.phase,
            progress.rows_read,
            progress.epoch,
            progress.epochs,
            progress.step,
            progress.steps,
            progress.loss,
            progress.learning_rate,
            progress.examples_per_second,
            progress.seconds_left.and_then(interval),
            progress.memory,
        )
    };
    TableIterator::new(jobs::progress().into_iter().map(row))
}

/// About a century.
const MAX_SECONDS: f64 = 3e9;

/// Whole seconds are exact enough for an estimate.
pub fn interval(seconds: f64) -> Option<Interval> {
    let seconds = if seconds.is_finite() { seconds.clamp(0.0, MAX_SECONDS) } else { return None };
    Interval::new(0, 0, (seconds.round() as i64).saturating_mul(1_000_000)).ok()
}
