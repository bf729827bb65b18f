//! The calls that this backend has open.
//!
//! Invariant: a call is either answered, or cancelled because its [`PendingCall`] was dropped, or asked again of the next engine,
//! as often as engines are lost. While something is open over which one was lost, no more than one request that an engine
//! could die of is under way, so that the next loss says more than the one before.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ecommerce_ml_protocol::{
    DecodeError, Reply, ReplyBody, Request, RequestBody, RequestId, Sha256, encode_frame,
};

use super::call::{Call, Part, PartOutcome, State};
use super::fatal;
use super::launch::{self, Found};
use super::request_parts::RequestWork;
use crate::error::Error;
use crate::stream::{Broken, Stream};
use crate::{latch, runtime};

/// Pause after an engine was lost over something that can be divided, or the first over something that can't; doubled with
/// each further one over the same.
const BASE_BACKOFF: Duration = Duration::from_millis(50);
/// Longest pause.
const MAX_BACKOFF: Duration = Duration::from_secs(2);

thread_local! {
    /// A server process has one thread.
    static SESSION: RefCell<Session> = RefCell::default();
}

#[derive(Default)]
struct Session {
    /// Lost and renewed as engines come and go.
    connection: Option<Stream>,
    /// Never reused, so that late replies to a cancelled request can't be taken for another's.
    last_id: u64,
    open: BTreeMap<CallId, Call>,
    /// When to ask again after a loss.
    pause: Option<Instant>,
}

/// Names a call: the id of its first request.
type CallId = RequestId;

/// The right to a call's answer.
pub struct PendingCall(CallId);

impl Drop for PendingCall {
    fn drop(&mut self) {
        // The session is borrowed only if an error unwinds through a wait, and then that borrow has ended before.
        SESSION.with(|session| {
            if let Ok(mut session) = session.try_borrow_mut() {
                session.cancel(self.0);
            }
        });
    }
}

/// Opens a call.
pub fn submit(body: RequestBody) -> Result<PendingCall, Error> {
    SESSION.with_borrow_mut(|session| session.submit(body)).map(PendingCall)
}

/// Sends what the socket takes of the open calls, connecting if need be.
pub fn push() -> Result<(), Error> {
    SESSION.with_borrow_mut(|session| {
        if session.connection.is_none() {
            if session.pause.is_some() {
                return Ok(());
            }
            session.connect()?;
        }
        match session.connection.as_mut().map(Stream::flush) {
            Some(Err(broken)) => session.lose(broken),
            _ => Ok(()),
        }
    })
}

/// A request whose model the engine wants, once.
pub fn wanted() -> Option<(RequestId, Sha256)> {
    SESSION.with_borrow_mut(|session| {
        session.parts().find_map(|part| part.wanted.take().map(|content| (part.id, content)))
    })
}

/// What came of all parts of the call if it has come; otherwise waits until something happens.
pub fn poll(pending: &PendingCall) -> Result<Option<Vec<PartOutcome>>, Error> {
    SESSION.with_borrow_mut(|session| {
        let answer = session.take_answer(pending.0)?;
        if answer.is_none() {
            session.pump(None)?;
        }
        Ok(answer)
    })
}

/// How asking an engine that may not be there ended.
pub enum AskOutcome {
    Answered(ReplyBody),
    /// No engine runs.
    NoEngine,
    /// There is one, but it did not answer in time.
    TimedOut,
}

/// Asks an engine that runs, and waits no longer than this.
pub fn ask_until(body: RequestBody, until: Instant) -> Result<AskOutcome, Error> {
    let pending = SESSION.with_borrow_mut(|session| session.submit(body)).map(PendingCall)?;
    while Instant::now() < until {
        let polled = SESSION.with_borrow_mut(|session| session.poll_until(&pending, until))?;
        if let Some(outcome) = polled {
            return Ok(outcome);
        }
    }
    Ok(AskOutcome::TimedOut)
}

/// Sends a frame that belongs to an open request, waiting for room. Returns `false` if the engine was lost; the
/// request will be asked again.
pub fn send(frame: Vec<u8>) -> Result<bool, Error> {
    SESSION.with_borrow_mut(|session| {
        let Some(connection) = &mut session.connection else { return Ok(false) };
        connection.queue(Rc::from(frame));
        while session.connection.as_ref().is_some_and(|connection| connection.unsent() > 1) {
            session.pump(None)?;
        }
        Ok(session.connection.is_some())
    })
}

/// Answers the call of an open request from our side.
pub fn fail(id: RequestId, error: Error) {
    SESSION.with_borrow_mut(|session| {
        if let Some(call) = session.call_of(id) {
            call.error = Some(error);
        }
    });
}

impl Session {
    fn submit(&mut self, body: RequestBody) -> Result<CallId, Error> {
        if self.open.is_empty() {
            self.pause = None;
            self.forget_dead_connection();
        }
        let id = self.new_id();
        self.open.insert(id, Call::of(id, body)?);
        self.send_waiting()?;
        Ok(id)
    }

    fn new_id(&mut self) -> RequestId {
        self.last_id += 1;
        RequestId(self.last_id)
    }

    fn parts(&mut self) -> impl Iterator<Item = &mut Part> {
        self.open.values_mut().flat_map(Call::parts_mut)
    }

    fn call_of(&mut self, id: RequestId) -> Option<&mut Call> {
        self.open.values_mut().find(|call| call.parts().iter().any(|part| part.id == id))
    }

    /// Ends a call that has failed or is done.
    fn take_answer(&mut self, id: CallId) -> Result<Option<Vec<PartOutcome>>, Error> {
        let Some(call) = self.open.get_mut(&id) else {
            return Err(Error::Unexpected("a call that is not open"));
        };
        if let Some(error) = call.error.take() {
            self.cancel(id);
            return Err(error);
        }
        if !call.is_done() {
            return Ok(None);
        }
        Ok(self.open.remove(&id).map(Call::into_outcomes))
    }

    /// An engine that went while this session was idle must not count as lost by the next request.
    fn forget_dead_connection(&mut self) {
        while let Some(connection) = &mut self.connection {
            match connection.receive::<Reply>() {
                Ok(Some(_late)) => {}
                Ok(None) => return,
                Err(_) => self.connection = None,
            }
        }
    }

    /// Queues what may be sent now; the socket takes it later.
    fn send_waiting(&mut self) -> Result<(), DecodeError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let mut waits = |call: &Call| call.parts().iter().any(|part| matches!(part.state, State::Waiting));
        if self.open.values().any(&mut waits) && fatal::are_known() {
            let last = &mut self.last_id;
            for call in self.open.values_mut() {
                call.refuse_known(&mut || next_id(last))?;
            }
        }
        let parts = || self.open.values().flat_map(Call::parts);
        let careful = parts().any(|part| part.is_suspect && part.is_open());
        let mut under_way = parts().any(|part| part.work != RequestWork::Nothing && part.is_under_way());
        for part in self.open.values_mut().flat_map(Call::parts_mut) {
            let is_risky = part.work != RequestWork::Nothing;
            if !matches!(part.state, State::Waiting) || (is_risky && careful && under_way) {
                continue;
            }
            if part.is_for_alone() {
                connection.queue(Rc::from(encode_frame(&Request { id: part.id, body: RequestBody::Alone })?));
            }
            connection.queue(Rc::clone(&part.frame));
            part.state = State::Sent;
            under_way |= is_risky;
        }
        Ok(())
    }

    /// Sends what can be sent and takes in what has come; waits if neither leads anywhere.
    fn pump(&mut self, until: Option<Instant>) -> Result<(), Error> {
        if self.connection.is_none() {
            return self.connect_after_pause(until);
        }
        self.send_waiting()?;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let unsent = connection.unsent();
        let received = connection.flush().and_then(|()| connection.receive::<Reply>());
        match received {
            Ok(Some(reply)) => self.take_in(reply),
            Ok(None) if connection.unsent() < unsent => {}
            Ok(None) => connection.wait(latch::left(until)),
            Err(broken) => return self.lose(broken),
        }
        Ok(())
    }

    /// As [`poll`], of an engine that isn't started for it.
    fn poll_until(&mut self, pending: &PendingCall, until: Instant) -> Result<Option<AskOutcome>, Error> {
        if let Some(outcomes) = self.take_answer(pending.0)? {
            return single(outcomes).map(|body| Some(AskOutcome::Answered(body)));
        }
        if self.connection.is_some() {
            return self.pump(Some(until)).map(|()| None);
        }
        match launch::find(until)? {
            Found::Engine(connection) => self.adopt(connection)?,
            Found::NoEngine => return Ok(Some(AskOutcome::NoEngine)),
            Found::TimedOut => return Ok(Some(AskOutcome::TimedOut)),
        }
        Ok(None)
    }

    fn connect_after_pause(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let left = self.pause.map(|pause| pause.saturating_duration_since(Instant::now()));
        match left.filter(|left| !left.is_zero()) {
            // Woken early, it comes here again.
            Some(left) => latch::wait(None, Some(latch::left(until).map_or(left, |until| left.min(until)))),
            None => self.connect()?,
        }
        Ok(())
    }

    fn connect(&mut self) -> Result<(), Error> {
        self.adopt(launch::connect()?)
    }

    /// Takes a connection into use, over which what is open is asked. Its engine's supervisor has said before how the one
    /// before ended.
    fn adopt(&mut self, connection: Stream) -> Result<(), Error> {
        self.pause = None;
        self.connection = Some(connection);
        for call in self.open.values_mut() {
            call.count_trials(runtime::is_excused);
        }
        Ok(self.send_waiting()?)
    }

    fn take_in(&mut self, reply: Reply) {
        // A reply to a request that was cancelled meanwhile finds nobody.
        let Some(call) = self.call_of(reply.id) else { return };
        if let ReplyBody::Error(error) = reply.body {
            call.error = Some(error.into());
            return;
        }
        let Some(part) = call.part(reply.id) else { return };
        match reply.body {
            ReplyBody::NeedContent(content) => part.wanted = Some(content),
            ReplyBody::Began { stage, engine } => part.state = State::Tried(stage, engine),
            body => part.finish(PartOutcome::Answered(body)),
        }
    }

    fn lose(&mut self, broken: Broken) -> Result<(), Error> {
        self.connection = None;
        let last = &mut self.last_id;
        for call in self.open.values_mut() {
            call.lose(&mut || next_id(last))?;
        }
        let losses = self.parts().filter(|part| part.is_open()).map(|part| part.losses).max();
        self.pause = Some(Instant::now() + pause_after(losses.unwrap_or(0)));
        match broken {
            Broken::Lost => Ok(()),
            Broken::Garbled(error) => Err(error),
        }
    }

    /// Forgets a call and tells the engine, if that is possible without waiting. Otherwise the connection is closed,
    /// which tells it too.
    fn cancel(&mut self, id: CallId) {
        let Some(call) = self.open.remove(&id) else { return };
        let Some(connection) = &mut self.connection else { return };
        let told = call.parts().iter().filter(|part| part.is_under_way()).all(|part| {
            connection.unsent() == 0
                && encode_frame(&Request { id: part.id, body: RequestBody::Cancel }).is_ok_and(|frame| {
                    connection.queue(Rc::from(frame));
                    connection.flush().is_ok() && connection.unsent() == 0
                })
        });
        if !told {
            self.connection = None;
            for part in self.parts().filter(|part| part.is_under_way()) {
                part.wanted = None;
                part.state = State::Waiting;
            }
        }
    }
}

/// The answer to a call that is asked as a whole.
///
/// # Errors
/// [`Error::Unexpected`] for any other.
pub fn single(outcomes: Vec<PartOutcome>) -> Result<ReplyBody, Error> {
    match <[PartOutcome; 1]>::try_from(outcomes) {
        Ok([PartOutcome::Answered(body)]) => Ok(body),
        _ => Err(Error::Unexpected("an answer in parts")),
    }
}

fn next_id(last: &mut u64) -> RequestId {
    *last += 1;
    RequestId(*last)
}

/// Not the same for all sessions, so that they don't meet again and again.
fn pause_after(losses: u32) -> Duration {
    let pause = (BASE_BACKOFF * 2u32.pow(losses.saturating_sub(1).min(10))).min(MAX_BACKOFF);
    pause - pause * (std::process::id() % 16) / 64
}
