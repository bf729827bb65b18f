//! The supervisor's loop: keep an engine running until told to end, or until the engine ends for want of work.
//!
//! Invariant: an engine that served is replaced at once, because a session that asks the same thing twice in vain
//! gives up by itself; one that dies before it serves is replaced ever more slowly, and then given up.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::time::Duration;

use ecommerce_ml_protocol::{FrameDecoder, Hello};
use pgrx::bgworkers::BackgroundWorker;
use pgrx::{log, pg_sys, warning};

use super::engine::Engine;
use super::office::Office;
use crate::engine_process::describe;
use crate::guc::EngineSettings;
use crate::latch::{self, Interest};
use crate::runtime;

/// Engines that may die in a row before they serve.
const PATIENCE: u32 = 4;
/// Pause after the first such death; doubled with each.
const PAUSE: Duration = Duration::from_millis(100);
/// How often an engine that doesn't serve yet is looked at.
const TICK: Duration = Duration::from_millis(50);

/// How an engine's life ended.
enum End {
    /// The server shuts down, or a supervisor of another build takes over.
    Dismissed,
    /// The settings have changed.
    Outdated,
    /// It had nothing to do.
    Idle,
    /// It served, and died.
    Died,
    /// It died before it served.
    StillBorn,
}

/// Supervises until the end of the worker.
pub fn run(office: Office) {
    let (mut restarts, mut failures) = (0, 0);
    loop {
        match live(&office, restarts) {
            End::Dismissed => return,
            End::Idle if !has_callers(office.listener.as_fd()) => return,
            End::Idle | End::Outdated => failures = 0,
            End::Died => (restarts, failures) = (restarts + 1, 0),
            End::StillBorn => (restarts, failures) = (restarts + 1, failures + 1),
        }
        if failures >= PATIENCE {
            warning!("ecommerce_ml engine failed to start {failures} times in a row, giving up");
            return;
        }
        if failures > 0 {
            latch::wait(None, Some(PAUSE * 2u32.pow(failures)));
        }
    }
}

/// Whether a session waits in the socket's backlog.
fn has_callers(listener: BorrowedFd<'_>) -> bool {
    let mut polled = [rustix::event::PollFd::new(&listener, rustix::event::PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut polled, Some(&now)), Ok(1))
}

/// One engine from birth to end.
fn live(office: &Office, restarts: u32) -> End {
    let settings = EngineSettings::current();
    let mut engine = match Engine::start(&settings, &office.listener, restarts) {
        Ok(engine) => engine,
        Err(error) => {
            let binary = runtime::engine_binary();
            warning!("could not execute \"{}\": {error}", binary.display());
            return End::StillBorn;
        }
    };
    runtime::note_engine(engine.child.pid());
    let mut probe = Probe::start();
    loop {
        let timeout = (!probe.served).then_some(TICK);
        latch::wait(Some((engine.child.words(), Interest::Readable)), timeout);
        probe.look();
        let (lines, closed) = engine.child.listen();
        lines.iter().for_each(|line| log!("ecommerce_ml engine: {line}"));
        if let Some(end) = dismissed(&settings) {
            return end;
        }
        if closed {
            return autopsy(&mut engine, &probe);
        }
    }
}

/// Whether a signal asks for this engine's end.
fn dismissed(settings: &EngineSettings) -> Option<End> {
    if BackgroundWorker::sigterm_received() {
        return Some(End::Dismissed);
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

/// The engine has closed its standard error, which it does only by ending.
fn autopsy(engine: &mut Engine, probe: &Probe) -> End {
    let pid = engine.child.pid();
    let status = match await_end(engine) {
        Ok(status) => status,
        Err(error) => {
            warning!("could not wait for ecommerce_ml engine (PID {pid}): {error}");
            return End::StillBorn;
        }
    };
    if status.success() {
        log!("ecommerce_ml engine (PID {pid}) ended after being idle");
        return End::Idle;
    }
    let words = engine.child.last_words();
    warning!("ecommerce_ml engine (PID {pid}) {}; last words: {words}", describe(status));
    if probe.served { End::Died } else { End::StillBorn }
}

fn await_end(engine: &mut Engine) -> std::io::Result<ExitStatus> {
    for _ in 0..20 {
        if let Some(status) = engine.child.ended()? {
            return Ok(status);
        }
        latch::wait(None, Some(TICK));
    }
    engine.child.kill()
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
    fn look(&mut self) {
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
