//! What `train_model` was asked for, checked and put into the queue.
//!
//! Invariant: what can be known to be wrong is refused here, where the caller sees it, and not in the background.

use std::ffi::CString;

use ecommerce_ml_protocol::RequestBody;
use ecommerce_ml_protocol::training::{Objective, TrainingCall, TrainingInput};
use pgrx::pg_sys;
use serde_json::Value;

use super::augment::Augment;
use super::launch;
use super::outcome::{Deploy, keep_versions};
use super::rows::Rows;
use crate::catalog::arguments::Arguments;
use crate::catalog::jobs::{self, Job};
use crate::catalog::name::ModelName;
use crate::catalog::privilege;
use crate::catalog::resolve::resolve;
use crate::catalog::session::Session;
use crate::catalog::versions::{self, Recipe};
use crate::client;
use crate::error::Error;
use crate::relation::Relation;

/// The model that a training begins with, unless another is named.
const BASE: &str = "reviews";

/// A training that is asked for.
pub struct Wanted<'a> {
    /// Of the model.
    pub name: &'a str,
    pub relation: pg_sys::Oid,
    pub arguments: Arguments,
}

/// Puts a job into the queue and returns its number. Its worker starts when the transaction commits.
///
/// # Errors
/// As [`check`], and when our table can't be written.
pub fn submit(wanted: &Wanted<'_>) -> Result<i64, Error> {
    let job = check(wanted, wanted.arguments.base.as_deref())?;
    enqueue(&job)
}

/// Submits a training like that of a model's live version, from the rows of today.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::NotOwner`], [`Error::NoLiveVersion`], [`Error::NotTrained`], and as [`submit`].
pub fn retrain(name: &str) -> Result<i64, Error> {
    let name = ModelName::parse_bare(name)?;
    let Recipe { relation, arguments } = versions::recipe(&name)?;
    let relation = Relation::named(&relation)?.oid();
    submit(&Wanted { name: &name, relation, arguments })
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

/// The job that is wanted, not stored yet, which begins with this base.
///
/// # Errors
/// Whatever is wrong with the arguments, or keeps the calling role from reading the rows or owning the model.
pub fn check(wanted: &Wanted<'_>, base: Option<&str>) -> Result<Job, Error> {
    let Wanted { arguments, .. } = wanted;
    let task = jobs::task_named(&arguments.task).ok_or_else(|| Error::UnknownTask(arguments.task.clone()))?;
    let name = ModelName::parse_bare(wanted.name)?;
    versions::require_ownable(&name)?;
    let base = resolve(base.unwrap_or(BASE))?;
    Deploy::of(&arguments.options)?;
    keep_versions(&arguments.options)?;
    check_options(task, &arguments.options)?;
    let relation = Relation::open(wanted.relation)?;
    // SAFETY: both are set in a session.
    let (owner, login) = unsafe { (pg_sys::GetUserId(), pg_sys::GetSessionUserId()) };
    let job = Job {
        id: 0,
        name,
        relation: relation.from().to_owned(),
        arguments: arguments.clone(),
        task,
        base: Some(ModelName { name: base.name.clone(), version: Some(base.version) }),
        owner,
        owner_name: privilege::current_user()?,
        login,
        session: Session::current(),
        attempts: 0,
    };
    Rows::of(&job)?.require_readable()?;
    Augment::of(&job.arguments.options)?.require_usable()?;
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
