//! Workers for jobs that have none.
//!
//! A job that is submitted gets one when the transaction commits. The server itself starts a worker again that a crash of
//! the server ended; after a restart of the server it is for the launcher to do, where the library is preloaded, or else
//! for the next session that has to do with jobs. Invariant: a worker too many does no harm, since it ends as soon as it
//! finds the job's lock taken.

use std::cell::RefCell;
use std::time::Duration;

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::{PgXactCallbackEvent, pg_guard, pg_sys, register_xact_callback, warning};

use super::progress;
use super::worker;
use crate::background::locks::{self, LockKey};
use crate::background::{install_signal_handlers, transaction};
use crate::catalog::jobs::{self, Waiting};
use crate::catalog::privilege;
use crate::error::Error;
use crate::{kept_columns, runtime};

/// Type of a job's worker, in pg_stat_activity.
const WORKER_TYPE: &str = "ecommerce_ml job";
/// Type of the workers that look for jobs.
const LAUNCHER_TYPE: &str = "ecommerce_ml job launcher";
/// After which the server starts a worker again that didn't end by itself.
const RESTART_DELAY: Duration = Duration::from_secs(5);

thread_local! {
    /// Jobs that this transaction has submitted.
    static SUBMITTED: RefCell<Vec<Waiting>> = RefCell::default();
}

/// Starts the launcher with the server, where the library is preloaded.
pub fn init() {
    // SAFETY: a flag that only the postmaster changes, before this library is loaded and after.
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        builder(LAUNCHER_TYPE, LAUNCHER_TYPE, "ecommerce_ml_launch_jobs").load();
    }
}

/// Starts a worker when the transaction commits.
pub fn at_commit(waiting: Waiting) {
    let is_first = SUBMITTED.with_borrow_mut(|submitted| {
        submitted.push(waiting);
        submitted.len() == 1
    });
    if is_first {
        register_xact_callback(PgXactCallbackEvent::Commit, || {
            SUBMITTED.take().into_iter().for_each(start_or_warn)
        });
        register_xact_callback(PgXactCallbackEvent::Abort, || drop(SUBMITTED.take()));
    }
}

/// Whether this transaction has submitted a job, which no worker can see yet.
pub fn is_submitted(job: i64) -> bool {
    SUBMITTED.with_borrow(|submitted| submitted.iter().any(|waiting| waiting.job == job))
}

/// Starts workers for all jobs of this database that should have one and don't: those that were running, and the next one
/// in the queue.
///
/// # Errors
/// When our tables can't be read, or [`Error::NoJobSlot`].
pub fn recover() -> Result<(), Error> {
    jobs::fail_without_login()?;
    let (running, queued): (Vec<_>, Vec<_>) = jobs::open()?
        .into_iter()
        .filter(|waiting| !locks::has_worker(waiting.job))
        .partition(|waiting| waiting.was_running);
    running.into_iter().try_for_each(start)?;
    queued.first().copied().map_or(Ok(()), start_queued)
}

/// Starts a worker for the job that is next, unless it is this one or has a worker.
///
/// # Errors
/// As [`recover`].
pub fn next(after: i64) -> Result<(), Error> {
    let mut open = jobs::open()?.into_iter();
    match open.find(|waiting| waiting.job != after && !locks::has_worker(waiting.job)) {
        Some(waiting) => start(waiting),
        None => Ok(()),
    }
}

/// A job that waits and was submitted before this one, which waits too.
///
/// # Errors
/// As [`recover`].
pub fn older(than: i64) -> Result<Option<Waiting>, Error> {
    let queued: Vec<Waiting> = jobs::open()?.into_iter().filter(|waiting| !waiting.was_running).collect();
    let waits = queued.iter().any(|waiting| waiting.job == than);
    Ok(queued.first().copied().filter(|first| waits && first.job < than))
}

fn start_or_warn(waiting: Waiting) {
    let reason = match start_queued(waiting) {
        Ok(()) => return,
        Err(Error::SingleUser(_)) => "there are no background workers in single-user mode",
        Err(_) => "no free background worker slot",
    };
    // An error would come too late: the transaction has committed.
    warning!("job {} stays in the queue: {reason}", waiting.job);
}

/// Starts a worker for a job that is queued, unless another waits for its turn already: that one will see to it. It looks
/// for the next one after it has left the head of the queue, so a job that was committed before is not overlooked.
fn start_queued(waiting: Waiting) -> Result<(), Error> {
    if locks::is_locked(LockKey::Queue) { Ok(()) } else { start(waiting) }
}

/// Starts a worker for a job.
///
/// # Errors
/// [`Error::NoJobSlot`], [`Error::SingleUser`].
pub fn start(waiting: Waiting) -> Result<(), Error> {
    // SAFETY: set before this library runs in a process that is connected to a database.
    let database = unsafe { pg_sys::MyDatabaseId };
    if progress::is_given_up(database, waiting.job) {
        return Ok(());
    }
    if !runtime::has_workers() {
        return Err(Error::SingleUser(format!("a worker for job {}", waiting.job)));
    }
    let name = format!("{WORKER_TYPE} {}", waiting.job);
    // One that has been cancelled, and is about to let go of a job that was resumed.
    let succeeds_another = u8::from(locks::has_worker(waiting.job));
    let started = builder(&name, WORKER_TYPE, "ecommerce_ml_train")
        .set_restart_time(Some(RESTART_DELAY))
        .set_extra(&format!(
            "{} {} {} {succeeds_another}",
            database.to_u32(),
            waiting.login.to_u32(),
            waiting.job
        ))
        .load_dynamic();
    started.map(drop).map_err(|_| Error::NoJobSlot(waiting.job))
}

fn builder(name: &str, kind: &str, function: &str) -> BackgroundWorkerBuilder {
    BackgroundWorkerBuilder::new(name)
        .set_type(kind)
        .set_library("ecommerce_ml")
        .set_function(function)
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .enable_spi_access()
}

/// Numbers that [`start`] gave to this worker.
fn extra() -> Vec<u64> {
    BackgroundWorker::get_extra().split(' ').filter_map(|word| word.parse().ok()).collect()
}

fn oid(number: u64) -> pg_sys::Oid {
    u32::try_from(number).map_or(pg_sys::InvalidOid, pg_sys::Oid::from)
}

/// Main function of a job's worker.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn ecommerce_ml_train(_argument: pg_sys::Datum) {
    install_signal_handlers();
    if let [database, login, job, succeeds_another] = extra()[..] {
        worker::main(oid(database), oid(login), job.cast_signed(), succeeds_another != 0);
    }
}

/// Main function of the launcher: looks into each database, once.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn ecommerce_ml_launch_jobs(_argument: pg_sys::Datum) {
    install_signal_handlers();
    BackgroundWorker::connect_worker_to_spi(None, None);
    for database in transaction(databases).unwrap_or_default() {
        let name = format!("{LAUNCHER_TYPE} of database {}", database.to_u32());
        // SAFETY: set once when this process starts.
        let pid = unsafe { pg_sys::MyProcPid };
        let looking = builder(&name, LAUNCHER_TYPE, "ecommerce_ml_launch_jobs_here")
            .set_extra(&database.to_u32().to_string())
            .set_notify_pid(pid)
            .load_dynamic();
        match looking {
            Ok(worker) => drop(worker.wait_for_shutdown()),
            Err(_) => warning!(
                "could not look for jobs in database {}: no free background worker slot",
                database.to_u32()
            ),
        }
    }
}

/// Main function of a worker that looks into one database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn ecommerce_ml_launch_jobs_here(_argument: pg_sys::Datum) {
    install_signal_handlers();
    let [database] = extra()[..] else { return };
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(oid(database)), None);
    let recovered =
        transaction(|| if privilege::table_oid(c"stored_job").is_ok() { recover() } else { Ok(()) });
    if let Err(failure) = recovered {
        warning!("could not start jobs: {}", failure.message);
    }
    let kept = transaction(|| match privilege::table_oid(c"kept_columns") {
        Ok(_) => kept_columns::launch::now_if_any(),
        // Not here, or of an earlier version.
        Err(_) => Ok(()),
    });
    if let Err(failure) = kept {
        warning!("could not start the worker of kept columns: {}", failure.message);
    }
}

/// Databases that can be connected to. There is no connection to one yet, so the shared catalog is read as it is.
fn databases() -> Result<Vec<pg_sys::Oid>, Error> {
    let mut found = Vec::new();
    // SAFETY: the pattern of the server's own launchers: a catalog that is always there, scanned in a transaction and
    // closed before it ends; what a tuple holds is copied while it is there.
    unsafe {
        let catalog = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
        let scan = pg_sys::table_beginscan_catalog(catalog, 0, std::ptr::null_mut());
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            let row = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
            if (*row).datallowconn && !(*row).datistemplate {
                found.push((*row).oid);
            }
        }
        pg_sys::table_endscan(scan);
        pg_sys::table_close(catalog, pg_sys::AccessShareLock as i32);
    }
    Ok(found)
}
