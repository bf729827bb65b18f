//! Trainings in the database.
//!
//! # Layout
//! - this file: jobs as they are put into the queue, and taken out of it by a worker.
//! - `record`: what becomes of one while it runs; `end`: how it ends.
//! - `queries`: which there are, and who may see them.
//! - `json`: what was measured, as JSON.
//!
//! A job is queued, then running, and ends as succeeded, failed or cancelled. Whether a running one has a worker isn't
//! told by its row. Invariant: only the worker of a job ends it as succeeded or failed, and only if it is running.

mod end;
mod json;
mod queries;
mod record;

pub use end::{cancel, delete, fail, fail_without_login, requeue, succeed};
pub use json::{baseline_comparison_json, baseline_json, comparison_json, metrics_json};
pub use queries::{is_open, is_running, numbers, open, open_of, owned, require, result, state, using};
pub use record::{
    columns, found_settings, keep, notices, prepared, record_chosen, record_epoch, record_prepared,
    record_progress, record_trial, seconds,
};

use ecommerce_ml_protocol::training::Objective;
use pgrx::spi::SpiHeapTupleData;
use pgrx::{JsonB, pg_sys};

use super::arguments::Arguments;
use super::name::ModelName;
use super::privilege::role_name;
use super::session::Session;
use super::statement::{returning, returning_one};
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
    /// As they were given.
    pub arguments: Arguments,
    /// What the argument `task` says.
    pub task: Objective,
    /// With a version; `None` if the training begins with no other model.
    pub base: Option<ModelName>,
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
        Objective::Forecast => "forecast",
        Objective::Recommendation => "recommendation",
        Objective::Lifetime => "lifetime",
        Objective::Anomaly => "anomaly",
        Objective::Elasticity => "elasticity",
    }
}

/// The task of a word.
pub fn task_named(name: &str) -> Option<Objective> {
    let tasks = [
        Objective::Classification,
        Objective::Rating,
        Objective::Regression,
        Objective::Forecast,
        Objective::Recommendation,
        Objective::Lifetime,
        Objective::Anomaly,
        Objective::Elasticity,
    ];
    tasks.into_iter().find(|task| task_name(*task) == name)
}

/// Stores a job that waits for its turn, and returns its number.
///
/// # Errors
/// When our table can't be written.
pub fn insert(job: &Job) -> Result<i64, Error> {
    let statement = "
        INSERT INTO ecommerce_ml.stored_job (job, name, relation, arguments, base, owner, login, search_path, settings,
                                             cluster, state)
        VALUES ($1, $2, $3, $4, $5, $6::ecommerce_ml.role_reference, $7::ecommerce_ml.role_reference, $8, $9, $10, 'queued')
        RETURNING job";
    let login = role_name(job.login).ok_or_else(|| Error::UnknownRole(job.login.to_u32().to_string()))?;
    let arguments = [
        next_number()?.into(),
        job.name.as_str().into(),
        job.relation.as_str().into(),
        JsonB(job.arguments.to_json()?).into(),
        job.base.as_ref().map(ModelName::to_string).into(),
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
        RETURNING job, name, relation, owner::text, arguments, base,
                  coalesce(ecommerce_ml.role_id(owner)::bigint, 0), coalesce(ecommerce_ml.role_id(login)::bigint, 0),
                  search_path, settings, attempts";
    Ok(returning(statement, &[id.into()], read)?.pop())
}

fn read(row: &SpiHeapTupleData<'_>) -> Result<Job, Error> {
    const DAMAGED: Error = Error::Unexpected("a damaged row in stored_job");
    let text = |column| row.get::<String>(column)?.ok_or(DAMAGED);
    let role = |column| row.get::<i64>(column)?.map(role).ok_or(DAMAGED);
    let arguments = Arguments::from_column(row.get(5)?).ok_or(DAMAGED)?;
    Ok(Job {
        id: row.get(1)?.ok_or(DAMAGED)?,
        name: text(2)?,
        relation: text(3)?,
        owner_name: text(4)?,
        task: task_named(&arguments.task).ok_or(DAMAGED)?,
        arguments,
        base: row.get::<String>(6)?.map(|base| ModelName::parse(&base)).transpose()?,
        owner: role(7)?,
        login: role(8)?,
        session: Session::from_json(text(9)?, &row.get::<JsonB>(10)?.ok_or(DAMAGED)?.0),
        attempts: row.get(11)?.ok_or(DAMAGED)?,
    })
}

fn read_waiting(row: &SpiHeapTupleData<'_>) -> Result<Waiting, Error> {
    const DAMAGED: Error = Error::Unexpected("a damaged row in stored_job");
    Ok(Waiting {
        job: row.get(1)?.ok_or(DAMAGED)?,
        login: row.get::<i64>(2)?.map(role).ok_or(DAMAGED)?,
        was_running: row.get(3)?.ok_or(DAMAGED)?,
    })
}

/// Tells this cluster from others; a standby is the same as its primary.
pub(super) fn cluster() -> i64 {
    // SAFETY: reads what the server read from its control file when it started.
    unsafe { pg_sys::GetSystemIdentifier() }.cast_signed()
}
