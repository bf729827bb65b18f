//! Messages off a socket. It must not know what they mean.
//!
//! Invariant: no more is read than the next message needs, up to one buffer.

use std::io;
use std::time::Duration;

use ecommerce_ml_protocol::{DecodeError, FrameDecoder, Hello, Request};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::unix::OwnedReadHalf;
use tokio::time::sleep;

const READ_BYTES: usize = 64 << 10;

/// How often a client that isn't read from is checked for having gone away.
const GONE_CHECK: Duration = Duration::from_millis(200);

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    #[error(transparent)]
    Broken(#[from] io::Error),
    #[error("client is of build {0}, this engine of build {build}", build = ecommerce_ml_protocol::BUILD)]
    OtherBuild(String),
    #[error("request number {0} is open already")]
    Reused(u64),
    #[error("more than {0} requests at a time")]
    TooMany(usize),
}

/// The reading half of a connection.
pub(super) struct Frames {
    socket: OwnedReadHalf,
    decoder: FrameDecoder,
    buffer: Box<[u8]>,
    /// Bytes in the decoder.
    buffered: usize,
}

impl Frames {
    pub(super) fn new(socket: OwnedReadHalf) -> Self {
        Self { socket, decoder: FrameDecoder::default(), buffer: vec![0; READ_BYTES].into(), buffered: 0 }
    }

    /// The greeting, or `None` if the client leaves without one.
    pub(super) async fn hello(&mut self) -> Result<Option<Hello>, ConnectionError> {
        self.next(Hello::decode).await
    }

    /// The next request, or `None` once the client has gone.
    pub(super) async fn request(&mut self) -> Result<Option<Request>, ConnectionError> {
        self.next(ecommerce_ml_protocol::frame::decode_payload).await
    }

    /// Returns once the client has gone, without reading on.
    pub(super) async fn gone(&self) {
        // Ready at once if there is something to read, hence the pauses.
        while self.socket.ready(Interest::READABLE).await.is_ok_and(|ready| !ready.is_read_closed()) {
            sleep(GONE_CHECK).await;
        }
    }

    async fn next<M>(
        &mut self,
        decode: impl Fn(&[u8]) -> Result<M, DecodeError>,
    ) -> Result<Option<M>, ConnectionError> {
        loop {
            if let Some(payload) = self.decoder.next_payload()? {
                let (message, taken) = (decode(payload)?, payload.len() + size_of::<u32>());
                self.taken(taken);
                return Ok(Some(message));
            }
            match self.socket.read(&mut self.buffer).await {
                Ok(0) => return Ok(None),
                Ok(bytes) => {
                    self.decoder.push(&self.buffer[..bytes]);
                    self.buffered += bytes;
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives memory back after a large frame: most connections are idle most of the time.
    fn taken(&mut self, bytes: usize) {
        self.buffered -= bytes;
        if self.buffered == 0 && bytes > READ_BYTES {
            self.decoder = FrameDecoder::default();
        }
    }
}
