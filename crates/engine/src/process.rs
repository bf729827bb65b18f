//! The process around the engine: what it inherits, how it is known to the system, when it ends.
//!
//! It must not know requests.
//! Invariant: the engine never outlives the worker that started it.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{env, fs, thread};

use ecommerce_ml_log::note;

/// The threads of candle and of rayon are set by this variable only.
const THREADS_VARIABLE: &str = "RAYON_NUM_THREADS";

/// Starts the program anew with the environment that makes its libraries use `threads` threads, unless it has that.
///
/// Anew, because changing the environment of a running process isn't safe.
///
/// # Errors
/// If the program can't be started.
pub fn use_threads(threads: usize) -> io::Result<()> {
    let wanted = threads.to_string();
    if threads == 0 || env::var(THREADS_VARIABLE).is_ok_and(|set| set == wanted) {
        return Ok(());
    }
    Err(Command::new(env::current_exe()?).args(env::args_os().skip(1)).env(THREADS_VARIABLE, wanted).exec())
}

/// What the kernel adds to this process' badness, in thousandths of the machine's memory: the most that there is, so that it
/// ends this process before any of the database, however much memory that takes. Of engines and trainings, it ends the larger.
const OOM_SCORE: &str = "1000";

/// If memory runs out, the kernel shall end this process and not one of the database. It may be forbidden.
pub fn volunteer_for_oom_killer() {
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
}

/// The listening socket that is standard input.
///
/// # Errors
/// If it is no socket.
pub fn inherited_listener() -> io::Result<UnixListener> {
    let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    listener.local_addr()?;
    Ok(listener)
}

/// Our end of the lifeline, by which the worker is told that the engine lives.
pub struct Pulse(UnixStream);

impl Pulse {
    /// Answers a heartbeat.
    pub fn beat(&self) {
        // The worker that doesn't take it is gone, or looks for one answer however many there are.
        let _ = (&self.0).write(&[0]);
    }
}

/// Ends the process at once when the other end of standard output is closed: the worker is gone. Calls `beat` when the worker
/// asks for a sign of life, which whoever serves gives by the [`Pulse`].
///
/// A thread of its own and no part of the server, so that it works whatever state the server is in.
///
/// # Errors
/// If standard output is no socket.
pub fn watch_lifeline(beat: impl Fn() + Send + 'static) -> io::Result<Pulse> {
    let mut lifeline = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
    lifeline.local_addr()?;
    let pulse = Pulse(lifeline.try_clone()?);
    let wait = move || {
        while matches!(lifeline.read(&mut [0; 64]), Ok(1..)) {
            beat();
        }
        let _ = lifeline.shutdown(Shutdown::Both);
        note("the worker is gone, exiting");
        std::process::exit(0);
    };
    thread::Builder::new().name("lifeline".to_owned()).spawn(wait)?;
    Ok(pulse)
}
