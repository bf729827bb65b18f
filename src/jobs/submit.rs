//! What `train_model` was asked for, checked and put into the queue.
//!
//! Invariant: what can be known to be wrong is refused here, where the caller sees it, and not in the background.

use std::ffi::{CStr, CString};

use ecommerce_ml_protocol::RequestBody;
use ecommerce_ml_protocol::training::{Objective, TrainingCall, TrainingInput};
use pgrx::pg_sys;
use serde_json::Value;

use super::augment::Augment;
use super::launch;
use super::outcome::{Deploy, keep_versions};
use super::rows::Rows;
use crate::catalog::jobs::{self, Job};
use crate::catalog::name::ModelName;
use crate::catalog::privilege;
use crate::catalog::resolve::resolve;
use crate::catalog::session::Session;
use crate::catalog::versions;
use crate::client;
use crate::error::Error;

/// The model that a training begins with, unless another is named.
const BASE: &str = "reviews";

/// The arguments of `train_model`.
#[derive(Clone)]
pub struct Wanted<'a> {
    pub name: &'a str,
    pub relation: pg_sys::Oid,
    pub text_column: &'a CStr,
    pub label_column: &'a CStr,
    pub task: &'a str,
    pub base: Option<&'a str>,
    pub options: &'a Value,
}

/// Puts a job into the queue and returns its number. Its worker starts when the transaction commits.
///
/// # Errors
/// As [`check`], and when our table can't be written.
pub fn submit(wanted: &Wanted<'_>) -> Result<i64, Error> {
    let job = check(wanted)?;
    enqueue(&job)
}

/// Puts a job that was checked into the queue.
///
/// # Errors
/// When our table can't be written.
pub fn enqueue(job: &Job) -> Result<i64, Error> {
    let id = jobs::insert(job)?;
    launch::at_commit(jobs::Waiting { job: id, login: job.login, was_running: false });
    Ok(id)
}

/// The job that is wanted, not stored yet.
///
/// # Errors
/// Whatever is wrong with the arguments, or keeps the calling role from reading the rows or owning the model.
pub fn check(wanted: &Wanted<'_>) -> Result<Job, Error> {
    let task = jobs::task_named(wanted.task).ok_or_else(|| Error::UnknownTask(wanted.task.to_owned()))?;
    let name = ModelName::parse_bare(wanted.name)?;
    versions::require_ownable(&name)?;
    let base = resolve(wanted.base.unwrap_or(BASE))?;
    Deploy::of(wanted.options)?;
    keep_versions(wanted.options)?;
    check_options(task, wanted.options)?;
    let relation = crate::relation::Relation::open(wanted.relation)?;
    // SAFETY: both are set in a session.
    let (owner, login) = unsafe { (pg_sys::GetUserId(), pg_sys::GetSessionUserId()) };
    let job = Job {
        id: 0,
        name,
        relation: relation.from().to_owned(),
        text_column: wanted.text_column.to_string_lossy().into_owned(),
        label_column: wanted.label_column.to_string_lossy().into_owned(),
        task,
        base: ModelName { name: base.name.clone(), version: Some(base.version) },
        options: wanted.options.clone(),
        owner,
        owner_name: privilege::current_user()?,
        login,
        session: Session::current(),
        attempts: 0,
    };
    Rows::of(&job)?.require_readable()?;
    Augment::of(&job.options)?.require_usable()?;
    Ok(job)
}

/// Options are the engine's to judge, but for those that it passes over.
fn check_options(objective: Objective, options: &Value) -> Result<(), Error> {
    let call =
        TrainingCall { objective, input: TrainingInput::Text, has_time: false, options: options.to_string() };
    client::ask(RequestBody::CheckTraining(call)).map(drop)
}

/// A name as the server's functions want it.
///
/// # Errors
/// None in practice: no name has a NUL.
pub fn terminated(name: &str) -> Result<CString, Error> {
    CString::new(name).map_err(|_| Error::Unexpected("a name with a NUL"))
}
