//! What `train_model` was asked for, checked and put into the queue.
//!
//! Invariant: what can be known to be wrong is refused here, where the caller sees it, and not in the background.

use ecommerce_ml_protocol::training::{Objective, TrainingCall, TrainingChecked, TrainingInput};
use ecommerce_ml_protocol::{ReplyBody, RequestBody};
use pgrx::{notice, pg_sys};
use serde_json::Value;

use super::augment::Augment;
use super::descriptions::Descriptions;
use super::launch;
use super::members::Members;
use super::outcome::{Deploy, keep_versions};
use super::reads::Reads;
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

/// A training that is asked for.
pub struct TrainingRequest<'a> {
    /// Of the model.
    pub name: &'a str,
    pub relation: pg_sys::Oid,
    pub arguments: Arguments,
}

/// Puts a job into the queue and returns its number. Its worker starts when the transaction commits.
///
/// # Errors
/// As [`check`], and when our table can't be written.
pub fn submit(request: &TrainingRequest<'_>) -> Result<i64, Error> {
    let job = check(request, request.arguments.base.as_deref())?;
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
    submit(&TrainingRequest { name: &name, relation, arguments })
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

/// The job of a request, not stored yet, which begins with this base.
///
/// # Errors
/// Whatever is wrong with the arguments, or keeps the calling role from reading the rows or owning the model.
pub fn check(request: &TrainingRequest<'_>, base: Option<&str>) -> Result<Job, Error> {
    let task = jobs::task_named(&request.arguments.task)
        .ok_or_else(|| Error::UnknownTask(request.arguments.task.clone()))?;
    let arguments = &with_members(&request.arguments, task)?;
    let name = ModelName::parse_bare(request.name)?;
    versions::require_ownable(&name)?;
    // A base that isn't there is no base of any kind.
    base.map_or(Ok(()), |base| resolve(base).map(drop))?;
    Deploy::of(&arguments.options)?;
    keep_versions(&arguments.options)?;
    let relation = Relation::open(request.relation)?;
    let reads = Reads::of(&relation, arguments, task, None)?;
    let base = base_of(&checked(reads.call(task, arguments))?, &reads.input, base)?;
    if !reads.left_out.is_empty() {
        let left_out = reads.left_out.join(", ");
        notice!("columns that models cannot read are left out: {left_out}");
    }
    if !reads.arrays.is_empty() {
        let arrays = reads.arrays.join(", ");
        notice!("arrays are left out unless feature_columns names them: {arrays}");
    }
    // SAFETY: both are set in a session.
    let (owner, login) = unsafe { (pg_sys::GetUserId(), pg_sys::GetSessionUserId()) };
    let job = Job {
        id: 0,
        name,
        relation: relation.from().to_owned(),
        arguments: arguments.clone(),
        task,
        base,
        owner,
        owner_name: privilege::current_user()?,
        login,
        session: Session::current(),
        attempts: 0,
    };
    Rows::of(&job, None)?.require_readable()?;
    match reads.input {
        TrainingInput::Text => Augment::of(&job.arguments.options)?.require_usable()?,
        TrainingInput::Columns { .. } | TrainingInput::Events { .. } => {
            refuse_augment(&job.arguments.options)?;
        }
    }
    Descriptions::of(&reads, &job.arguments.options)?.require_readable()?;
    Ok(job)
}

/// Arguments with the versions that the members of an ensemble have now.
fn with_members(arguments: &Arguments, task: Objective) -> Result<Arguments, Error> {
    let members = Members::named(&arguments.options)?;
    members.check(task, arguments)?;
    let names = (!members.is_empty()).then(|| members.names());
    Ok(Arguments { members: names, ..arguments.clone() })
}

/// What the engine knows of a training. Options are its to judge, but for those that it passes over.
fn checked(call: TrainingCall) -> Result<TrainingChecked, Error> {
    match client::ask(RequestBody::CheckTraining(call))? {
        ReplyBody::TrainingChecked(checked) => Ok(checked),
        _ => Err(Error::Unexpected("no word of a training")),
    }
}

/// The version that a training begins with, or reads texts by, if there is one: that of the model that is named, or of the default.
fn base_of(
    checked: &TrainingChecked,
    input: &TrainingInput,
    named: Option<&str>,
) -> Result<Option<ModelName>, Error> {
    match (&checked.default_base, named) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Error::BaseNotTaken(checked.kind.clone())),
        (Some(default), named) => {
            let base = resolve(named.unwrap_or(default))?;
            if base.columns.is_some() && matches!(input, TrainingInput::Columns { .. }) {
                return Err(Error::BaseReadsColumns(base.name.clone()));
            }
            Ok(Some(ModelName { name: base.name.clone(), version: Some(base.version) }))
        }
    }
}

/// Other words are for texts.
fn refuse_augment(options: &Value) -> Result<(), Error> {
    match options.get("augment") {
        None | Some(Value::Null) => Ok(()),
        Some(_) => Err(Error::OptionForTexts("augment")),
    }
}
