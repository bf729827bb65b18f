//! When a connection is read from no further: the bound on what clients can make the engine hold.
//!
//! Invariant: what all clients have open stays within [`TOTAL_BYTES`] plus one frame for each connection, and a
//! client that is asked to send a model is always read from, or nobody would ever get it.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use ecommerce_ml_protocol::{Output, RequestBody};
use tokio::sync::Notify;

use super::turns::Turns;

/// Requests that a client may have open before it is read from no further.
const CONNECTION_REQUESTS: usize = 64;

/// Bytes of open requests and unread replies of one client.
const CONNECTION_BYTES: usize = 64 << 20;

/// Bytes of open requests and unread replies of all clients.
const TOTAL_BYTES: usize = 512 << 20;

/// Requests of a client that is read from although it has too many open, because it has to send a model.
pub(super) const MAX_REQUESTS: usize = 4 * CONNECTION_REQUESTS;

/// What an input costs beside its bytes, and any other request.
const INPUT_BYTES: usize = 64;

/// What the embedding of a text costs: 1024 numbers, as the largest common models have.
const EMBEDDING_BYTES: usize = 4096;

/// What all clients have open.
#[derive(Default)]
pub(super) struct Shared {
    bytes: AtomicUsize,
    /// Notified when `bytes` has become less.
    less: Notify,
    /// Of the requests of all clients.
    turns: Turns,
}

/// What one client has open, which decides whether it is read from.
pub(super) struct Backpressure {
    shared: Arc<Shared>,
    requests: AtomicUsize,
    bytes: AtomicUsize,
    /// Requests for which the client has been asked to send a model.
    asked: AtomicUsize,
    /// Notified when any of these changes in favour of reading.
    changed: Notify,
}

impl Backpressure {
    pub(super) fn new(shared: Arc<Shared>) -> Arc<Self> {
        let zero = || AtomicUsize::new(0);
        Arc::new(Self { shared, requests: zero(), bytes: zero(), asked: zero(), changed: Notify::new() })
    }

    /// Which requests are worked on.
    pub(super) fn turns(&self) -> &Turns {
        &self.shared.turns
    }

    /// Waits until the next message may be read.
    pub(super) async fn open(&self) {
        loop {
            // Before the check, so that no change is missed.
            let (changed, less) = (self.changed.notified(), self.shared.less.notified());
            if self.is_open() {
                return;
            }
            tokio::select! { () = changed => {}, () = less => {} }
        }
    }

    fn is_open(&self) -> bool {
        let within = self.requests.load(Relaxed) < CONNECTION_REQUESTS
            && self.bytes.load(Relaxed) < CONNECTION_BYTES
            && self.shared.bytes.load(Relaxed) < TOTAL_BYTES;
        within || self.asked.load(Relaxed) > 0
    }

    /// Whether no further request can be accepted on any account.
    pub(super) fn is_full(&self) -> bool {
        self.requests.load(Relaxed) >= MAX_REQUESTS
    }

    /// Counts a request until its reply has been written.
    pub(super) fn admit(self: &Arc<Self>, body: &RequestBody) -> Admission {
        let bytes = weight(body);
        self.requests.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.shared.bytes.fetch_add(bytes, Relaxed);
        Admission { backpressure: Arc::clone(self), bytes }
    }

    /// Lets the client be read from, for a model, for as long as the guard lives.
    pub(super) fn ask(self: &Arc<Self>) -> UploadExpected {
        self.asked.fetch_add(1, Relaxed);
        self.changed.notify_waiters();
        UploadExpected(Arc::clone(self))
    }
}

/// An open request, or its reply until it has been written.
pub(super) struct Admission {
    backpressure: Arc<Backpressure>,
    bytes: usize,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.backpressure.requests.fetch_sub(1, Relaxed);
        self.backpressure.bytes.fetch_sub(self.bytes, Relaxed);
        self.backpressure.shared.bytes.fetch_sub(self.bytes, Relaxed);
        self.backpressure.changed.notify_waiters();
        self.backpressure.shared.less.notify_waiters();
    }
}

/// A client that has been asked to send a model.
pub(super) struct UploadExpected(Arc<Backpressure>);

impl Drop for UploadExpected {
    fn drop(&mut self) {
        self.0.asked.fetch_sub(1, Relaxed);
    }
}

/// About the bytes that a request and its reply hold.
fn weight(body: &RequestBody) -> usize {
    let RequestBody::Predict { input, output, .. } = body else { return INPUT_BYTES };
    let each = if *output == Output::Embedding { EMBEDDING_BYTES } else { INPUT_BYTES };
    input.bytes().saturating_add(input.len().saturating_mul(each))
}
