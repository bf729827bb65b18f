//! Sessions that wait for a job.
//!
//! Invariant: a wait holds no lock and sees what others commit, at every isolation level.

use std::time::{Duration, Instant};

use pgrx::pg_sys;

use super::{launch, progress};
use crate::catalog::jobs;
use crate::error::Error;
use crate::latch;

/// How often a job is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How often jobs without workers are looked for meanwhile.
const RECOVERY: Duration = Duration::from_secs(2);

/// Waits until a job has ended, or the time is over, and returns its state.
///
/// # Errors
/// [`Error::UnknownJob`], [`Error::JobDenied`], [`Error::JobNotSubmitted`], [`Error::JobNotStarted`].
pub fn wait(job: i64, timeout: Option<Duration>) -> Result<String, Error> {
    if launch::is_submitted(job) {
        return Err(Error::JobNotSubmitted(job));
    }
    let started = Instant::now();
    let mut recovered = started;
    loop {
        let state = jobs::state(job)?;
        let is_open = matches!(&*state, "queued" | "running");
        if !is_open || timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
            return Ok(state);
        }
        // SAFETY: set before this library runs in a session.
        if progress::is_given_up(unsafe { pg_sys::MyDatabaseId }, job) {
            return Err(Error::JobNotStarted(job));
        }
        if recovered.elapsed() > RECOVERY && is_writable() {
            launch::recover()?;
            recovered = Instant::now();
        }
        let left = timeout.map_or(TICK, |timeout| timeout.saturating_sub(started.elapsed()));
        latch::wait(None, Some(left.min(TICK)));
    }
}

/// A standby can look, but not run jobs.
fn is_writable() -> bool {
    // SAFETY: reads a flag of the server's.
    !unsafe { pg_sys::RecoveryInProgress() }
}
