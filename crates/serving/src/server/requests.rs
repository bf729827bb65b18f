//! The open requests of a connection. It must not know what they mean.
//!
//! Invariant: a request is answered by whoever takes it out of the table, hence exactly once, and only after its
//! work has been dropped; with the connection all its requests end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Weak};

use ecommerce_ml_protocol::{
    EngineError, ErrorKind, Reply, ReplyBody, Request, RequestBody, RequestId, Sha256, Stage, UploadPart,
};
use parking_lot::Mutex;
use tokio::task::{AbortHandle, yield_now};

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
    /// A request to come that is to be answered alone.
    announced: Mutex<Option<RequestId>>,
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
        Arc::new(Self { engine, backpressure, replies, open: Mutex::default(), announced: Mutex::default() })
    }

    /// Takes a message of the client.
    pub(super) async fn take(self: &Arc<Self>, request: Request) -> Result<(), ConnectionError> {
        match request.body {
            RequestBody::Cancel => self.cancel(request.id),
            RequestBody::Upload(part) => self.upload(request.id, part).await,
            RequestBody::Alone => *self.announced.lock() = Some(request.id),
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
        let (engine, backpressure) = (Arc::clone(&self.engine), Arc::clone(&self.backpressure));
        let work = RequestTask { id, engine, backpressure, client };
        let is_announced = self.announced.lock().take_if(|announced| *announced == id).is_some();
        let replies = self.replies.clone();
        let task = tokio::spawn(async move {
            let answered =
                if is_announced { work.alone(body, &replies).await } else { work.beside_others(body).await };
            answer.give(answered.unwrap_or_else(ReplyBody::Error));
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

/// What a task needs to work on a request.
struct RequestTask<A> {
    id: RequestId,
    engine: Arc<A>,
    backpressure: Arc<Backpressure>,
    client: Client,
}

impl<A: RequestHandler> RequestTask<A> {
    async fn beside_others(&self, body: RequestBody) -> Result<ReplyBody, EngineError> {
        let _turn = if body.model().is_some() { self.backpressure.turns().shared().await } else { None };
        self.engine.answer(body, &self.client).await
    }

    /// Loads the model before anything else, so that the client can tell whether the engine died of it.
    async fn alone(&self, body: RequestBody, replies: &ReplySender) -> Result<ReplyBody, EngineError> {
        let turn = self.backpressure.turns().alone().await;
        let is_alone = turn.is_some();
        if let Some(model) = body.model() {
            self.begin(is_alone, Stage::Loading, replies).await;
            self.engine.answer(RequestBody::Describe { model: model.clone() }, &self.client).await?;
        }
        self.begin(is_alone, Stage::Answering, replies).await;
        self.engine.answer(body, &self.client).await
    }

    async fn begin(&self, is_alone: bool, stage: Stage, replies: &ReplySender) {
        if is_alone {
            let engine = std::process::id();
            replies.ask(&Reply { id: self.id, body: ReplyBody::Began { stage, engine } });
            // Lets the writer write it before the work begins.
            yield_now().await;
        }
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
