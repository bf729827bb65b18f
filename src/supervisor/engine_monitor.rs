//! The engine monitor, the supervisor's loop: keep an engine running until told to end, or until the engine ends for want
//! of work.
//!
//! Invariant: an engine that served is replaced at once, because sessions wait ever longer before they ask again what
//! they lost; one that dies by itself before it serves is replaced ever more slowly, and then given up. Before the next one
//! starts, those who lost this one can learn whether it ended by what they asked.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use ecommerce_ml_protocol::{FrameDecoder, Hello};
use pgrx::bgworkers::BackgroundWorker;
use pgrx::{log, pg_sys, warning};

use super::engine::Engine;
use super::leadership::Leadership;
use crate::engine_process::describe;
use crate::guc::EngineSettings;
use crate::latch::{self, Interest};
use crate::runtime;

/// Engines that may die in a row before they serve.
const MAX_FAILED_STARTS: u32 = 4;
/// Pause after the first such death; doubled with each.
const RESTART_BACKOFF: Duration = Duration::from_millis(100);
/// How often an engine that doesn't serve yet is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How an engine ended.
enum End {
    /// The server shuts down, or a supervisor of another build takes over.
    Terminated,
    /// The settings have changed.
    Outdated,
    /// It had nothing to do.
    Idle,
    /// It was killed from outside, by neither the kernel for want of memory nor us.
    Killed,
    /// It served, and died or gave no sign of life.
    Died,
    /// It died before it served.
    FailedToStart,
}

impl End {
    /// Whether it may have ended by what it worked on.
    fn may_be_its_work(&self) -> bool {
        matches!(self, End::Died | End::FailedToStart)
    }
}

/// Supervises until the end of the worker.
pub fn run(leadership: Leadership) {
    let (mut restarts, mut failures) = (0, 0);
    loop {
        match run_engine(&leadership, restarts) {
            End::Terminated => return,
            End::Idle if !has_callers(leadership.listener.as_fd()) => return,
            End::Idle | End::Outdated => failures = 0,
            End::Killed | End::Died => (restarts, failures) = (restarts + 1, 0),
            End::FailedToStart => (restarts, failures) = (restarts + 1, failures + 1),
        }
        if failures >= MAX_FAILED_STARTS {
            warning!("ecommerce_ml engine failed to start {failures} times in a row, giving up");
            return;
        }
        if failures > 0 {
            latch::wait(None, Some(RESTART_BACKOFF * 2u32.pow(failures)));
        }
    }
}

/// Whether a session waits in the socket's backlog.
fn has_callers(listener: BorrowedFd<'_>) -> bool {
    let mut polled = [rustix::event::PollFd::new(&listener, rustix::event::PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut polled, Some(&now)), Ok(1))
}

/// One engine from start to end.
fn run_engine(leadership: &Leadership, restarts: u32) -> End {
    let settings = EngineSettings::current();
    let mut engine = match Engine::start(&settings, &leadership.listener, restarts) {
        Ok(engine) => engine,
        Err(error) => {
            let binary = runtime::engine_binary();
            warning!("could not execute \"{}\": {error}", binary.display());
            return End::FailedToStart;
        }
    };
    let pid = engine.process.pid();
    runtime::note_engine(pid);
    let end = monitor(&mut engine, &settings);
    if !end.may_be_its_work() {
        runtime::excuse_engine(pid);
    }
    end
}

fn monitor(engine: &mut Engine, settings: &EngineSettings) -> End {
    let kills = oom_kills();
    let mut probe = Probe::start();
    loop {
        let timeouts = [(!probe.served).then_some(POLL_INTERVAL), engine.heartbeat.pause()];
        latch::wait(
            Some((engine.process.stderr(), Interest::Readable)),
            timeouts.into_iter().flatten().min(),
        );
        probe.poll();
        let (lines, closed) = engine.process.read_lines();
        lines.iter().for_each(|line| log!("ecommerce_ml engine: {line}"));
        if let Some(end) = requested_end(settings) {
            return end;
        }
        if closed {
            return classify_exit(engine, &probe, kills);
        }
        if let Some(silence) = engine.heartbeat.poll(probe.served) {
            return give_up(engine, &probe, silence);
        }
    }
}

/// Ends an engine that gives no sign of life.
fn give_up(engine: &mut Engine, probe: &Probe, silence: Duration) -> End {
    let pid = engine.process.pid();
    warning!(
        "ecommerce_ml engine (PID {pid}) gave no sign of life for {} ms, killing it",
        silence.as_millis()
    );
    if let Err(error) = engine.process.kill() {
        warning!("could not kill ecommerce_ml engine (PID {pid}): {error}");
    }
    if probe.served { End::Died } else { End::FailedToStart }
}

/// How many processes the kernel has killed for want of memory, if it tells.
fn oom_kills() -> Option<u64> {
    let counters = fs::read_to_string("/proc/vmstat").ok()?;
    counters.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// Whether a signal asks for this engine's end.
fn requested_end(settings: &EngineSettings) -> Option<End> {
    if BackgroundWorker::sigterm_received() {
        return Some(End::Terminated);
    }
    if BackgroundWorker::sighup_received() {
        // SAFETY: called from the main loop of a background worker, as the server's own workers do.
        unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
        if EngineSettings::current() != *settings {
            log!("ecommerce_ml engine starts again with new settings");
            return Some(End::Outdated);
        }
    }
    None
}

/// The engine has closed its standard error, which it does only by ending. `kills` is [`oom_kills`] of when it was started.
fn classify_exit(engine: &mut Engine, probe: &Probe, kills: Option<u64>) -> End {
    let pid = engine.process.pid();
    let (status, lingered) = match await_end(engine) {
        Ok(ended) => ended,
        Err(error) => {
            warning!("could not wait for ecommerce_ml engine (PID {pid}): {error}");
            return End::FailedToStart;
        }
    };
    if status.success() {
        log!("ecommerce_ml engine (PID {pid}) ended after being idle");
        return End::Idle;
    }
    let lines = engine.process.last_lines();
    warning!("ecommerce_ml engine (PID {pid}) {}; last words: {lines}", describe(status));
    let by_kernel = kills.is_none() || oom_kills() != kills;
    if status.signal() == Some(libc::SIGKILL) && !lingered && !by_kernel {
        return End::Killed;
    }
    if probe.served { End::Died } else { End::FailedToStart }
}

/// How the engine ended, and whether it had to be helped.
fn await_end(engine: &mut Engine) -> std::io::Result<(ExitStatus, bool)> {
    for _ in 0..20 {
        if let Some(status) = engine.process.ended()? {
            return Ok((status, false));
        }
        latch::wait(None, Some(POLL_INTERVAL));
    }
    engine.process.kill().map(|status| (status, true))
}

/// Our own connection to the engine, which tells whether it serves, and whether it is of our build.
struct Probe {
    stream: Option<UnixStream>,
    decoder: FrameDecoder,
    served: bool,
}

impl Probe {
    fn start() -> Self {
        let stream = UnixStream::connect(runtime::SOCKET).ok();
        let stream = stream.filter(|stream| stream.set_nonblocking(true).is_ok());
        Self { stream, decoder: FrameDecoder::default(), served: false }
    }

    /// Reads the engine's greeting if it has come; the connection has then done its service.
    fn poll(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let mut buffer = [0; 256];
        let Ok(read) = stream.read(&mut buffer) else { return };
        self.decoder.push(&buffer[..read]);
        let Ok(Some(payload)) = self.decoder.next_payload() else { return };
        self.served = true;
        self.stream = None;
        match Hello::decode(payload) {
            Ok(hello) if Hello::ours().understands(&hello) => {}
            Ok(hello) => warning!(
                "ecommerce_ml engine is of build \"{}\", the library of build \"{}\"; restart the server to load the \
                 installed library",
                hello.build,
                Hello::ours().build
            ),
            Err(error) => warning!("ecommerce_ml engine did not greet: {error}"),
        }
    }
}
