//! Starting the worker of a database when there is something to do.
//!
//! Whoever commits a stale row leaves a note, then looks whether there is a worker; a worker that is about to end gives its lock
//! back, then looks for a note. So one of both sees to the row. The server starts a worker again that a crash of the server ended;
//! after a restart of the server the launcher does, where the library is preloaded, or else the next session that leaves a note.
//! Invariant: a worker too many does no harm, since it ends as soon as it finds the lock taken.

use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::time::Duration;

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::{PgXactCallbackEvent, log, pg_guard, pg_sys, register_xact_callback};

use super::{definition, worker};
use crate::background::install_signal_handlers;
use crate::background::locks::{LockKey, is_locked};
use crate::error::Error;
use crate::runtime;

/// Type of the worker, in pg_stat_activity.
const TITLE: &str = "ecommerce_ml kept columns";
/// After which the server starts a worker again that didn't end by itself.
const RESTART_DELAY: Duration = Duration::from_secs(2);
/// Time after which a note that is still there is no sign of a worker any more, nor of somebody who waits.
const NOTE_LIFETIME: Duration = Duration::from_secs(1);
/// Time that a worker has from its start until it takes the lock.
const START_TIMEOUT: Duration = Duration::from_secs(10);

thread_local! {
    /// This transaction leaves something to do.
    static PENDING: Cell<bool> = const { Cell::new(false) };
    /// This session has said that there is no slot for a worker.
    static COMPLAINED: Cell<bool> = const { Cell::new(false) };
}

/// Sees to it that there is a worker when the transaction has committed.
pub fn at_commit() {
    if PENDING.replace(true) {
        return;
    }
    register_xact_callback(PgXactCallbackEvent::Commit, || {
        PENDING.set(false);
        // A note that nobody has taken covers this transaction too, and whoever left it has looked for a worker.
        if has_recent_note(database()) {
            return;
        }
        if let Err(error) = now()
            && !COMPLAINED.replace(true)
        {
            // An error would come too late: the transaction has committed.
            log!("stale rows of kept columns have to wait: {error}");
        }
    });
    register_xact_callback(PgXactCallbackEvent::Abort, || PENDING.set(false));
    register_xact_callback(PgXactCallbackEvent::Prepare, || PENDING.set(false));
}

/// Whether this transaction has something to do that no worker can see yet.
pub fn is_pending() -> bool {
    PENDING.get()
}

/// As [`at_commit`], if there is a kept column at all.
///
/// # Errors
/// When the catalogs can't be read.
pub fn at_commit_if_any() -> Result<(), Error> {
    if !PENDING.get() && !definition::all()?.is_empty() {
        at_commit();
    }
    Ok(())
}

/// Lets the worker look for stale rows, and starts it if there is none.
///
/// # Errors
/// [`Error::NoWorkerSlot`], [`Error::SingleUser`].
pub fn now() -> Result<(), Error> {
    let database = database();
    if let Err(error) = leave_note(database) {
        log!("could not tell the worker of kept columns: {error}");
    }
    if is_locked(LockKey::KeptColumns) || is_starting(database) {
        return Ok(());
    }
    start(database)
}

fn start(database: pg_sys::Oid) -> Result<(), Error> {
    if !runtime::has_workers() {
        return Err(Error::SingleUser("a worker for kept columns".to_owned()));
    }
    let _ = File::create(starting(database));
    let started = BackgroundWorkerBuilder::new(TITLE)
        .set_type(TITLE)
        .set_library("ecommerce_ml")
        .set_function("ecommerce_ml_keep_columns")
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(Some(RESTART_DELAY))
        .set_extra(&database.to_u32().to_string())
        .enable_spi_access()
        .load_dynamic();
    started.map(drop).map_err(|_| {
        has_started(database);
        Error::NoWorkerSlot
    })
}

/// The main function of the worker.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn ecommerce_ml_keep_columns(_argument: pg_sys::Datum) {
    install_signal_handlers();
    if let Ok(database) = BackgroundWorker::get_extra().parse::<u32>() {
        worker::main(pg_sys::Oid::from(database));
    }
}

fn database() -> pg_sys::Oid {
    // SAFETY: set before this library runs in a process that is connected to a database.
    unsafe { pg_sys::MyDatabaseId }
}

fn leave_note(database: pg_sys::Oid) -> io::Result<()> {
    runtime::make_directory()?;
    File::create(note(database)).map(drop)
}

/// Whether a note was there; it isn't any more.
pub fn take_note(database: pg_sys::Oid) -> bool {
    fs::remove_file(note(database)).is_ok()
}

/// Whether a note is there.
pub fn has_note(database: pg_sys::Oid) -> bool {
    fs::exists(note(database)).unwrap_or(false)
}

fn has_recent_note(database: pg_sys::Oid) -> bool {
    is_recent(&note(database), NOTE_LIFETIME)
}

/// Whether a file is there and was made within so much time.
fn is_recent(path: &str, lifetime: Duration) -> bool {
    let since = fs::metadata(path).and_then(|file| file.modified());
    since.is_ok_and(|since| since.elapsed().is_ok_and(|time| time < lifetime))
}

/// Notes that somebody waits for fresh rows; good for [`NOTE_LIFETIME`].
pub fn wait_here() {
    let database = database();
    if !is_recent(&waiter(database), NOTE_LIFETIME / 2) {
        // Without it the wait is longer.
        let _ = runtime::make_directory().and_then(|()| File::create(waiter(database)));
    }
}

/// Whether somebody has said lately that he waits for fresh rows.
pub fn has_waiter(database: pg_sys::Oid) -> bool {
    is_recent(&waiter(database), NOTE_LIFETIME)
}

fn waiter(database: pg_sys::Oid) -> String {
    format!("{}/kept_columns.{}.waiter", runtime::DIRECTORY, database.to_u32())
}

fn note(database: pg_sys::Oid) -> String {
    format!("{}/kept_columns.{}.stale", runtime::DIRECTORY, database.to_u32())
}

/// Notes that a worker that was started has come so far that its lock tells of it, or never will.
pub fn has_started(database: pg_sys::Oid) {
    // It may not be there.
    let _ = fs::remove_file(starting(database));
}

fn is_starting(database: pg_sys::Oid) -> bool {
    is_recent(&starting(database), START_TIMEOUT)
}

fn starting(database: pg_sys::Oid) -> String {
    format!("{}/kept_columns.{}.starting", runtime::DIRECTORY, database.to_u32())
}

/// Whether there is no worker, nor one that is about to be.
pub fn is_idle() -> bool {
    !is_locked(LockKey::KeptColumns) && !is_starting(database())
}

/// As [`now`], if there is a kept column at all.
///
/// # Errors
/// As there; when the catalogs can't be read.
pub fn now_if_any() -> Result<(), Error> {
    if definition::all()?.is_empty() { Ok(()) } else { now() }
}
