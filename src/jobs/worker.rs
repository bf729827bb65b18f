//! The background worker of a job.
//!
//! Invariant: however a job ends, its row says so, unless this process is made to end: then the row says that the job
//! is running, and the next worker goes on from its last checkpoint.

use std::time::Duration;

use pgrx::bgworkers::BackgroundWorker;
use pgrx::{log, pg_sys, warning};

use super::follow::{self, End};
use super::launch;
use super::locks::{self, Lock, Place};
use super::progress::{self, Progress};
use super::transaction::{guarded, transaction};
use crate::catalog::jobs::{self, Failure};
use crate::error::Error;
use crate::{guc, latch};

/// Starts of a training that may come to nothing, one after another.
const PATIENCE: i32 = 3;
/// How often a worker looks whether something has changed.
pub const TICK: Duration = Duration::from_millis(400);
/// Ticks that a worker waits for another to let go of the job: one that has just been cancelled, or one that is about to find the
/// head of the queue taken. Whoever keeps it for longer than the latter would has come to stay.
const SUCCESSION: u32 = 25;
const MOMENT: u32 = 5;

/// SQLSTATE of a cancelled statement.
const CANCELLED: &str = "57014";

/// The server's own handlers, which take no wrapping.
mod handlers {
    unsafe extern "C-unwind" {
        pub fn die(signal: i32);
        pub fn StatementCancelHandler(signal: i32);
        pub fn SignalHandlerForConfigReload(signal: i32);
    }
}

/// Signals as a session treats them: SIGTERM ends the worker where it next waits, SIGINT cancels what it does.
pub fn heed_signals() {
    handle(pg_sys::SIGTERM, handlers::die);
    handle(pg_sys::SIGINT, handlers::StatementCancelHandler);
    handle(pg_sys::SIGHUP, handlers::SignalHandlerForConfigReload);
    // SAFETY: the handlers are set.
    unsafe { pg_sys::BackgroundWorkerUnblockSignals() };
}

fn handle(signal: u32, handler: unsafe extern "C-unwind" fn(i32)) {
    // SAFETY: one of the server's handlers, in a worker whose signals are still blocked.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(signal.cast_signed(), Some(handler));
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(signal.cast_signed(), Some(handler));
    }
}

/// Runs a job, if it is there and nobody else does; a worker that succeeds another waits for that one to let go of it.
///
/// A job that waits for its turn keeps no connection, so its database can be renamed or dropped meanwhile. Whether it was
/// cancelled meanwhile is seen when its turn has come.
pub fn main(database: pg_sys::Oid, login: pg_sys::Oid, job: i64, succeeds_another: bool) {
    // Where a connection isn't possible, the server would start this worker again and again.
    if progress::last(database, job).is_some_and(|last| last.died_connecting()) {
        log!("job {job} could not connect to its database, giving up");
        progress::remove(database, job);
        return;
    }
    locks::work_for(database);
    let ticks = if succeeds_another { SUCCESSION } else { MOMENT };
    let Some(_lock) = take_over(job, ticks) else { return };
    let mut report = Progress::new(job);
    "waiting for its turn".clone_into(&mut report.phase);
    report.report(database);
    if let Some((head, turn)) = await_turn() {
        progress::CONNECTING.clone_into(&mut report.phase);
        report.report(database);
        BackgroundWorker::connect_worker_to_spi_by_oid(Some(database), Some(login));
        if accept_turn(job, head) {
            run(job, &mut report, database);
            drop(turn);
            launch_or_warn(launch::recover);
        }
    }
    progress::remove(database, job);
}

/// The lock of the job; `None` if another worker keeps it for so many ticks.
fn take_over(job: i64, ticks: u32) -> Option<Lock> {
    for tick in 0..=ticks {
        match locks::take(Place::Job(job)) {
            Ok(Some(lock)) => return Some(lock),
            Ok(None) if tick < ticks => latch::wait(None, Some(TICK)),
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
    let head = locks::take(Place::Queue).ok().flatten()?;
    loop {
        if let Some(turn) =
            (0..guc::max_training_jobs()).find_map(|turn| locks::take(Place::Turn(turn)).ok()?)
        {
            return Some((head, turn));
        }
        latch::wait(None, Some(TICK));
        heed_settings();
    }
}

/// Lets go of the head of the queue for the next job. Whether the turn is this job's: `false` if an older one is to have it, or
/// this one needs none any more.
fn accept_turn(job: i64, head: Lock) -> bool {
    let older = transaction(|| launch::older(job)).ok().flatten();
    let is_open = transaction(|| jobs::is_open(job)).is_ok_and(|open| open);
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

/// Reads the configuration again if it has changed.
fn heed_settings() {
    // SAFETY: a flag that the handler of SIGHUP sets, and the function that the server's own workers call for it.
    unsafe {
        if (&raw const pg_sys::ConfigReloadPending).read_volatile() != 0 {
            (&raw mut pg_sys::ConfigReloadPending).write_volatile(0);
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}

/// Trains until the job has ended, with a new process where one is lost.
fn run(job: i64, report: &mut Progress, database: pg_sys::Oid) {
    let mut words = "The worker of the job was lost.".to_owned();
    loop {
        heed_settings();
        let end = transaction(|| jobs::begin(job)).and_then(|begun| match begun {
            None => Ok(End::Cancelled),
            Some(begun) if begun.attempts > PATIENCE => {
                Err(Error::TrainingLost(begun.attempts - 1, words.clone()).into())
            }
            Some(begun) => guarded(|| follow::train(&begun, report, database)),
        });
        match end {
            Ok(End::Succeeded) => return log!("job {job} has succeeded"),
            Ok(End::Cancelled) => return log!("job {job} is cancelled"),
            Ok(End::Lost(epitaph)) => {
                warning!("job {job} lost its training process: {epitaph}");
                words = epitaph;
            }
            Err(failure) => return fail(job, &failure),
        }
    }
}

fn fail(job: i64, failure: &Failure) {
    let recorded = if failure.sqlstate == CANCELLED {
        log!("job {job} is cancelled by a signal");
        transaction(|| jobs::cancel(job, None))
    } else {
        log!("job {job} has failed: {}", failure.message);
        transaction(|| jobs::fail(job, failure))
    };
    if let Err(failure) = recorded {
        warning!("could not record the end of job {job}: {}", failure.message);
    }
}
