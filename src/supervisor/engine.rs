//! The engine that serves: a process with the listening socket, and a lifeline.
//!
//! Invariant: it ends with its supervisor even where the kernel doesn't see to that: it holds one end of a lifeline
//! whose other end the engine reads until it closes.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};

use super::heartbeat::Heartbeat;
use crate::engine_process::EngineProcess;
use crate::guc::EngineSettings;
use crate::runtime;

/// A running engine.
pub struct Engine {
    pub process: EngineProcess,
    /// Holds the lifeline: the engine ends when that closes.
    pub heartbeat: Heartbeat,
}

impl Engine {
    /// Starts an engine that serves the listener's clients.
    pub fn start(settings: &EngineSettings, listener: &UnixListener, restarts: u32) -> io::Result<Self> {
        let (lifeline, its_lifeline) = UnixStream::pair()?;
        let ends = (OwnedFd::from(listener.try_clone()?), OwnedFd::from(its_lifeline));
        let process = EngineProcess::start(arguments(settings, restarts), ends, settings.nice)?;
        Ok(Self { process, heartbeat: Heartbeat::over(lifeline)? })
    }
}

fn arguments(settings: &EngineSettings, restarts: u32) -> Vec<OsString> {
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
