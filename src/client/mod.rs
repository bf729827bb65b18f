//! Asking the engine on behalf of a session.
//!
//! # Layout
//! - [`connection`]: connecting to the socket that the supervisor holds.
//! - [`session`]: the calls that this backend has open.
//! - [`call`]: the requests that a call is asked in, and what happens to them when the engine is lost.
//! - [`request_parts`]: what of a request can be asked for apart.
//! - [`fatal`]: inputs that engines died of.
//! - [`launch`]: starting the supervisor when nobody listens.
//! - [`upload`]: giving the engine a stored model that it asks for.
//!
//! It must not know what is asked or why. Invariant: every wait can be interrupted, and whatever interrupts it leaves
//! the session able to ask again.

mod call;
mod connection;
mod fatal;
mod launch;
mod request_parts;
mod session;
mod upload;

use std::time::{Duration, Instant};

use ecommerce_ml_protocol::{EngineStats, ReplyBody, RequestBody};

use crate::error::Error;
pub use call::PartOutcome;
pub use request_parts::{InputDigest, InputKind};
use session::AskOutcome;

/// How long an engine may take to tell how it is.
const STATS_TIMEOUT: Duration = Duration::from_secs(1);

/// A request in flight. Dropping it tells the engine to forget it.
#[must_use = "dropping a pending response cancels its request"]
pub struct PendingResponse(session::PendingCall);

/// Sends a request, starting the engine if need be, without waiting for the answer.
///
/// # Errors
/// When the request doesn't fit into a frame.
pub fn submit(body: RequestBody) -> Result<PendingResponse, Error> {
    session::submit(body).map(PendingResponse)
}

/// Sends what [`submit`] left waiting, as far as the socket takes it, so that the engine works while the caller does
/// something else.
///
/// # Errors
/// Those of starting an engine.
pub fn push() -> Result<(), Error> {
    session::push()
}

impl PendingResponse {
    /// Waits for the answer, in as many parts as it took to get it. Models that the engine asks for meanwhile are read with
    /// the current snapshot.
    ///
    /// # Errors
    /// [`Error::Engine`] when the engine refuses, [`Error::ModelFatal`] when engines die of loading the model, and the
    /// errors of starting one.
    pub fn finish(self) -> Result<Vec<PartOutcome>, Error> {
        loop {
            if let Some((id, content)) = session::wanted() {
                upload::send(id, content)?;
            } else if let Some(outcomes) = session::poll(&self.0)? {
                return Ok(outcomes);
            }
        }
    }
}

/// Asks something that isn't about inputs, and waits.
///
/// # Errors
/// As [`submit`] and [`PendingResponse::finish`].
pub fn ask(body: RequestBody) -> Result<ReplyBody, Error> {
    session::single(submit(body)?.finish()?)
}

/// What there is to know of the engine.
pub enum EngineState {
    /// There is none.
    Stopped,
    /// It answers.
    Running(Box<EngineStats>),
    /// There is one, but it doesn't answer.
    Silent,
}

/// The engine's state. Doesn't start one, and doesn't wait for one that has stopped to answer: an engine at work answers
/// this at once.
///
/// # Errors
/// Those of talking to it.
pub fn engine_state() -> Result<EngineState, Error> {
    match session::ask_until(RequestBody::Stats, Instant::now() + STATS_TIMEOUT)? {
        AskOutcome::NoEngine => Ok(EngineState::Stopped),
        AskOutcome::TimedOut => Ok(EngineState::Silent),
        AskOutcome::Answered(ReplyBody::Stats(stats)) => Ok(EngineState::Running(Box::new(stats))),
        AskOutcome::Answered(_) => Err(Error::Unexpected("not the state of the engine")),
    }
}
