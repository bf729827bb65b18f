//! One engine process: its birth, its words, its end.
//!
//! Invariant: an [`Engine`] never outlives its supervisor. It holds one end of a lifeline whose other end the
//! engine reads until it closes, and the kernel kills the engine when the supervisor's process ends.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::guc::EngineSettings;
use crate::runtime;

/// Lines kept to be shown should the engine die.
const LAST_WORDS: usize = 10;

/// A running engine.
pub struct Engine {
    child: Child,
    /// The engine ends when this closes.
    _lifeline: UnixStream,
    /// Our end of its standard error.
    words: UnixStream,
    /// What has been read of a line that is not complete yet.
    partial: Vec<u8>,
    /// The latest lines.
    latest: VecDeque<String>,
}

impl Engine {
    /// Starts an engine that serves the listener's clients.
    pub fn start(settings: &EngineSettings, listener: &UnixListener, restarts: u32) -> io::Result<Self> {
        let (lifeline, its_lifeline) = UnixStream::pair()?;
        let (words, its_words) = UnixStream::pair()?;
        words.set_nonblocking(true)?;
        let mut command = Command::new(runtime::engine_binary());
        command
            .args(arguments(settings, restarts))
            .stdin(Stdio::from(OwnedFd::from(listener.try_clone()?)))
            .stdout(Stdio::from(OwnedFd::from(its_lifeline)))
            .stderr(Stdio::from(OwnedFd::from(its_words)));
        let nice = settings.nice;
        // SAFETY: between fork and exec the closure makes system calls only; it neither allocates nor locks.
        unsafe { command.pre_exec(move || prepare(nice)) };
        let child = command.spawn()?;
        Ok(Self { child, _lifeline: lifeline, words, partial: Vec::new(), latest: VecDeque::new() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Becomes readable when the engine says something, or ends.
    pub fn words(&self) -> BorrowedFd<'_> {
        self.words.as_fd()
    }

    /// The whole lines that the engine has written since the last call, and whether it has closed its standard error.
    pub fn listen(&mut self) -> (Vec<String>, bool) {
        let mut buffer = [0; 4096];
        let mut lines = Vec::new();
        loop {
            match self.words.read(&mut buffer) {
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
        let excess = self.latest.len().saturating_sub(LAST_WORDS);
        self.latest.drain(..excess);
        lines
    }

    /// Its last words, as one text.
    pub fn last_words(&self) -> String {
        self.latest.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Whether and how it ended.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ends it at once: it keeps no state.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.kill();
    }
}

fn arguments(settings: &EngineSettings, restarts: u32) -> Vec<std::ffi::OsString> {
    let mut arguments = vec!["serve".into(), "--builtin".into(), runtime::builtin_models().into_os_string()];
    let named = [
        ("--device", settings.device.clone()),
        ("--precision", settings.precision.clone()),
        ("--threads", settings.threads.to_string()),
        ("--model-cache", settings.model_cache_bytes.to_string()),
        ("--weights-cache", runtime::WEIGHTS.to_owned()),
        ("--result-cache", settings.result_cache_bytes.to_string()),
        ("--idle-timeout", settings.idle_timeout.as_secs().to_string()),
        ("--restarts", restarts.to_string()),
    ];
    arguments.extend(named.into_iter().flat_map(|(name, value)| [name.into(), value.into()]));
    arguments
}

/// Runs in the child between fork and exec. `Command` itself resets the signal mask and SIGPIPE, and exec
/// resets the handlers.
fn prepare(nice: i32) -> io::Result<()> {
    // SAFETY: plain system calls. The descriptors are marked instead of closed because `Command` still needs one to
    // report a failing exec; kernels before 5.9 lack the call, and there the server's own descriptors leak.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        if nice > 0 {
            libc::setpriority(libc::PRIO_PROCESS, 0, nice);
        }
    }
    Ok(())
}
