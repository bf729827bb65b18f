//! The background worker "ecommerce_ml engine": starts the engine and monitors it.
//!
//! There is at most one in a cluster, the holder of the lock file. It starts on demand from a session, or with the
//! server where `shared_preload_libraries` names the library. It holds the listening socket and hands it to each
//! engine in turn, so that sessions which connect while an engine is being replaced just wait in the backlog.
//!
//! It must not touch a database or run model code: whatever the engine does, this process stays sound, because
//! the server answers the crash of a background worker by restarting every session.

mod engine;
mod engine_monitor;
mod heartbeat;
mod leadership;

use std::time::Duration;

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime, SignalWakeFlags};
use pgrx::{pg_guard, pg_sys, warning};

/// Name in process listings.
const TITLE: &str = "ecommerce_ml engine";

/// Starts the supervisor with the server, where the library is preloaded.
pub fn init() {
    // SAFETY: a flag that only the postmaster changes, before this library is loaded and after.
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        worker().set_restart_time(Some(Duration::from_secs(5))).load();
    }
}

/// The worker's registration. It runs on standbys as well.
pub fn worker() -> BackgroundWorkerBuilder {
    BackgroundWorkerBuilder::new(TITLE)
        .set_type(TITLE)
        .set_library("ecommerce_ml")
        .set_function("ecommerce_ml_supervise")
        .set_start_time(BgWorkerStartTime::ConsistentState)
        .enable_shmem_access(None)
}

/// Whether this process is the supervisor.
pub fn is_leader(pid: i32) -> bool {
    leadership::holder().is_some_and(|(holder, _)| holder.as_raw_nonzero().get() == pid)
}

/// The supervisor's process id, if there is one.
pub fn pid() -> Option<i32> {
    leadership::holder().map(|(holder, _)| holder.as_raw_nonzero().get())
}

/// The worker's main function.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn ecommerce_ml_supervise(_argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    match leadership::Leadership::acquire() {
        Ok(Some(leadership)) => engine_monitor::run(leadership),
        Ok(None) => {}
        Err(error) => warning!("ecommerce_ml engine could not be supervised: {error}"),
    }
}
