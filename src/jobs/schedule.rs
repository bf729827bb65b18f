//! Trainings by schedule: when there is something to do, and what is done then.
//!
//! It must not know how time passes: pg_cron or any other scheduler calls [`run`]. Invariant: a run works as the role that
//! made the schedule, with what names meant to it, whoever calls.

use pgrx::pg_sys;

use super::drift_check::DriftCheck;
use super::retrain_if::{self, LiveSince, RetrainIf};
use super::row_fingerprints::RowFingerprints;
use super::rows::Rows;
use super::submit::{self, TrainingRequest};
use super::{cron, launch};
use crate::catalog::privilege::{as_role, role_name};
use crate::catalog::schedules::{self, Schedule};
use crate::catalog::{alerts, jobs, versions};
use crate::error::Error;
use crate::relation::Relation;

/// Lets a model be trained again and again, as `request` says, in place of the schedule that it had.
///
/// # Errors
/// As [`submit`](super::submit()); [`Error::ScheduleDenied`], [`Error::ArgumentNegative`], [`Error::SchedulerMissing`].
pub fn schedule(request: &TrainingRequest<'_>, cron: Option<&str>, min_new_rows: i64) -> Result<(), Error> {
    if min_new_rows < 0 {
        return Err(Error::ArgumentNegative("min_new_rows"));
    }
    let mut arguments = request.arguments.clone();
    let retrain_if = retrain_if::take(&mut arguments)?;
    let request = &TrainingRequest { name: request.name, relation: request.relation, arguments };
    let job = submit::check(request, starting_point(request)?)?;
    let fresh = Schedule {
        name: job.name,
        cron: cron.map(str::to_owned),
        relation: job.relation,
        arguments: job.arguments,
        min_new_rows,
        retrain_if,
        drift: None,
        owner: job.owner,
        owner_name: job.owner_name,
        session: job.session,
    };
    if let Some(old) = schedules::lock(&fresh.name)? {
        old.require_owner()?;
        remove_cron_job(&old)?;
    }
    schedules::store(&fresh)?;
    fresh.cron.as_deref().map_or(Ok(()), |cron| cron::add(&fresh, cron))
}

/// Ends the schedule of a model; `false` if it has none. The model's owner may do so too.
///
/// # Errors
/// [`Error::ScheduleDenied`].
pub fn unschedule(name: &str) -> Result<bool, Error> {
    let Some(schedule) = schedules::lock(name)? else { return Ok(false) };
    if !versions::owns(name)? {
        schedule.require_owner()?;
    }
    remove_cron_job(&schedule)?;
    schedules::delete(name)?;
    Ok(true)
}

fn remove_cron_job(schedule: &Schedule) -> Result<(), Error> {
    // What a role that was dropped had planned is pg_cron's to fail at.
    let is_planned = schedule.cron.is_some() && role_name(schedule.owner).is_some();
    if is_planned { cron::remove(schedule) } else { Ok(()) }
}

/// Schedules that go with what a role owns, in words: its own, and those of its models.
///
/// # Errors
/// When our tables can't be read.
pub fn owned(role: pg_sys::Oid) -> Result<Vec<String>, Error> {
    let named = |name| format!("owner of the training schedule of model {name}");
    Ok(schedules::of_role(role)?.into_iter().map(named).collect())
}

/// Ends them.
///
/// # Errors
/// When our tables can't be written; pg_cron's own errors end the statement.
pub fn drop_owned(role: pg_sys::Oid) -> Result<(), Error> {
    for name in schedules::of_role(role)? {
        if let Some(schedule) = schedules::lock(&name)? {
            remove_cron_job(&schedule)?;
            schedules::delete(&name)?;
        }
    }
    Ok(())
}

/// What became of a run.
pub struct Run {
    /// The training, if there was something to do.
    pub job: Option<i64>,
    /// In words for the user.
    pub outcome: String,
}

/// Trains a model if its schedule says that there is something to do.
///
/// # Errors
/// [`Error::UnknownSchedule`], [`Error::ScheduleDenied`], [`Error::UnknownRole`], and as [`submit`](super::submit()).
pub fn run(name: &str) -> Result<Run, Error> {
    let schedule = schedules::lock(name)?.ok_or_else(|| Error::UnknownSchedule(name.to_owned()))?;
    schedule.require_owner()?;
    if role_name(schedule.owner).is_none() {
        return Err(Error::UnknownRole(schedule.owner_name.clone()));
    }
    // One that was interrupted goes on.
    launch::recover()?;
    let run = match jobs::open_of(name)? {
        Some((job, state)) => Run { job: None, outcome: format!("job {job} is still {state}") },
        None => {
            let (run, drift) = as_role(schedule.owner, &schedule.session, || train_if_due(&schedule))?;
            if let Some(drift) = drift {
                schedules::record_drift(name, &drift.to_json())?;
                if let Some((message, detail)) = drift.news(schedule.drift.as_ref()) {
                    alerts::add(name, "drift", &message, detail)?;
                }
            }
            run
        }
    };
    schedules::record_run(name, run.job, &run.outcome)?;
    Ok(run)
}

/// What becomes of a run, and what was measured of drift, which is also measured where there is nothing to do.
fn train_if_due(schedule: &Schedule) -> Result<(Run, Option<DriftCheck>), Error> {
    let request = TrainingRequest {
        name: &schedule.name,
        relation: Relation::named(&schedule.relation)?.oid(),
        arguments: schedule.arguments.clone(),
    };
    let job = submit::check(&request, starting_point(&request)?)?;
    let read = Rows::of(&job, None)?;
    let fingerprints = RowFingerprints::by(&schedule.name)?;
    let new = new_rows(&fingerprints, &read)?;
    let live = versions::live(&schedule.name)?;
    let conditions = schedule.retrain_if.as_ref().map(RetrainIf::read).transpose()?;
    let wants_drift = conditions.as_ref().is_some_and(|one| one.drift.is_some()) && live.is_some();
    let drift = match wants_drift {
        true => Some(DriftCheck::of(&schedule.name, &read, (&fingerprints, new))?),
        false => None,
    };
    let rows = if new == 1 { "1 new row".to_owned() } else { format!("{new} new rows") };
    if new < schedule.min_new_rows {
        let outcome = format!("{rows} of at least {}: nothing to do", schedule.min_new_rows);
        return Ok((Run { job: None, outcome }, drift));
    }
    let mut why = String::new();
    if let Some(conditions) = conditions {
        let live = live.map(|version| LiveSince { name: schedule.name.clone(), version });
        let (due, words) = conditions.decide(new, drift.as_ref(), live.as_ref())?;
        if !due {
            return Ok((Run { job: None, outcome: format!("{rows}; {words}: nothing to do") }, drift));
        }
        why = format!("; {words}");
    }
    let job = submit::enqueue(&job)?;
    Ok((Run { job: Some(job), outcome: format!("{rows}{why}: job {job}") }, drift))
}

/// How many rows the latest training of a model has not seen, neither themselves nor their like.
fn new_rows(fingerprints: &RowFingerprints, rows: &Rows) -> Result<i64, Error> {
    let mut new = 0;
    rows.for_each_batch(|batch, _| {
        let missing = fingerprints.missing(&batch, rows.reads.fields()).count();
        new += i64::try_from(missing).unwrap_or(i64::MAX);
        Ok(())
    })?;
    Ok(new)
}

/// The base to ask for now: a model that is to go on from itself begins as others do while nothing of it is live.
fn starting_point<'a>(request: &'a TrainingRequest<'_>) -> Result<Option<&'a str>, Error> {
    match request.arguments.base.as_deref() {
        Some(base) if base == request.name && versions::live(base)?.is_none() => Ok(None),
        base => Ok(base),
    }
}
