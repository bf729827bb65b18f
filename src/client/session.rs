//! The requests that this backend has open.
//!
//! Invariant: a request is either answered, or cancelled because its [`Claim`] was dropped, or sent again to the next
//! engine; one over which two engines were lost is answered with [`Error::EngineLost`], since it may be the reason.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use ecommerce_ml_protocol::{Reply, ReplyBody, Request, RequestBody, RequestId, Sha256, encode_frame};

use super::launch::{self, Found};
use crate::error::Error;
use crate::latch;
use crate::stream::{Broken, Stream};

/// Engines that one request may see die.
const LOSSES: u32 = 2;

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
    open: BTreeMap<RequestId, Open>,
}

struct Open {
    /// Kept so that it can be sent to another engine.
    frame: Rc<[u8]>,
    /// How many engines were lost while it was open.
    losses: u32,
    /// Content that the engine wants before it can go on.
    wanted: Option<Sha256>,
    answer: Option<Result<ReplyBody, Error>>,
}

/// The right to a request's answer.
pub struct Claim(RequestId);

impl Drop for Claim {
    fn drop(&mut self) {
        // The session is borrowed only if an error unwinds through a wait, and then that borrow has ended before.
        SESSION.with(|session| {
            if let Ok(mut session) = session.try_borrow_mut() {
                session.cancel(self.0);
            }
        });
    }
}

/// Opens a request.
pub fn submit(body: RequestBody) -> Result<Claim, Error> {
    SESSION.with_borrow_mut(|session| session.submit(body)).map(Claim)
}

/// Sends what the socket takes of the open requests, connecting if need be.
pub fn push() -> Result<(), Error> {
    SESSION.with_borrow_mut(|session| {
        if session.connection.is_none() {
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
        session.open.iter_mut().find_map(|(id, open)| open.wanted.take().map(|content| (*id, content)))
    })
}

/// The answer if it has come; otherwise waits until something happens.
pub fn poll(claim: &Claim) -> Result<Option<Result<ReplyBody, Error>>, Error> {
    SESSION.with_borrow_mut(|session| {
        let answer = session.open.get_mut(&claim.0).and_then(|open| open.answer.take());
        if answer.is_some() {
            session.open.remove(&claim.0);
            return Ok(answer);
        }
        session.pump(None)?;
        Ok(None)
    })
}

/// How asking an engine that may not be there ended.
pub enum Heard {
    Body(ReplyBody),
    /// No engine runs.
    Nobody,
    /// There is one, but it did not answer in time.
    Silence,
}

/// Asks an engine that runs, and waits no longer than this.
pub fn ask_until(body: RequestBody, until: Instant) -> Result<Heard, Error> {
    let claim = SESSION.with_borrow_mut(|session| session.submit(body)).map(Claim)?;
    while Instant::now() < until {
        let turn = SESSION.with_borrow_mut(|session| session.turn_until(&claim, until))?;
        if let Some(heard) = turn {
            return Ok(heard);
        }
    }
    Ok(Heard::Silence)
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

/// Answers an open request from our side.
pub fn fail(id: RequestId, error: Error) {
    SESSION.with_borrow_mut(|session| {
        if let Some(open) = session.open.get_mut(&id) {
            open.answer = Some(Err(error));
        }
    });
}

impl Session {
    fn submit(&mut self, body: RequestBody) -> Result<RequestId, Error> {
        if self.open.is_empty() {
            self.forget_dead_connection();
        }
        self.last_id += 1;
        let id = RequestId(self.last_id);
        let frame: Rc<[u8]> = Rc::from(encode_frame(&Request { id, body })?);
        if let Some(connection) = &mut self.connection {
            connection.queue(Rc::clone(&frame));
        }
        self.open.insert(id, Open { frame, losses: 0, wanted: None, answer: None });
        Ok(id)
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

    /// Sends what can be sent and takes in what has come; waits if neither leads anywhere.
    fn pump(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let Some(connection) = &mut self.connection else { return self.connect() };
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
    fn turn_until(&mut self, claim: &Claim, until: Instant) -> Result<Option<Heard>, Error> {
        let answer = self.open.get_mut(&claim.0).and_then(|open| open.answer.take());
        if let Some(answer) = answer {
            self.open.remove(&claim.0);
            return answer.map(|body| Some(Heard::Body(body)));
        }
        if self.connection.is_some() {
            return self.pump(Some(until)).map(|()| None);
        }
        match launch::find(until)? {
            Found::Engine(connection) => self.adopt(connection),
            Found::Nobody => return Ok(Some(Heard::Nobody)),
            Found::Silence => return Ok(Some(Heard::Silence)),
        }
        Ok(None)
    }

    fn connect(&mut self) -> Result<(), Error> {
        let connection = launch::connect()?;
        self.adopt(connection);
        Ok(())
    }

    /// Takes a connection into use, over which all that is open is asked.
    fn adopt(&mut self, mut connection: Stream) {
        for open in self.open.values().filter(|open| open.answer.is_none()) {
            connection.queue(Rc::clone(&open.frame));
        }
        self.connection = Some(connection);
    }

    fn take_in(&mut self, reply: Reply) {
        // A reply to a request that was cancelled meanwhile finds nobody.
        let Some(open) = self.open.get_mut(&reply.id) else { return };
        match reply.body {
            ReplyBody::NeedContent(content) => open.wanted = Some(content),
            body => open.answer = Some(Ok(body)),
        }
    }

    fn lose(&mut self, broken: Broken) -> Result<(), Error> {
        self.connection = None;
        for open in self.open.values_mut().filter(|open| open.answer.is_none()) {
            open.wanted = None;
            open.losses += 1;
            if open.losses == LOSSES {
                open.answer = Some(Err(Error::EngineLost));
            }
        }
        match broken {
            Broken::Lost => Ok(()),
            Broken::Garbled(error) => Err(error),
        }
    }

    /// Forgets a request and tells the engine, if that is possible without waiting. Otherwise the connection
    /// is closed, which tells it too.
    fn cancel(&mut self, id: RequestId) {
        let Some(open) = self.open.remove(&id) else { return };
        let Some(connection) = &mut self.connection else { return };
        if open.answer.is_some() {
            return;
        }
        let told = connection.unsent() == 0
            && encode_frame(&Request { id, body: RequestBody::Cancel }).is_ok_and(|frame| {
                connection.queue(Rc::from(frame));
                connection.flush().is_ok() && connection.unsent() == 0
            });
        if !told {
            self.connection = None;
        }
    }
}
