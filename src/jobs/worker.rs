//! The background worker of a job.
//!
//! Invariant: however a job ends, its row says so, unless this process is made to end: then the row says that the job
//! is running, and the next worker goes on from its last checkpoint.

use std::time::Duration;

use pgrx::bgworkers::BackgroundWorker;
use pgrx::{log, pg_sys, warning};

use super::event_loop::{self, End};
use super::launch;
use super::progress::{self, Progress};
use crate::background::locks::{self, Lock, LockKey};
use crate::background::{guarded, reload_configuration, set_own_defaults, transaction};
use crate::catalog::jobs::{self, Failure};
use crate::error::Error;
use crate::{guc, latch};

/// Starts of a training, or of workers for it, that may come to nothing, one after another.
const MAX_ATTEMPTS: i32 = 3;
/// How often a worker looks whether something has changed.
pub const POLL_INTERVAL: Duration = Duration::from_millis(400);
/// Polls for which a worker waits for another to let go of the job: one that has just been cancelled, or one that is about to
/// find the head of the queue taken. Whoever keeps it for longer than the latter would has come to stay.
const HANDOVER_POLLS: u32 = 25;
const STARTUP_POLLS: u32 = 5;

/// SQLSTATE of a cancelled statement.
const CANCELLED: &str = "57014";

/// Runs a job, if it is there and nobody else does; a worker that succeeds another waits for that one to let go of it.
///
/// A job that waits for its turn keeps no connection, so its database can be renamed or dropped meanwhile. Whether it was
/// cancelled meanwhile is seen when its turn has come.
pub fn main(database: pg_sys::Oid, login: pg_sys::Oid, job: i64, succeeds_another: bool) {
    let last = progress::last(database, job).unwrap_or_default();
    let mut report = Progress { failures: last.failures, ..Progress::new(job) };
    // Where a connection isn't possible, the server would start this worker again and again.
    if last.died_connecting() {
        log!("job {job} could not connect to its database, giving up");
        report.failures += 1;
        report.report(database);
        return;
    }
    locks::work_for(database);
    let polls = if succeeds_another { HANDOVER_POLLS } else { STARTUP_POLLS };
    let Some(_lock) = take_over(job, polls) else { return };
    "waiting for its turn".clone_into(&mut report.phase);
    report.report(database);
    let Some((head, turn)) = await_turn() else { return progress::remove(database, job) };
    progress::CONNECTING.clone_into(&mut report.phase);
    report.report(database);
    let may_run = report.failures < MAX_ATTEMPTS;
    // A role that can't connect can't even record that; no role always can.
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(database), may_run.then_some(login));
    set_own_defaults();
    let is_accepted = accept_turn(job, head);
    let is_settled = match (is_accepted, may_run) {
        (false, _) => true,
        (true, true) => run(job, &mut report, database),
        (true, false) => give_up(job),
    };
    if is_settled {
        progress::remove(database, job);
    } else {
        report.failures += 1;
        report.given_up = !may_run;
        report.report(database);
    }
    drop(turn);
    if is_accepted {
        launch_or_warn(launch::recover);
    }
}

/// Records that a job can't be run, after workers in a row that did not come to run it.
fn give_up(job: i64) -> bool {
    fail(job, &Error::JobNotStarted(job).into())
}

/// The lock of the job; `None` if another worker keeps it for so many polls.
fn take_over(job: i64, polls: u32) -> Option<Lock> {
    for poll in 0..=polls {
        match locks::acquire(LockKey::Job(job)) {
            Ok(Some(lock)) => return Some(lock),
            Ok(None) if poll < polls => latch::wait(None, Some(POLL_INTERVAL)),
            Ok(None) => {}
            Err(error) => {
                warning!("could not lock job {job}: {error}");
                return None;
            }
        }
    }
    None
}

/// The head of the queue and one of the turns that there are; `None` if another worker of this database waits already.
///
/// Only the worker at the head of the queue waits; it starts the next when it has its turn. So jobs that wait take one slot
/// of the server's for workers, however many they are.
fn await_turn() -> Option<(Lock, Lock)> {
    let head = locks::acquire(LockKey::Queue).ok().flatten()?;
    loop {
        if let Some(turn) =
            (0..guc::max_training_jobs()).find_map(|turn| locks::acquire(LockKey::Turn(turn)).ok()?)
        {
            return Some((head, turn));
        }
        latch::wait(None, Some(POLL_INTERVAL));
        reload_configuration();
    }
}

/// Lets go of the head of the queue for the next job. Whether the turn is this job's: `false` if an older one is to have it, or
/// this one needs none any more.
fn accept_turn(job: i64, head: Lock) -> bool {
    let older = transaction(|| launch::older(job)).ok().flatten();
    // Whoever can't find that out finds it out again when the job begins, and records it.
    let is_open = transaction(|| jobs::is_open(job)).unwrap_or(true);
    // A worker that is started while the head is taken ends at once.
    drop(head);
    match older {
        Some(older) => launch_or_warn(|| launch::start(older)),
        None => see_to_next(job),
    }
    is_open && older.is_none()
}

fn see_to_next(job: i64) {
    launch_or_warn(|| launch::next(job));
}

fn launch_or_warn(launch: impl FnOnce() -> Result<(), Error>) {
    if let Err(failure) = transaction(launch) {
        warning!("could not start the next job: {}", failure.message);
    }
}

/// Trains until the job has ended, with a new process where one is lost. Returns whether its row tells how.
fn run(job: i64, report: &mut Progress, database: pg_sys::Oid) -> bool {
    let mut exit_report = "The worker of the job was lost.".to_owned();
    loop {
        reload_configuration();
        let end = transaction(|| jobs::begin(job)).and_then(|begun| match begun {
            None => Ok(End::Cancelled),
            Some(begun) if begun.attempts > MAX_ATTEMPTS => {
                Err(Error::TrainingLost(begun.attempts - 1, exit_report.clone()).into())
            }
            Some(begun) => guarded(|| event_loop::train(&begun, report, database)),
        });
        match end {
            Ok(End::Succeeded) => {
                log!("job {job} has succeeded");
                return true;
            }
            Ok(End::Cancelled) => {
                log!("job {job} is cancelled");
                return true;
            }
            Ok(End::Lost(lost)) => {
                warning!("job {job} lost its training process: {lost}");
                exit_report = lost;
            }
            Err(failure) => return fail(job, &failure),
        }
    }
}

/// Records how a job ended that did not succeed; `false` if that isn't possible.
fn fail(job: i64, failure: &Failure) -> bool {
    let recorded = if failure.sqlstate == CANCELLED {
        log!("job {job} is cancelled by a signal");
        transaction(|| jobs::cancel(job, None))
    } else {
        log!("job {job} has failed: {}", failure.message);
        transaction(|| jobs::fail(job, failure))
    };
    match recorded {
        Ok(_) => true,
        Err(failure) => {
            warning!("could not record the end of job {job}: {}", failure.message);
            false
        }
    }
}
