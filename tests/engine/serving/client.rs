//! A client that blocks, as plain as can be.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use ecommerce_ml_protocol::{
    Answers, Completed, EngineError, FrameDecoder, Hello, Reply, ReplyBody, Request, RequestBody, RequestId,
    UploadPart, encode_frame,
};

use crate::kit::Content;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Client {
    pub stream: UnixStream,
    decoder: FrameDecoder,
    last: u64,
}

impl Client {
    /// Connects and exchanges greetings.
    pub fn connect(socket: &Path) -> Self {
        let mut client = Self::silent(socket);
        client.stream.write_all(&Hello::ours().encode().unwrap()).unwrap();
        assert_eq!(client.hello(), Hello::ours());
        client
    }

    /// Connects without a greeting.
    pub fn silent(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, decoder: FrameDecoder::default(), last: 0 }
    }

    pub fn hello(&mut self) -> Hello {
        loop {
            if let Some(payload) = self.decoder.next_payload().unwrap() {
                return Hello::decode(payload).unwrap();
            }
            assert!(self.read());
        }
    }

    /// Sends a request under a new id.
    pub fn send(&mut self, body: RequestBody) -> RequestId {
        self.last += 1;
        self.send_as(RequestId(self.last), body);
        RequestId(self.last)
    }

    /// Sends the same request so many times.
    pub fn send_many(&mut self, count: usize, body: &RequestBody) -> Vec<RequestId> {
        (0..count).map(|_| self.send(body.clone())).collect()
    }

    /// The same connection, to send from another thread.
    pub fn sender(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), decoder: FrameDecoder::default(), last: self.last }
    }

    pub fn send_as(&mut self, id: RequestId, body: RequestBody) {
        self.stream.write_all(&encode_frame(&Request { id, body }).unwrap()).unwrap();
    }

    /// The next reply; `None` once the engine has closed the connection.
    pub fn try_receive(&mut self) -> Option<Reply> {
        loop {
            if let Some(reply) = self.decoder.next_message().unwrap() {
                return Some(reply);
            }
            if !self.read() {
                return None;
            }
        }
    }

    pub fn receive(&mut self) -> Reply {
        self.try_receive().expect("the engine closed the connection")
    }

    /// The replies to so many requests.
    pub fn receive_all(&mut self, count: usize) -> HashMap<RequestId, ReplyBody> {
        (0..count).map(|_| self.receive()).map(|reply| (reply.id, reply.body)).collect()
    }

    /// Sends a request and waits for its reply.
    pub fn call(&mut self, body: RequestBody) -> ReplyBody {
        let id = self.send(body);
        let reply = self.receive();
        assert_eq!(reply.id, id);
        reply.body
    }

    /// Waits for the question for a model.
    pub fn is_asked_for(&mut self, content: &Content) -> RequestId {
        let reply = self.receive();
        assert_eq!(reply.body, ReplyBody::NeedContent(content.sha));
        reply.id
    }

    pub fn upload(&mut self, id: RequestId, content: &Content) {
        self.part(id, UploadPart::Begin { files: content.manifest.clone() });
        for data in content.data.chunks(3) {
            self.part(id, UploadPart::Chunk { file: 0, data: data.to_vec() });
        }
        self.part(id, UploadPart::End);
    }

    pub fn part(&mut self, id: RequestId, part: UploadPart) {
        self.send_as(id, RequestBody::Upload(part));
    }

    /// Reads and forgets; false at the end.
    pub fn try_read_any(&mut self) -> bool {
        self.stream.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0)
    }

    /// Whether more bytes came before the end.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        let bytes = match self.stream.read(&mut buffer) {
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => 0,
            read => read.unwrap(),
        };
        self.decoder.push(&buffer[..bytes]);
        bytes > 0
    }
}

/// Answers, and what they took.
pub fn answered(body: ReplyBody) -> (Answers, Completed) {
    match body {
        ReplyBody::Answered { answers, completed, .. } => (answers, completed),
        other => panic!("{other:?}"),
    }
}

/// The values of predictions.
pub fn values(body: ReplyBody) -> Vec<Option<f64>> {
    match answered(body).0 {
        Answers::Numbers(numbers) => numbers,
        other => panic!("{other:?}"),
    }
}

pub fn error(body: ReplyBody) -> EngineError {
    match body {
        ReplyBody::Error(error) => error,
        other => panic!("{other:?}"),
    }
}
