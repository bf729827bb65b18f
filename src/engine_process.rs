//! An engine process: its start, its standard error, its end.
//!
//! It must not know what the process is for. Invariant: a [`EngineProcess`] never outlives the process that started it: the
//! kernel kills it when that ends.

use std::collections::VecDeque;
use std::env;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, Command, ExitStatus, Stdio};

use crate::runtime;

/// Lines kept to be shown should the engine die.
const LAST_LINES: usize = 10;

/// A running engine.
pub struct EngineProcess {
    process: process::Child,
    /// Our end of its standard error.
    stderr: UnixStream,
    /// What has been read of a line that is not complete yet.
    partial: Vec<u8>,
    /// The latest lines.
    latest: VecDeque<String>,
}

impl EngineProcess {
    /// Starts an engine with these arguments, standard input and output, and so much added to its niceness.
    ///
    /// # Errors
    /// If there is no such program, or no room for another process.
    pub fn start(
        arguments: impl IntoIterator<Item = OsString>,
        (input, output): (OwnedFd, OwnedFd),
        nice: i32,
    ) -> io::Result<Self> {
        let (stderr, its_stderr) = UnixStream::pair()?;
        stderr.set_nonblocking(true)?;
        let mut command = Command::new(runtime::engine_binary());
        command
            .args(arguments)
            .envs(thread_settings())
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(output))
            .stderr(Stdio::from(OwnedFd::from(its_stderr)));
        let niceness = nice.to_string();
        // SAFETY: between fork and exec the closure makes system calls only; it neither allocates nor locks.
        unsafe { command.pre_exec(move || prepare(nice, &niceness)) };
        Ok(Self { process: command.spawn()?, stderr, partial: Vec::new(), latest: VecDeque::new() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its standard error: readable when the engine has written something, or ended.
    pub fn stderr(&self) -> BorrowedFd<'_> {
        self.stderr.as_fd()
    }

    /// The whole lines that the engine has written since the last call, and whether it has closed its standard error.
    pub fn read_lines(&mut self) -> (Vec<String>, bool) {
        let mut buffer = [0; 4096];
        let mut lines = Vec::new();
        loop {
            match self.stderr.read(&mut buffer) {
                Ok(0) => return (lines, true),
                Ok(read) => lines.extend(self.complete(&buffer[..read])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (lines, error.kind() != io::ErrorKind::WouldBlock),
            }
        }
    }

    fn complete(&mut self, bytes: &[u8]) -> Vec<String> {
        self.partial.extend_from_slice(bytes);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = self.partial.split_off(end + 1);
        let whole = std::mem::replace(&mut self.partial, rest);
        let lines: Vec<String> = String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect();
        self.latest.extend(lines.iter().cloned());
        let excess = self.latest.len().saturating_sub(LAST_LINES);
        self.latest.drain(..excess);
        lines
    }

    /// The last lines that it has written, as one text.
    pub fn last_lines(&self) -> String {
        self.latest.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Whether and how it ended.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Ends it at once: it keeps no state.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.process.kill()?;
        self.process.wait()
    }
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.kill();
    }
}

/// Threads of OpenMP, which XGBoost has, wait for each other by spinning unless told otherwise: where other processes want the
/// same cores, rounds of trees take twenty times as long. What the server was started with holds.
fn thread_settings() -> impl Iterator<Item = (&'static str, &'static str)> {
    [("OMP_WAIT_POLICY", "passive")].into_iter().filter(|(name, _)| env::var_os(name).is_none())
}

/// Runs in the child between fork and exec. `Command` itself resets the signal mask and SIGPIPE, and exec
/// resets the handlers.
fn prepare(nice: i32, niceness: &str) -> io::Result<()> {
    // SAFETY: plain system calls. The descriptors are marked instead of closed because `Command` still needs one to
    // report a failing exec; kernels before 5.9 lack the call, and there the server's own descriptors leak.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        if nice > 0 {
            libc::setpriority(libc::PRIO_PROCESS, 0, nice);
            // Each server process has a session of its own, and a kernel that schedules by sessions compares niceness only
            // within one; so the session gets it too. The file is missing where the kernel doesn't.
            let file = libc::open(c"/proc/self/autogroup".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            if file >= 0 {
                libc::write(file, niceness.as_ptr().cast(), niceness.len());
                libc::close(file);
            }
        }
    }
    Ok(())
}

/// How a process ended, in words that follow its name.
pub fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was terminated by signal {signal}"),
        (None, Some(code)) => format!("exited with exit code {code}"),
        (None, None) => status.to_string(),
    }
}
