//! Leadership, or being *the* supervisor: the lock, and the listening socket that comes with it.
//!
//! Invariant: who holds the [`Leadership`] is the only process of the cluster that may start an engine.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use ecommerce_ml_protocol::BUILD;
use rustix::process::{Pid, Signal, kill_process};

use crate::{latch, runtime};

/// How long a supervisor of another build may take to end.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(10);

/// The lock and the socket. Dropping it removes the socket first, so that nobody connects to a server that has gone.
pub struct Leadership {
    /// Where sessions connect; every engine gets a copy.
    pub listener: UnixListener,
    _lock: File,
}

impl Leadership {
    /// Acquires the leadership lock; `None` if a supervisor of this build is there already. One of another build is told to end.
    pub fn acquire() -> io::Result<Option<Self>> {
        runtime::make_directory()?;
        let Some(mut lock) = lock_or_replace()? else { return Ok(None) };
        lock.set_len(0)?;
        match fs::remove_file(runtime::SOCKET) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(runtime::SOCKET)?;
        // Last, because sessions take it for the sign that they can connect.
        write!(lock, "{}\n{BUILD}\n", std::process::id())?;
        Ok(Some(Self { listener, _lock: lock }))
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        // If this fails, sessions find a socket that refuses them, which they take for the same.
        let _ = fs::remove_file(runtime::SOCKET);
    }
}

fn lock_or_replace() -> io::Result<Option<File>> {
    let started = Instant::now();
    loop {
        if let Some(lock) = runtime::try_lock(runtime::SUPERVISOR_LOCK)? {
            return Ok(Some(lock));
        }
        match holder() {
            Some((_, build)) if build == BUILD => return Ok(None),
            Some((pid, _)) => terminate(pid)?,
            None => {}
        }
        if started.elapsed() > HANDOVER_TIMEOUT {
            return Err(io::Error::other("a supervisor of another build does not end"));
        }
        latch::wait(None, Some(Duration::from_millis(50)));
    }
}

/// Process and build of the lock's holder, or of its last one; `None` while it hasn't written them.
pub fn holder() -> Option<(Pid, String)> {
    let content = fs::read_to_string(runtime::SUPERVISOR_LOCK).ok()?;
    let mut lines = content.lines();
    let pid = lines.next().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
    pid.zip(lines.next().map(str::to_owned))
}

fn terminate(pid: Pid) -> io::Result<()> {
    match kill_process(pid, Signal::TERM) {
        Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
