//! One connection to the engine: a socket that never blocks, with frames going out and replies coming in.
//!
//! It must not know which requests are open. Invariant: frames leave in the order in which they were queued,
//! whole or, when the connection is lost, not at all as far as the other side is concerned.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use ecommerce_ml_protocol::{FrameDecoder, Hello, Reply};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::error::Error;
use crate::latch::{self, Interest};
use crate::runtime;

/// Why nothing more will come through a connection.
#[derive(Debug)]
pub enum Broken {
    /// The other side has gone.
    Lost,
    /// What came is no message; the engine would not send that.
    Garbled(Error),
}

/// How an attempt to connect ended.
pub enum Attempt {
    Connected(Connection),
    /// No supervisor holds the socket.
    NobodyListens,
    /// The socket's backlog is full for the moment.
    Crowded,
}

/// An open connection.
pub struct Connection {
    stream: UnixStream,
    decoder: FrameDecoder,
    outgoing: VecDeque<Rc<[u8]>>,
    /// Bytes of the first outgoing frame that have been sent.
    sent: usize,
}

impl Connection {
    /// Connects and queues our greeting.
    ///
    /// # Errors
    /// For anything but the reasons that [`Attempt`] names.
    pub fn attempt() -> Result<Attempt, Error> {
        let wire = |errno: rustix::io::Errno| Error::Wire(io::Error::from(errno).to_string());
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(wire)?;
        let address = SocketAddrUnix::new(runtime::SOCKET).map_err(wire)?;
        match connect(&socket, &address) {
            Ok(()) => {}
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => {
                return Ok(Attempt::NobodyListens);
            }
            Err(rustix::io::Errno::AGAIN) => return Ok(Attempt::Crowded),
            Err(errno) => return Err(wire(errno)),
        }
        let outgoing = VecDeque::from([Rc::from(Hello::ours().encode()?)]);
        let connection =
            Self { stream: UnixStream::from(socket), decoder: FrameDecoder::default(), outgoing, sent: 0 };
        Ok(Attempt::Connected(connection))
    }

    /// Waits for the engine's greeting.
    ///
    /// # Errors
    /// [`Broken::Lost`] when the engine ends before it greets.
    pub fn greeting(&mut self) -> Result<Hello, Broken> {
        loop {
            self.flush()?;
            self.read()?;
            if let Some(payload) = self.decoder.next_payload().map_err(garbled)? {
                return Hello::decode(payload).map_err(garbled);
            }
            self.wait();
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
            match self.stream.write(&frame[self.sent..]) {
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

    /// The next reply that has come, without waiting.
    ///
    /// # Errors
    /// When the connection has broken, once all replies that came before have been handed out.
    pub fn receive(&mut self) -> Result<Option<Reply>, Broken> {
        if let Some(reply) = self.decoder.next_message().map_err(garbled)? {
            return Ok(Some(reply));
        }
        self.read()?;
        self.decoder.next_message().map_err(garbled)
    }

    /// Waits until the socket has something for us, or takes something from us if we have it.
    pub fn wait(&self) {
        let interest =
            if self.outgoing.is_empty() { Interest::Readable } else { Interest::ReadableOrWritable };
        latch::wait(Some((self.stream.as_fd(), interest)), None);
    }

    fn read(&mut self) -> Result<(), Broken> {
        let mut buffer = [0; 64 << 10];
        loop {
            match self.stream.read(&mut buffer) {
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

fn garbled(error: ecommerce_ml_protocol::DecodeError) -> Broken {
    Broken::Garbled(error.into())
}

/// Whether a supervisor holds the socket. The engine may still be starting.
pub fn somebody_listens() -> bool {
    matches!(Connection::attempt(), Ok(Attempt::Connected(_) | Attempt::Crowded))
}
