//! The training process: the engine process of one job, in mode `train`.
//!
//! It must not know what a training is. Invariant: what the process said before it ended is received, also while something
//! is being sent to it; dropping a [`TrainingProcess`] ends it at once.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ecommerce_ml_protocol::training::{JobInput, JobOutput};
use ecommerce_ml_protocol::{BUILD, Hello, encode_frame};
use pgrx::log;

use crate::engine_process::{EngineProcess, describe};
use crate::error::Error;
use crate::stream::{Broken, Stream};
use crate::{guc, latch, runtime};

/// How long a process that has closed its connection may take to end by itself.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// A running engine process.
pub struct TrainingProcess {
    process: EngineProcess,
    stream: Stream,
    /// What came while something was being sent.
    received: VecDeque<JobOutput>,
    /// Nothing more will come.
    is_lost: bool,
}

impl TrainingProcess {
    /// Starts the process and greets it. One that ends before it greets is lost, as any later.
    ///
    /// # Errors
    /// [`Error::EngineNotStarted`], [`Error::BuildMismatch`].
    pub fn start() -> Result<Self, Error> {
        let trouble = |error: std::io::Error| Error::EngineNotStarted(format!("{error}."));
        let (ours, its) = UnixStream::pair().map_err(trouble)?;
        ours.set_nonblocking(true).map_err(trouble)?;
        let ends = (OwnedFd::from(its.try_clone().map_err(trouble)?), OwnedFd::from(its));
        let process = EngineProcess::start(arguments(), ends, guc::training_nice()).map_err(|error| {
            Error::EngineNotStarted(format!(
                "Could not execute \"{}\": {error}.",
                runtime::engine_binary().display()
            ))
        })?;
        let mut stream = Stream::greet(ours)?;
        let is_lost = match stream.greeting() {
            Ok(hello) if Hello::ours().understands(&hello) => false,
            Ok(hello) => return Err(Error::BuildMismatch { engine: hello.build, library: BUILD }),
            Err(_) => true,
        };
        Ok(Self { process, stream, received: VecDeque::new(), is_lost })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a message, waiting for room. Returns whether the process still listens: what it said last can then be
    /// received.
    ///
    /// # Errors
    /// For a message that doesn't fit into a frame.
    pub fn send(&mut self, input: &JobInput) -> Result<bool, Error> {
        self.stream.queue(Rc::from(encode_frame(input)?));
        while !self.is_lost && self.stream.unsent() > 1 {
            self.exchange();
            if self.stream.unsent() > 1 && !self.is_lost {
                self.stream.wait(None);
            }
        }
        Ok(!self.is_lost)
    }

    /// The next message; `None` if none comes within the time, or at all.
    pub fn receive(&mut self, timeout: Duration) -> Option<JobOutput> {
        self.exchange();
        if self.received.is_empty() && !self.is_lost {
            self.stream.wait(Some(timeout));
            self.exchange();
        }
        self.received.pop_front()
    }

    /// Whether nothing more will come.
    pub fn is_lost(&self) -> bool {
        self.is_lost && self.received.is_empty()
    }

    /// How a process that is lost ended, with the last lines that it wrote.
    pub fn exit_report(&mut self) -> String {
        self.log_stderr();
        let started = Instant::now();
        let status = loop {
            match self.process.ended() {
                Ok(Some(status)) => break Ok(status),
                Ok(None) if started.elapsed() < EXIT_TIMEOUT => {
                    latch::wait(None, Some(Duration::from_millis(20)))
                }
                Ok(None) => break self.process.kill(),
                Err(error) => break Err(error),
            }
        };
        let pid = self.process.pid();
        let end = status.map_or_else(|error| error.to_string(), describe);
        match self.process.last_lines() {
            lines if lines.is_empty() => format!("The training process (PID {pid}) {end}."),
            lines => format!("The training process (PID {pid}) {end}; its last words: {lines}"),
        }
    }

    /// Sends and receives what can be, without waiting.
    fn exchange(&mut self) {
        self.log_stderr();
        if self.is_lost {
            return;
        }
        // What it said before it closed its end is worth more than that it did.
        let flushed = self.stream.flush();
        loop {
            match self.stream.receive() {
                Ok(Some(output)) => self.received.push_back(output),
                Ok(None) => break,
                Err(broken) => {
                    if let Broken::Garbled(error) = broken {
                        log!("ecommerce_ml training process sent what is no message: {error}");
                    }
                    self.is_lost = true;
                    return;
                }
            }
        }
        self.is_lost = flushed.is_err();
    }

    /// Puts what it writes to its standard error into the server's log.
    fn log_stderr(&mut self) {
        let (lines, _) = self.process.read_lines();
        lines.iter().for_each(|line| log!("{line}"));
    }
}

fn arguments() -> Vec<OsString> {
    let settings = guc::EngineSettings::current();
    let mut arguments = vec!["train".into(), "--builtin".into(), runtime::builtin_models().into_os_string()];
    let named = [
        ("--device", settings.device),
        ("--precision", settings.precision),
        ("--threads", settings.threads.to_string()),
    ];
    arguments.extend(named.into_iter().flat_map(|(name, value)| [name.into(), value.into()]));
    arguments
}
