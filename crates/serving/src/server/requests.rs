//! The open requests of a connection. It must not know what they mean.
//!
//! Invariant: a request is answered by whoever takes it out of the table, hence exactly once, and only after its
//! work has been dropped; with the connection all its requests end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Weak};

use ecommerce_ml_protocol::{
    EngineError, ErrorKind, Reply, ReplyBody, Request, RequestBody, RequestId, Sha256, UploadPart,
};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::RequestHandler;
use super::backpressure::{Admission, Backpressure, MAX_REQUESTS};
use super::frames::ConnectionError;
use super::writer::ReplySender;
use crate::activity::RequestGuard;
use crate::cache::{Client, RequestUpload, UploadSlot};

/// All requests of one connection that are not answered yet.
pub(super) struct Requests<A> {
    engine: Arc<A>,
    backpressure: Arc<Backpressure>,
    replies: ReplySender,
    open: Mutex<HashMap<RequestId, OpenRequest>>,
}

/// A request that is not answered yet.
struct OpenRequest {
    /// The task that works on it.
    task: AbortHandle,
    /// Where parts of a model go if the engine asked for it under this request.
    upload: Arc<UploadSlot>,
    /// Held until the reply has been written.
    admission: Admission,
    /// Held for its effect: the engine isn't idle.
    _counted: RequestGuard,
}

impl<A: RequestHandler> Requests<A> {
    pub(super) fn new(engine: Arc<A>, backpressure: Arc<Backpressure>, replies: ReplySender) -> Arc<Self> {
        Arc::new(Self { engine, backpressure, replies, open: Mutex::default() })
    }

    /// Takes a message of the client.
    pub(super) async fn take(self: &Arc<Self>, request: Request) -> Result<(), ConnectionError> {
        match request.body {
            RequestBody::Cancel => self.cancel(request.id),
            RequestBody::Upload(part) => self.upload(request.id, part).await,
            body => return self.start(request.id, body),
        }
        Ok(())
    }

    fn start(self: &Arc<Self>, id: RequestId, body: RequestBody) -> Result<(), ConnectionError> {
        if self.backpressure.is_full() {
            return Err(ConnectionError::TooMany(MAX_REQUESTS));
        }
        // Locked until the request is in the table: its task may be quick.
        let mut open = self.open.lock();
        let Entry::Vacant(place) = open.entry(id) else { return Err(ConnectionError::Reused(id.0)) };
        let admission = self.backpressure.admit(&body);
        let upload = Arc::<UploadSlot>::default();
        let client = Client::new(Arc::clone(&upload), self.ask(id));
        let answer = ReplyGuard { id, requests: Arc::downgrade(self) };
        let engine = Arc::clone(&self.engine);
        let task = tokio::spawn(async move {
            let body = engine.answer(body, &client).await.unwrap_or_else(ReplyBody::Error);
            answer.give(body);
        });
        let _counted = self.engine.activity().request();
        place.insert(OpenRequest { task: task.abort_handle(), upload, admission, _counted });
        Ok(())
    }

    /// Stops the task of a request. Dropping its work comes first, then the answer: see [`ReplyGuard`].
    fn cancel(&self, id: RequestId) {
        if let Some(open) = self.open.lock().get(&id) {
            open.task.abort();
        }
    }

    /// Passes on a part of a model. It may be for a request that failed meanwhile: then nobody wants it.
    async fn upload(&self, id: RequestId, part: UploadPart) {
        let sender = self.open.lock().get(&id).and_then(|open| open.upload.sender());
        if let Some(sender) = sender {
            let _ = sender.send(part).await;
        }
    }

    /// How the cache asks this client for a model.
    fn ask(&self, id: RequestId) -> Arc<RequestUpload> {
        let (backpressure, replies) = (Arc::clone(&self.backpressure), self.replies.clone());
        Arc::new(move |sha: Sha256| {
            let asked = backpressure.ask();
            replies.ask(&Reply { id, body: ReplyBody::NeedContent(sha) });
            Box::new(asked)
        })
    }

    /// Answers a request, unless that has been done.
    fn finish(&self, id: RequestId, body: ReplyBody) {
        let open = self.open.lock().remove(&id);
        if let Some(open) = open {
            self.replies.reply(&Reply { id, body }, open.admission);
        }
    }
}

impl<A> Drop for Requests<A> {
    fn drop(&mut self) {
        self.open.get_mut().values().for_each(|open| open.task.abort());
    }
}

/// Answers a request when it is dropped, if nobody has; held by its task. A task that ends without an answer panicked or was stopped.
struct ReplyGuard<A: RequestHandler> {
    id: RequestId,
    /// Weak: requests end with their connection, not the other way round.
    requests: Weak<Requests<A>>,
}

impl<A: RequestHandler> ReplyGuard<A> {
    fn give(&self, body: ReplyBody) {
        if let Some(requests) = self.requests.upgrade() {
            requests.finish(self.id, body);
        }
    }
}

impl<A: RequestHandler> Drop for ReplyGuard<A> {
    fn drop(&mut self) {
        // Once it has been answered, there is nothing left to finish.
        self.give(ReplyBody::Error(if std::thread::panicking() {
            EngineError::new(ErrorKind::Internal, "engine panicked")
        } else {
            EngineError::new(ErrorKind::Cancelled, "request was cancelled")
        }));
    }
}
