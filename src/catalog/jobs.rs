//! Trainings in the database.
//!
//! A job is queued, then running, and ends as succeeded, failed or cancelled. Whether a running one has a worker isn't
//! told by its row. Invariant: only the worker of a job ends it as succeeded or failed, and only if it is running.

use ecommerce_ml_protocol::training::{
    Baseline, BaselineComparison, Comparison, Epoch, Finished, Metric, Objective, Prepared,
};
use pgrx::spi::SpiHeapTupleData;
use pgrx::{JsonB, pg_sys};
use serde_json::{Map, Value, json};

use super::name::ModelName;
use super::privilege::{acts_as, role_name, role_oid};
use super::session::Session;
use super::statement::{cascade, committed, reading, returning, returning_one, run};
use super::versions::role;
use crate::error::Error;

/// What to train, as it was asked for.
pub struct Job {
    /// 0 before it is stored.
    pub id: i64,
    /// Of the model that gets a new version.
    pub name: String,
    /// With its schema, quoted: what has this name when the job begins is what it reads.
    pub relation: String,
    pub text_column: String,
    pub label_column: String,
    pub task: Objective,
    /// With a version.
    pub base: ModelName,
    pub options: Value,
    /// The role that called; `InvalidOid` if it isn't there any more.
    pub owner: pg_sys::Oid,
    /// Its name, or the last that is known.
    pub owner_name: String,
    /// The role whose login the session was.
    pub login: pg_sys::Oid,
    /// What names and conditions meant to the session that called.
    pub session: Session,
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
        INSERT INTO ecommerce_ml.stored_job (job, name, relation, text_column, label_column, task, base,
                                             options, owner, login, search_path, settings, cluster, state)
        VALUES ($1, $2, $3, $4::name, $5::name, $6, $7, $8, $9::ecommerce_ml.role_reference,
                $10::ecommerce_ml.role_reference, $11, $12, $13, 'queued')
        RETURNING job";
    let login = role_name(job.login).ok_or_else(|| Error::UnknownRole(job.login.to_u32().to_string()))?;
    let arguments = [
        next_number()?.into(),
        job.name.as_str().into(),
        job.relation.as_str().into(),
        job.text_column.as_str().into(),
        job.label_column.as_str().into(),
        task_name(job.task).into(),
        job.base.to_string().into(),
        JsonB(job.options.clone()).into(),
        job.owner_name.as_str().into(),
        login.as_str().into(),
        job.session.search_path.as_str().into(),
        job.session.to_json().into(),
        cluster().into(),
    ];
    returning_one(statement, &arguments)?.ok_or(Error::Unexpected("no number of a job"))
}

/// A number that no job has: those that came by a restore or by replication have not moved the sequence.
fn next_number() -> Result<i64, Error> {
    let query = "
        SELECT CASE WHEN m.taken >= n.number THEN setval('ecommerce_ml.stored_job_number', m.taken + 1) ELSE n.number END
        FROM (SELECT nextval('ecommerce_ml.stored_job_number') AS number) AS n,
             (SELECT coalesce(max(job), 0) AS taken FROM ecommerce_ml.stored_job) AS m";
    returning_one(query, &[])?.ok_or(Error::Unexpected("no number of a job"))
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
        RETURNING job, name, relation, owner::text, text_column::text, label_column::text, task, base, options,
                  coalesce(ecommerce_ml.role_id(owner)::bigint, 0), coalesce(ecommerce_ml.role_id(login)::bigint, 0),
                  search_path, settings, attempts";
    Ok(returning(statement, &[id.into()], read)?.pop())
}

fn read(row: &SpiHeapTupleData<'_>) -> Result<Job, Error> {
    const DAMAGED: Error = Error::Unexpected("a damaged row in stored_job");
    let text = |column| row.get::<String>(column)?.ok_or(DAMAGED);
    let role = |column| row.get::<i64>(column)?.map(role).ok_or(DAMAGED);
    Ok(Job {
        id: row.get(1)?.ok_or(DAMAGED)?,
        name: text(2)?,
        relation: text(3)?,
        owner_name: text(4)?,
        text_column: text(5)?,
        label_column: text(6)?,
        task: task_named(&text(7)?).ok_or(DAMAGED)?,
        base: ModelName::parse(&text(8)?)?,
        options: row.get::<JsonB>(9)?.map(|JsonB(options)| options).ok_or(DAMAGED)?,
        owner: role(10)?,
        login: role(11)?,
        session: Session::from_json(text(12)?, &row.get::<JsonB>(13)?.ok_or(DAMAGED)?.0),
        attempts: row.get(14)?.ok_or(DAMAGED)?,
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

/// Records what a training is going to do, with notices of its rows. Returns whether the job is still running, as do the others that record.
///
/// # Errors
/// When our table can't be written.
pub fn record_prepared(id: i64, prepared: &Prepared, skipped: i64, notices: Value) -> Result<bool, Error> {
    let labels: Value =
        prepared.labels.iter().map(|(label, rows)| json!({"label": label, "rows": rows})).collect();
    let baseline = prepared.baseline.as_ref().map(|baseline| JsonB(baseline_json(baseline)));
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
        "notices": notices,
    });
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

/// Ends a job that has made a version.
///
/// # Errors
/// When our table can't be written.
pub fn succeed(id: i64, version: i32, outcome: &str, finished: &Finished) -> Result<bool, Error> {
    let statement = "
        UPDATE ecommerce_ml.stored_job
        SET state = 'succeeded', ended = clock_timestamp(), version = $2, outcome = $3, comparison = $4,
            baseline = baseline || jsonb_build_object('comparison', $5::jsonb), error = NULL
        WHERE job = $1 AND state = 'running'";
    let comparison = finished.comparison.as_ref().map(|found| JsonB(comparison_json(found)));
    let against = finished.against_baseline.as_ref().map(|found| JsonB(baseline_comparison_json(found)));
    let arguments = [id.into(), version.into(), outcome.into(), comparison.into(), against.into()];
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
        for table in ["stored_epoch", "stored_checkpoint", "stored_job_seen"] {
            cascade(&format!("DELETE FROM ecommerce_ml.{table} WHERE job = $1"), &[id.into()])?;
        }
    }
    Ok(deleted)
}

/// Jobs that a role owns, in words.
///
/// # Errors
/// When our table can't be read.
pub fn owned(role: pg_sys::Oid) -> Result<Vec<String>, Error> {
    Ok(numbers(role)?.into_iter().map(|job| format!("owner of job {job}")).collect())
}

/// Numbers of the jobs that a role owns.
///
/// # Errors
/// When our table can't be read.
pub fn numbers(role: pg_sys::Oid) -> Result<Vec<i64>, Error> {
    let query = "SELECT job FROM ecommerce_ml.stored_job
                 WHERE ecommerce_ml.role_id(owner)::bigint = $1 ORDER BY job";
    let read = |row: &SpiHeapTupleData<'_>| row.get::<i64>(1).map_err(Error::from);
    Ok(returning(query, &[i64::from(role.to_u32()).into()], read)?.into_iter().flatten().collect())
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

/// All jobs of this cluster that have not ended, whether or not they have a worker; running ones first.
///
/// # Errors
/// When our table can't be read.
pub fn open() -> Result<Vec<Waiting>, Error> {
    let query = "
        SELECT job, ecommerce_ml.role_id(login)::bigint, state = 'running' FROM ecommerce_ml.stored_job
        WHERE state IN ('queued', 'running') AND cluster = $1 AND ecommerce_ml.role_id(login) IS NOT NULL
        ORDER BY state DESC, job";
    reading(query, &[cluster().into()], read_waiting)
}

fn read_waiting(row: &SpiHeapTupleData<'_>) -> Result<Waiting, Error> {
    const DAMAGED: Error = Error::Unexpected("a damaged row in stored_job");
    Ok(Waiting {
        job: row.get(1)?.ok_or(DAMAGED)?,
        login: row.get::<i64>(2)?.map(role).ok_or(DAMAGED)?,
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
    let query = c"SELECT coalesce(ecommerce_ml.role_id(owner), 0) || ' ' || state FROM ecommerce_ml.stored_job WHERE job = $1";
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
    let query =
        "SELECT coalesce(ecommerce_ml.role_id(owner)::bigint, 0) FROM ecommerce_ml.stored_job WHERE job = $1";
    let owner = returning_one::<i64>(query, &[id.into()])?.ok_or(Error::UnknownJob(id))?;
    require_privileges(id, role(owner), roles)
}

fn require_privileges(id: i64, owner: pg_sys::Oid, roles: &[&str]) -> Result<(), Error> {
    let by_role = |name: &&str| role_oid(name).is_ok_and(acts_as);
    if acts_as(owner) || roles.iter().any(by_role) { Ok(()) } else { Err(Error::JobDenied(id)) }
}

/// Tells this cluster from others; a standby is the same as its primary.
pub(super) fn cluster() -> i64 {
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

/// A comparison with the live version as a JSON object.
pub fn comparison_json(comparison: &Comparison) -> Value {
    compared(comparison, "live")
}

/// A comparison with the baseline as a JSON object.
pub fn baseline_comparison_json(against: &BaselineComparison) -> Value {
    let mut found = compared(&against.comparison, "baseline");
    found["testable"] = json!(against.testable);
    found["beaten"] = json!(against.beaten);
    found
}

fn compared(comparison: &Comparison, with: &str) -> Value {
    json!({
        "metric": comparison.metric,
        "new": comparison.new,
        with: comparison.incumbent,
        "test": comparison.test,
        "p_value": comparison.p_value,
        "wins": comparison.wins,
        "losses": comparison.losses,
        "rows": comparison.rows,
        "better": comparison.better,
    })
}

/// A baseline as a JSON object: what it answers, where that has a meaning, and its metrics.
pub fn baseline_json(baseline: &Baseline) -> Value {
    let mut answers = json!({"metrics": metrics_json(&baseline.metrics)});
    let known = [
        ("label", baseline.label.as_ref().map(|label| json!(label))),
        ("mean", baseline.mean.map(|mean| json!(mean))),
        ("median", baseline.median.map(|median| json!(median))),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            answers[name] = value;
        }
    }
    answers
}
