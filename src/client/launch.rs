//! From "nobody listens" to a greeted connection.
//!
//! Any session may find itself in need of the supervisor, a parallel worker too, and many may do so at once: a lock lets
//! one of them start it while the others wait. Invariant: a connection is handed out only after the engine has
//! greeted as a build that we understand.

use std::time::{Duration, Instant};

use ecommerce_ml_protocol::{BUILD, Hello};
use pgrx::bgworkers::{BackgroundWorkerStatus, DynamicBackgroundWorker};
use pgrx::pg_sys;

use super::connection::{Attempt, attempt};
use crate::error::Error;
use crate::stream::{Broken, Stream};
use crate::{latch, runtime, supervisor};

/// How long to try for an engine that greets, since one was started.
const DEADLINE: Duration = Duration::from_secs(60);
/// Time after which to look whether another engine was started.
const RECHECK_AFTER: Duration = Duration::from_secs(1);
/// Pause between looks at a socket or worker that will be there in a moment.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// How long to try for a slot: parallel workers come and go, and so do supervisors that find that another leads.
const SLOT_TIMEOUT: Duration = Duration::from_secs(2);
/// Supervisors that one request may start. A second is needed when the first ends for want of work at that moment.
const MAX_LAUNCHES: u32 = 3;

/// Connects to the engine, starting its supervisor if need be.
///
/// # Errors
/// [`Error::NoWorkerSlot`], [`Error::SingleUser`], [`Error::EngineNotStarted`], [`Error::BuildMismatch`], or trouble with the socket.
pub fn connect() -> Result<Stream, Error> {
    let mut started = Instant::now();
    let mut engine = runtime::noted_engine();
    let (mut launches, mut other_builds) = (0, 0);
    while started.elapsed() < DEADLINE {
        // An engine that was killed before it greeted is no reason to give up on the next.
        if started.elapsed() > RECHECK_AFTER && engine != runtime::noted_engine() {
            (started, engine) = (Instant::now(), runtime::noted_engine());
        }
        match attempt()? {
            Attempt::Connected(connection) => match greet(connection, None)? {
                Greeting::Understood(connection) => return Ok(connection),
                Greeting::Closed | Greeting::TimedOut => latch::wait(None, Some(POLL_INTERVAL)),
                Greeting::OtherBuild(build) if other_builds > 0 => {
                    return Err(Error::BuildMismatch { engine: build, library: BUILD });
                }
                Greeting::OtherBuild(_) => {
                    other_builds += 1;
                    launch(LaunchReason::Another)?;
                }
            },
            Attempt::BacklogFull => latch::wait(None, Some(POLL_INTERVAL)),
            Attempt::NoListener if launches == MAX_LAUNCHES => {
                let reason = format!("Its supervisor ended {launches} times before the engine served.");
                return Err(Error::EngineNotStarted(reason));
            }
            Attempt::NoListener => match launch(LaunchReason::Any) {
                Ok(launched) => launches += u32::from(launched),
                Err(Error::NoWorkerSlot) if started.elapsed() < SLOT_TIMEOUT => {
                    latch::wait(None, Some(POLL_INTERVAL))
                }
                Err(error) => return Err(error),
            },
        }
    }
    Err(Error::EngineNotStarted(format!("It did not serve within {} seconds.", DEADLINE.as_secs())))
}

/// What is found where an engine would be.
pub enum Found {
    Engine(Stream),
    NoEngine,
    /// There is one, or will be, but it says nothing.
    TimedOut,
}

/// Connects to the engine if one runs.
///
/// # Errors
/// [`Error::BuildMismatch`], or trouble with the socket.
pub fn find(until: Instant) -> Result<Found, Error> {
    while Instant::now() < until {
        match attempt()? {
            Attempt::NoListener => return Ok(Found::NoEngine),
            Attempt::Connected(connection) => match greet(connection, Some(until))? {
                Greeting::Understood(connection) => return Ok(Found::Engine(connection)),
                Greeting::OtherBuild(build) => {
                    return Err(Error::BuildMismatch { engine: build, library: BUILD });
                }
                Greeting::Closed | Greeting::TimedOut => {}
            },
            Attempt::BacklogFull => {}
        }
        latch::wait(None, Some(POLL_INTERVAL));
    }
    Ok(Found::TimedOut)
}

enum Greeting {
    Understood(Stream),
    /// It did not come in time.
    TimedOut,
    /// The engine went before it greeted: it, or its supervisor, is being replaced.
    Closed,
    OtherBuild(String),
}

fn greet(mut connection: Stream, until: Option<Instant>) -> Result<Greeting, Error> {
    match connection.greeting_until(until) {
        Ok(Some(hello)) if Hello::ours().understands(&hello) => Ok(Greeting::Understood(connection)),
        Ok(Some(hello)) => Ok(Greeting::OtherBuild(hello.build)),
        Ok(None) => Ok(Greeting::TimedOut),
        Err(Broken::Lost) => Ok(Greeting::Closed),
        Err(Broken::Garbled(error)) => Err(error),
    }
}

/// What a supervisor is started for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LaunchReason {
    /// There is none.
    Any,
    /// The one that there is has an engine of another build.
    Another,
}

/// Starts a supervisor and waits until it leads or has ended. Returns whether it was us who did.
fn launch(reason: LaunchReason) -> Result<bool, Error> {
    if !runtime::has_workers() {
        return Err(Error::SingleUser("the engine".to_owned()));
    }
    let trouble =
        |error: std::io::Error| Error::EngineNotStarted(format!("{}: {error}.", runtime::DIRECTORY));
    runtime::make_directory().map_err(trouble)?;
    let Some(_lock) = runtime::try_lock(runtime::LAUNCH_LOCK).map_err(trouble)? else {
        latch::wait(None, Some(POLL_INTERVAL));
        return Ok(false);
    };
    // Whoever had the lock before us may have started one since we looked.
    if reason == LaunchReason::Any && !matches!(attempt()?, Attempt::NoListener) {
        return Ok(false);
    }
    // SAFETY: set once when this process starts.
    let pid = unsafe { pg_sys::MyProcPid };
    let worker = supervisor::worker().set_notify_pid(pid).load_dynamic().map_err(|_| Error::NoWorkerSlot)?;
    if worker.wait_for_startup().is_ok() {
        await_leadership(&worker);
    }
    Ok(true)
}

/// Waits until the worker has bound the socket, or has ended because another leads or it failed.
fn await_leadership(worker: &DynamicBackgroundWorker) {
    let started = Instant::now();
    while started.elapsed() < DEADLINE {
        match worker.pid() {
            Ok(pid) if supervisor::is_leader(pid) => return,
            Ok(_) => latch::wait(None, Some(POLL_INTERVAL)),
            Err(BackgroundWorkerStatus::NotYetStarted) => latch::wait(None, Some(POLL_INTERVAL)),
            Err(_) => return,
        }
    }
}
