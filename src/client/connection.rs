//! Connecting to the socket that the supervisor holds.
//!
//! It must not know which requests are open. Invariant: an attempt doesn't wait.

use std::io;
use std::os::unix::net::UnixStream;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::error::Error;
use crate::runtime;
use crate::stream::Stream;

/// How an attempt to connect ended.
pub enum Attempt {
    Connected(Stream),
    /// No supervisor holds the socket.
    NoListener,
    /// The socket's backlog is full for the moment.
    BacklogFull,
}

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
            return Ok(Attempt::NoListener);
        }
        Err(rustix::io::Errno::AGAIN) => return Ok(Attempt::BacklogFull),
        Err(errno) => return Err(wire(errno)),
    }
    Stream::greet(UnixStream::from(socket)).map(Attempt::Connected)
}
