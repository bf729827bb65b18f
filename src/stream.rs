//! One end of a socket that never blocks, with frames going out and messages coming in.
//!
//! It must not know what the messages mean. Invariant: frames leave in the order in which they were queued, whole or,
//! when the connection is lost, not at all as far as the other side is concerned.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ecommerce_ml_protocol::{DecodeError, FrameDecoder, Hello};
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::latch::{self, Interest};

/// Why nothing more will come through a connection.
#[derive(Debug)]
pub enum Broken {
    /// The other side has gone.
    Lost,
    /// What came is no message; the engine would not send that.
    Garbled(Error),
}

/// An open connection.
pub struct Stream {
    socket: UnixStream,
    decoder: FrameDecoder,
    outgoing: VecDeque<Rc<[u8]>>,
    /// Bytes of the first outgoing frame that have been sent.
    sent: usize,
}

impl Stream {
    /// A connection over a socket that doesn't block, with our greeting queued.
    ///
    /// # Errors
    /// None in practice: a greeting fits into a frame.
    pub fn greet(socket: UnixStream) -> Result<Self, Error> {
        let outgoing = VecDeque::from([Rc::from(Hello::ours().encode()?)]);
        Ok(Self { socket, decoder: FrameDecoder::default(), outgoing, sent: 0 })
    }

    /// Waits for the other side's greeting.
    ///
    /// # Errors
    /// [`Broken::Lost`] when the engine ends before it greets.
    pub fn greeting(&mut self) -> Result<Hello, Broken> {
        loop {
            if let Some(hello) = self.greeting_until(None)? {
                return Ok(hello);
            }
        }
    }

    /// Waits for the other side's greeting; nothing if the time is over.
    ///
    /// # Errors
    /// As [`greeting`](Self::greeting).
    pub fn greeting_until(&mut self, until: Option<Instant>) -> Result<Option<Hello>, Broken> {
        loop {
            self.flush()?;
            self.read()?;
            if let Some(payload) = self.decoder.next_payload().map_err(garbled)? {
                return Hello::decode(payload).map(Some).map_err(garbled);
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                return Ok(None);
            }
            self.wait(latch::left(until));
        }
    }

    /// Puts a frame behind those that wait to be sent.
    pub fn queue(&mut self, frame: Rc<[u8]>) {
        self.outgoing.push_back(frame);
    }

    /// Number of frames that are not sent yet.
    pub fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    /// Sends what the socket takes.
    ///
    /// # Errors
    /// [`Broken::Lost`].
    pub fn flush(&mut self) -> Result<(), Broken> {
        while let Some(frame) = self.outgoing.front() {
            match self.socket.write(&frame[self.sent..]) {
                Ok(0) => return Err(Broken::Lost),
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Broken::Lost),
            }
            if self.sent == frame.len() {
                self.outgoing.pop_front();
                self.sent = 0;
            }
        }
        Ok(())
    }

    /// The next message that has come, without waiting.
    ///
    /// # Errors
    /// When the connection has broken, once all messages that came before have been handed out.
    pub fn receive<M: DeserializeOwned>(&mut self) -> Result<Option<M>, Broken> {
        if let Some(message) = self.decoder.next_message().map_err(garbled)? {
            return Ok(Some(message));
        }
        self.read()?;
        self.decoder.next_message().map_err(garbled)
    }

    /// Waits until the socket has something for us, or takes something from us if we have it, or the time is over.
    pub fn wait(&self, timeout: Option<Duration>) {
        let interest =
            if self.outgoing.is_empty() { Interest::Readable } else { Interest::ReadableOrWritable };
        latch::wait(Some((self.socket.as_fd(), interest)), timeout);
    }

    fn read(&mut self) -> Result<(), Broken> {
        let mut buffer = [0; 64 << 10];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(Broken::Lost),
                Ok(read) => {
                    self.decoder.push(&buffer[..read]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Broken::Lost),
            }
        }
    }
}

fn garbled(error: DecodeError) -> Broken {
    Broken::Garbled(error.into())
}
