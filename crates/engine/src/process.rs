//! The process around the engine: what it inherits, how it is known to the system, when it ends.
//!
//! It must not know requests.
//! Invariant: the engine never outlives the worker that started it.

use std::io::{self, Read};
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

/// If memory runs out, the kernel shall end this process and not one of the database. It may be forbidden.
pub fn volunteer_for_oom_killer() {
    let _ = fs::write("/proc/self/oom_score_adj", "500");
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

/// Ends the process at once when the other end of standard output is closed: the worker is gone.
///
/// A thread of its own and no part of the server, so that it works whatever state the server is in.
///
/// # Errors
/// If standard output is no socket.
pub fn watch_lifeline() -> io::Result<()> {
    let mut lifeline = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
    lifeline.local_addr()?;
    let wait = move || {
        // Nothing is ever sent, but what is must not end the wait.
        while matches!(lifeline.read(&mut [0; 64]), Ok(1..)) {}
        let _ = lifeline.shutdown(Shutdown::Both);
        note("the worker is gone, exiting");
        std::process::exit(0);
    };
    thread::Builder::new().name("lifeline".to_owned()).spawn(wait).map(drop)
}
