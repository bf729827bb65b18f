//! Sessions that wait for a job.
//!
//! Invariant: a wait holds no lock and no transaction id, and sees what others commit, at every isolation level. The snapshot
//! of a statement that waits is not ours to let go of; a procedure's is.

use std::time::{Duration, Instant};

use pgrx::{notice, pg_sys};

use super::{findings, launch, progress};
use crate::catalog::jobs;
use crate::error::Error;
use crate::latch;

/// How often a job is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How often jobs without workers are looked for meanwhile.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(2);

/// Waits until a job has ended, or the time is over, and returns its state. What there is to know of the rows of a job that has
/// ended is said in notices.
///
/// # Errors
/// [`Error::UnknownJob`], [`Error::JobDenied`], [`Error::JobNotSubmitted`], [`Error::JobNotStarted`].
pub fn wait(job: i64, timeout: Option<Duration>) -> Result<String, Error> {
    poll_until_end(job, timeout, || ())
}

/// As [`wait`], committing before and meanwhile, so that no snapshot holds back VACUUM. `is_atomic` tells whether the caller
/// would have its transaction left alone.
///
/// # Errors
/// As [`wait`], and [`Error::InTransaction`].
pub fn wait_between_transactions(
    job: i64,
    timeout: Option<Duration>,
    is_atomic: bool,
) -> Result<String, Error> {
    if is_atomic {
        return Err(Error::InTransaction("await_job()"));
    }
    // SAFETY: the server's functions for procedures, called in one that may commit; an error inside ends the connection.
    unsafe { pg_sys::SPI_connect_ext(pg_sys::SPI_OPT_NONATOMIC as i32) };
    // SAFETY: as above. The second does nothing but in servers of before February 2022.
    let commit = || unsafe {
        pg_sys::SPI_commit();
        pg_sys::SPI_start_transaction();
    };
    commit();
    let state = poll_until_end(job, timeout, commit)?;
    // SAFETY: connected above.
    unsafe { pg_sys::SPI_finish() };
    Ok(state)
}

fn poll_until_end(
    job: i64,
    timeout: Option<Duration>,
    mut release_snapshot: impl FnMut(),
) -> Result<String, Error> {
    if launch::is_submitted(job) {
        return Err(Error::JobNotSubmitted(job));
    }
    let started = Instant::now();
    let mut recovered = started;
    loop {
        let state = jobs::state(job)?;
        let is_open = matches!(&*state, "queued" | "running");
        if !is_open {
            if let Some(notices) = jobs::notices(job)? {
                findings::messages(&notices).for_each(|message| notice!("job {job}: {message}"));
            }
            return Ok(state);
        }
        if timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
            return Ok(state);
        }
        // SAFETY: set before this library runs in a session.
        if progress::is_given_up(unsafe { pg_sys::MyDatabaseId }, job) {
            return Err(Error::JobNotStarted(job));
        }
        if recovered.elapsed() > RECOVERY_INTERVAL && is_writable() {
            launch::recover()?;
            recovered = Instant::now();
        }
        let left = timeout.map_or(POLL_INTERVAL, |timeout| timeout.saturating_sub(started.elapsed()));
        release_snapshot();
        latch::wait(None, Some(left.min(POLL_INTERVAL)));
    }
}

/// A standby can look, but not run jobs.
fn is_writable() -> bool {
    // SAFETY: reads a flag of the server's.
    !unsafe { pg_sys::RecoveryInProgress() }
}
