//! Trainings in the database.
//!
//! A job is queued, then running, and ends as succeeded, failed or cancelled. Whether a running one has a worker isn't
//! told by its row. Invariant: only the worker of a job ends it as succeeded or failed, and only if it is running.

use ecommerce_ml_protocol::training::{Comparison, Epoch, Metric, Objective, Prepared};
use pgrx::spi::SpiHeapTupleData;
use pgrx::{JsonB, pg_sys};
use serde_json::{Map, Value, json};

use super::name::ModelName;
use super::privilege::{acts_as, role_oid};
use super::statement::{committed, reading, returning, returning_one, run};
use crate::error::Error;

/// What to train, as it was asked for.
pub struct Job {
    /// 0 before it is stored.
    pub id: i64,
    /// Of the model that gets a new version.
    pub name: String,
    pub relation: pg_sys::Oid,
    pub relation_name: String,
    pub text_column: String,
    pub label_column: String,
    pub task: Objective,
    /// With a version.
    pub base: ModelName,
    pub options: Value,
    /// The role that called.
    pub owner: pg_sys::Oid,
    /// The role whose login the session was.
    pub login: pg_sys::Oid,
    pub search_path: String,
    /// Starts since there was the last progress that is kept.
    pub attempts: i32,
}

/// Why a job failed, as the server would report it.
#[derive(Debug, Clone)]
pub struct Failure {
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// A job that needs a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub job: i64,
    /// The role that the worker connects as.
    pub login: pg_sys::Oid,
    /// It had a worker before.
    pub was_running: bool,
}

/// The word for a task in SQL.
pub fn task_name(task: Objective) -> &'static str {
    match task {
        Objective::Classification => "classification",
        Objective::Rating => "rating",
        Objective::Regression => "regression",
    }
}

/// The task of a word.
pub fn task_named(name: &str) -> Option<Objective> {
    [Objective::Classification, Objective::Rating, Objective::Regression]
        .into_iter()
        .find(|task| task_name(*task) == name)
}

/// Stores a job that waits for its turn, and returns its number.
///
/// # Errors
/// When our table can't be written.
pub fn insert(job: &Job) -> Result<i64, Error> {
    let statement = "
        INSERT INTO ecommerce_ml.stored_job (name, relation, relation_name, text_column, label_column, task, base,
                                             options, owner, login, search_path, cluster, state)
        VALUES ($1, $2, $3, $4::name, $5::name, $6, $7, $8, $9::oid::regrole, $10::oid::regrole, $11, $12, 'queued')
        RETURNING job";
    let arguments = [
        job.name.as_str().into(),
        job.relation.into(),
        job.relation_name.as_str().into(),
        job.text_column.as_str().into(),
        job.label_column.as_str().into(),
        task_name(job.task).into(),
        job.base.to_string().into(),
        JsonB(job.options.clone()).into(),
        job.owner.into(),
        job.login.into(),
        job.search_path.as_str().into(),
        cluster().into(),
    ];
    returning_one(statement, &arguments)?.ok_or(Error::Unexpected("no number of a job"))
}

/// Takes a job that is queued or running as the worker's to run; `None` if it is neither, or isn't there.
///
/// # Errors
/// When our table can't be written, or doesn't hold what we write.
pub fn begin(id: i64) -> Result<Option<Job>, Error> {
    let statement = "
        UPDATE ecommerce_ml.stored_job
        SET state = 'running', started = coalesce(started, now()), attempts = attempts + 1
        WHERE job = $1 AND state IN ('queued', 'running')
        RETURNING job, name, relation::oid, relation_name, text_column::text, label_column::text, task, base, options,
                  owner::oid, login::oid, search_path, attempts";
    Ok(returning(statement, &[id.into()], read)?.pop())
}

fn read(row: &SpiHeapTupleData<'_>) -> Result<Job, Error> {
    const DAMAGED: Error = Error::Unexpected("a damaged row in stored_job");
    let text = |column| row.get::<String>(column)?.ok_or(DAMAGED);
    let role = |column| row.get::<pg_sys::Oid>(column)?.ok_or(DAMAGED);
    Ok(Job {
        id: row.get(1)?.ok_or(DAMAGED)?,
        name: text(2)?,
        relation: role(3)?,
        relation_name: text(4)?,
        text_column: text(5)?,
        label_column: text(6)?,
        task: task_named(&text(7)?).ok_or(DAMAGED)?,
        base: ModelName::parse(&text(8)?)?,
        options: row.get::<JsonB>(9)?.map(|JsonB(options)| options).ok_or(DAMAGED)?,
        owner: role(10)?,
        login: role(11)?,
        search_path: text(12)?,
        attempts: row.get(13)?.ok_or(DAMAGED)?,
    })
}

/// Whether a job is queued or running.
///
/// # Errors
/// When our table can't be read.
pub fn is_open(id: i64) -> Result<bool, Error> {
    let query = "SELECT job FROM ecommerce_ml.stored_job WHERE job = $1 AND state IN ('queued', 'running')";
    Ok(!reading(query, &[id.into()], |_| Ok(()))?.is_empty())
}

/// Whether a job is still to be run by its worker, and not cancelled or dropped.
///
/// # Errors
/// When our table can't be read.
pub fn is_running(id: i64) -> Result<bool, Error> {
    let query = "SELECT job FROM ecommerce_ml.stored_job WHERE job = $1 AND state = 'running'";
    Ok(!reading(query, &[id.into()], |_| Ok(()))?.is_empty())
}

/// Records what a training is going to do. Returns whether the job is still running, as do the others that record.
///
/// # Errors
/// When our table can't be written.
pub fn record_prepared(id: i64, prepared: &Prepared, skipped: i64) -> Result<bool, Error> {
    let labels: Value =
        prepared.labels.iter().map(|(label, rows)| json!({"label": label, "rows": rows})).collect();
    let prepared = json!({
        "training_rows": prepared.training_rows,
        "held_out_rows": prepared.held_out_rows,
        "skipped_rows": skipped,
        "labels": labels,
        "rows_sha256": prepared.rows_sha256.to_string(),
        "epochs": prepared.epochs,
        "steps": prepared.steps,
        "memory": prepared.memory,
        "options": serde_json::from_str::<Value>(&prepared.options).unwrap_or_default(),
    });
    let statement = "UPDATE ecommerce_ml.stored_job SET prepared = $2 WHERE job = $1 AND state = 'running'";
    Ok(run(statement, &[id.into(), JsonB(prepared).into()])? > 0)
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

/// Seconds since a job was first started.
///
/// # Errors
/// When our table can't be read.
pub fn seconds(id: i64) -> Result<Option<f64>, Error> {
    let query = "
        SELECT extract(epoch FROM clock_timestamp() - started)::float8 FROM ecommerce_ml.stored_job WHERE job = $1";
    returning_one(query, &[id.into()])
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

/// Ends a job that has made a version.
///
/// # Errors
/// When our table can't be written.
pub fn succeed(id: i64, version: i32, outcome: &str, comparison: Option<&Comparison>) -> Result<bool, Error> {
    let statement = "
        UPDATE ecommerce_ml.stored_job
        SET state = 'succeeded', ended = clock_timestamp(), version = $2, outcome = $3, comparison = $4, error = NULL
        WHERE job = $1 AND state = 'running'";
    let comparison = comparison.map(|comparison| JsonB(comparison_json(comparison)));
    Ok(run(statement, &[id.into(), version.into(), outcome.into(), comparison.into()])? > 0)
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

/// Puts a job back into the queue of this cluster and returns who its worker connects as; `None` if it has succeeded.
///
/// # Errors
/// When our table can't be written.
pub fn requeue(id: i64) -> Result<Option<Waiting>, Error> {
    let statement = "
        UPDATE ecommerce_ml.stored_job
        SET state = 'queued', ended = NULL, attempts = 0, cancelled_by = NULL, error = NULL, cluster = $2
        WHERE job = $1 AND state <> 'succeeded'
        RETURNING job, login::oid, false";
    Ok(returning(statement, &[id.into(), cluster().into()], read_waiting)?.pop())
}

/// Forgets a job that has ended; `false` if it hasn't.
///
/// # Errors
/// When our table can't be written.
pub fn delete(id: i64) -> Result<bool, Error> {
    let statement =
        "DELETE FROM ecommerce_ml.stored_job WHERE job = $1 AND state NOT IN ('queued', 'running')";
    Ok(run(statement, &[id.into()])? > 0)
}

/// All jobs of this cluster that have not ended, whether or not they have a worker; running ones first.
///
/// # Errors
/// When our table can't be read.
pub fn open() -> Result<Vec<Waiting>, Error> {
    let query = "
        SELECT job, login::oid, state = 'running' FROM ecommerce_ml.stored_job
        WHERE state IN ('queued', 'running') AND cluster = $1 ORDER BY state DESC, job";
    reading(query, &[cluster().into()], read_waiting)
}

fn read_waiting(row: &SpiHeapTupleData<'_>) -> Result<Waiting, Error> {
    const DAMAGED: Error = Error::Unexpected("a damaged row in stored_job");
    Ok(Waiting {
        job: row.get(1)?.ok_or(DAMAGED)?,
        login: row.get(2)?.ok_or(DAMAGED)?,
        was_running: row.get(3)?.ok_or(DAMAGED)?,
    })
}

/// A job that hasn't ended and needs this version of a model, or any version, as its base.
///
/// # Errors
/// When our table can't be read.
pub fn using(name: &str, version: Option<i32>) -> Result<Option<i64>, Error> {
    let query = "
        SELECT job FROM ecommerce_ml.stored_job
        WHERE state IN ('queued', 'running') AND cluster = $3
          AND split_part(base, '@', 1) = $1 AND ($2 IS NULL OR split_part(base, '@', 2) = $2::text)";
    returning_one(query, &[name.into(), version.into(), cluster().into()])
}

/// A job that hasn't ended and trains this model, with its state.
///
/// # Errors
/// When our table can't be read.
pub fn open_of(name: &str) -> Result<Option<(i64, String)>, Error> {
    const DAMAGED: Error = Error::Unexpected("a damaged row in stored_job");
    let query = "
        SELECT job, state FROM ecommerce_ml.stored_job
        WHERE state IN ('queued', 'running') AND cluster = $2 AND name = $1 ORDER BY state DESC, job LIMIT 1";
    let read = |row: &SpiHeapTupleData<'_>| Ok((row.get(1)?.ok_or(DAMAGED)?, row.get(2)?.ok_or(DAMAGED)?));
    Ok(returning(query, &[name.into(), cluster().into()], read)?.pop())
}

/// State of a job, as its row has it now, for roles that may see it.
///
/// # Errors
/// [`Error::UnknownJob`], [`Error::JobDenied`].
pub fn state(id: i64) -> Result<String, Error> {
    let query = c"SELECT owner::oid || ' ' || state FROM ecommerce_ml.stored_job WHERE job = $1";
    let found = committed(query, id)?.ok_or(Error::UnknownJob(id))?;
    let (owner, state) = found.split_once(' ').ok_or(Error::Unexpected("a damaged row in stored_job"))?;
    let owner = owner.parse().map_or(pg_sys::InvalidOid, |number: u32| pg_sys::Oid::from(number));
    require_privileges(id, owner, &["pg_read_all_stats"])?;
    Ok(state.to_owned())
}

/// Refuses unless the calling role has the privileges of a job's owner, or of one of these predefined roles.
///
/// # Errors
/// [`Error::UnknownJob`], [`Error::JobDenied`].
pub fn require(id: i64, roles: &[&str]) -> Result<(), Error> {
    let query = "SELECT owner::oid FROM ecommerce_ml.stored_job WHERE job = $1";
    let owner = returning_one::<pg_sys::Oid>(query, &[id.into()])?.ok_or(Error::UnknownJob(id))?;
    require_privileges(id, owner, roles)
}

fn require_privileges(id: i64, owner: pg_sys::Oid, roles: &[&str]) -> Result<(), Error> {
    let by_role = |name: &&str| role_oid(name).is_ok_and(acts_as);
    if acts_as(owner) || roles.iter().any(by_role) { Ok(()) } else { Err(Error::JobDenied(id)) }
}

/// Tells this cluster from others; a standby is the same as its primary.
fn cluster() -> i64 {
    // SAFETY: reads what the server read from its control file when it started.
    unsafe { pg_sys::GetSystemIdentifier() }.cast_signed()
}

/// Metrics as a JSON object; those of a class are an object under its name.
pub fn metrics_json(metrics: &[Metric]) -> Value {
    let (mut overall, mut classes) = (Map::new(), Map::<String, Value>::new());
    for metric in metrics {
        match &metric.class {
            None => drop(overall.insert(metric.name.clone(), json!(metric.value))),
            Some(class) => {
                let scores = classes.entry(class.clone()).or_insert_with(|| json!({}));
                scores[&metric.name] = json!(metric.value);
            }
        }
    }
    if !classes.is_empty() {
        overall.insert("classes".to_owned(), classes.into());
    }
    overall.into()
}

/// A comparison as a JSON object.
pub fn comparison_json(comparison: &Comparison) -> Value {
    json!({
        "metric": comparison.metric,
        "new": comparison.new,
        "live": comparison.rival,
        "test": comparison.test,
        "p_value": comparison.p_value,
        "wins": comparison.wins,
        "losses": comparison.losses,
        "rows": comparison.rows,
        "better": comparison.better,
    })
}
