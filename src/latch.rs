//! Waiting as a server process must: for a socket, for the process latch, and never past the postmaster's death.
//!
//! Invariant: every wait of this extension goes through [`wait`], so a cancel or shutdown is never missed.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use pgrx::{check_for_interrupts, pg_sys};

/// What to wait for on the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    Readable,
    ReadableOrWritable,
}

/// What is left of the time until then, rounded up to what a wait can tell apart.
pub fn left(until: Option<Instant>) -> Option<Duration> {
    until.map(|until| until.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
}

/// Waits for the socket, the latch or the end of the time, whichever comes first.
///
/// # Errors
/// Raises the server's error when the statement is cancelled or the session is told to end. Callers hold nothing
/// that their `Drop` doesn't put in order.
pub fn wait(socket: Option<(BorrowedFd<'_>, Interest)>, timeout: Option<Duration>) {
    let (descriptor, interest) = match socket {
        Some((socket, Interest::Readable)) => (socket.as_raw_fd(), pg_sys::WL_SOCKET_READABLE),
        Some((socket, Interest::ReadableOrWritable)) => {
            (socket.as_raw_fd(), pg_sys::WL_SOCKET_READABLE | pg_sys::WL_SOCKET_WRITEABLE)
        }
        None => (-1, 0),
    };
    let limit = timeout.map_or(0, |_| pg_sys::WL_TIMEOUT);
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_EXIT_ON_PM_DEATH | interest | limit;
    let millis = timeout.map_or(-1, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    // SAFETY: MyLatch is this process' own latch for all of its life, and the socket is borrowed for the call.
    unsafe {
        let happened = pg_sys::WaitLatchOrSocket(
            pg_sys::MyLatch,
            events as i32,
            descriptor,
            millis,
            pg_sys::PG_WAIT_EXTENSION,
        );
        if happened as u32 & pg_sys::WL_LATCH_SET != 0 {
            pg_sys::ResetLatch(pg_sys::MyLatch);
        }
    }
    check_for_interrupts!();
}
