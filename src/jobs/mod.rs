//! Trainings in the background.
//!
//! # Layout
//! - [`submit`]: what `train_model` was asked for, checked and put into the queue.
//! - [`schedule`]: trainings again and again, when there is something to do; [`cron`]: at the times that pg_cron keeps; [`retrain_if`]: what makes one due;
//!   [`drift_check`]: drift of new rows.
//! - [`launch`]: workers for jobs that have none, at commit and after a restart of the server.
//! - [`progress`]: where running jobs are, for other sessions; [`progress_line`]: in a line for people.
//! - [`worker`]: the background worker of a job, from its start to its end.
//! - [`training_process`]: its engine process, in mode `train`.
//! - [`members`]: models that a job puts together; [`known_rows`]: rows that these have learned from.
//! - [`reads`]: which columns a job reads; [`rows`]: its rows; [`row_fingerprints`]: which of them a model was trained on.
//! - [`augment`]: synonyms and other words for texts, [`descriptions`]: texts about what keys name, both from where the user says.
//! - [`send_inputs`]: what that process is told: plan, models, rows.
//! - [`event_loop`]: what that process says, and what is kept of it.
//! - [`findings`]: what to know of a job's rows.
//! - [`outcome`]: the new version, stored; [`deploy_decision`]: whether it is deployed.
//! - [`wait`]: other sessions that wait for a job.
//!
//! It must not know how a model is trained: that is the engine's. Invariant: what a job has done is in the database, so
//! whichever process ends, another one goes on from there; and rows are read as the role that called.

mod augment;
mod cron;
mod deploy_decision;
mod descriptions;
mod drift_check;
mod event_loop;
mod findings;
mod known_rows;
pub mod launch;
mod members;
mod outcome;
mod progress;
mod progress_line;
mod reads;
mod retrain_if;
mod row_fingerprints;
mod rows;
mod schedule;
mod send_inputs;
mod submit;
mod training_process;
mod wait;
mod worker;

pub use progress::{Progress, all as progress};
pub use schedule::{run as run_schedule, schedule, unschedule};
pub use submit::{TrainingRequest, retrain, submit};
pub use wait::{wait, wait_between_transactions};

use pgrx::pg_sys;

use crate::background::locks;
use crate::catalog::jobs;
use crate::error::Error;

/// Lets a job that isn't running go on from its last checkpoint, at commit.
///
/// # Errors
/// [`Error::UnknownJob`], [`Error::JobDenied`], [`Error::JobState`].
pub fn resume(job: i64) -> Result<(), Error> {
    jobs::require(job, &[])?;
    if jobs::is_open(job)? && locks::has_worker(job) {
        return Err(Error::JobState { job, state: "is running" });
    }
    let waiting = jobs::requeue(job)?.ok_or(Error::JobState { job, state: "has succeeded" })?;
    // SAFETY: set before this library runs in a session.
    progress::remove(unsafe { pg_sys::MyDatabaseId }, job);
    launch::at_commit(waiting);
    Ok(())
}

/// Where a job is, in a line of at most 80 columns.
///
/// # Errors
/// [`Error::UnknownJob`], [`Error::JobDenied`].
pub fn progress_line(job: i64) -> Result<String, Error> {
    let state = jobs::state(job)?;
    let (version, outcome) = jobs::result(job)?;
    // SAFETY: set before this library runs in a session.
    let database = unsafe { pg_sys::MyDatabaseId };
    let progress = locks::has_worker(job).then(|| progress::last(database, job)).flatten();
    Ok(progress_line::line(&progress_line::JobStatus { state, version, outcome, progress }))
}

/// Cancels a job, at commit; `false` if it has ended already.
///
/// # Errors
/// [`Error::UnknownJob`], [`Error::JobDenied`].
pub fn cancel(job: i64) -> Result<bool, Error> {
    jobs::require(job, &["pg_signal_backend"])?;
    jobs::cancel(job, Some(&crate::catalog::privilege::current_user()?))
}

/// Trainings and schedules that a role owns, in words.
///
/// # Errors
/// When our tables can't be read.
pub fn owned(role: pg_sys::Oid) -> Result<Vec<String>, Error> {
    Ok([schedule::owned(role)?, jobs::owned(role)?].concat())
}

/// Ends and forgets trainings and schedules of a role; its worker ends as that of any job that was dropped.
///
/// # Errors
/// When our tables can't be written.
pub fn drop_owned(role: pg_sys::Oid) -> Result<(), Error> {
    schedule::drop_owned(role)?;
    for job in jobs::numbers(role)? {
        jobs::cancel(job, None)?;
        jobs::delete(job)?;
    }
    Ok(())
}

/// Forgets a job that has ended.
///
/// # Errors
/// [`Error::UnknownJob`], [`Error::JobDenied`], [`Error::JobState`].
pub fn forget(job: i64) -> Result<(), Error> {
    jobs::require(job, &[])?;
    if jobs::delete(job)? { Ok(()) } else { Err(Error::JobState { job, state: "has not ended" }) }
}
