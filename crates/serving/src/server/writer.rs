//! Replies on their way to a client. A client that doesn't read keeps nobody waiting but itself.
//!
//! Invariant: what is queued is bounded by the backpressure: a request counts until its reply has been written.

use std::io;

use ecommerce_ml_protocol::{DecodeError, EngineError, ErrorKind, Reply, ReplyBody, encode_frame};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::backpressure::Admission;

/// A frame with what it counts for in the backpressure.
struct QueuedFrame {
    frame: Vec<u8>,
    /// `None` for a question to the client, which is no reply.
    admission: Option<Admission>,
}

/// Takes replies from any task.
#[derive(Clone)]
pub(super) struct ReplySender(UnboundedSender<QueuedFrame>);

/// Writes what the senders take.
pub(super) struct ReplyWriter(UnboundedReceiver<QueuedFrame>);

pub(super) fn reply_channel() -> (ReplySender, ReplyWriter) {
    let (sender, receiver) = unbounded_channel();
    (ReplySender(sender), ReplyWriter(receiver))
}

impl ReplySender {
    /// Sends the reply that ends a request.
    pub(super) fn reply(&self, reply: &Reply, admission: Admission) {
        self.put(reply, Some(admission));
    }

    /// Sends a question; the request stays open.
    pub(super) fn ask(&self, question: &Reply) {
        self.put(question, None);
    }

    fn put(&self, reply: &Reply, admission: Option<Admission>) {
        let frame = encode_frame(reply).or_else(|error| encode_frame(&refusal(reply, &error)));
        // The writer is gone if the client is; then nobody misses the reply.
        let _ = frame.map(|frame| self.0.send(QueuedFrame { frame, admission }));
    }
}

impl ReplyWriter {
    /// Writes until the connection breaks.
    pub(super) async fn run(mut self, mut socket: OwnedWriteHalf) -> io::Result<()> {
        while let Some(outgoing) = self.0.recv().await {
            socket.write_all(&outgoing.frame).await?;
            drop(outgoing.admission);
        }
        Ok(())
    }
}

/// What to say instead of a reply that fits into no frame.
fn refusal(reply: &Reply, error: &DecodeError) -> Reply {
    let refused = EngineError::new(ErrorKind::InvalidRequest, format!("reply can't be sent: {error}"))
        .with_hint("Send fewer texts in one request.");
    Reply { id: reply.id, body: ReplyBody::Error(refused) }
}
