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

use super::Answers;
use super::frames::Goodbye;
use super::gate::{Admission, Gate, MOST_REQUESTS};
use super::outbox::Outbox;
use crate::activity::RequestGuard;
use crate::cache::{Ask, Client, UploadSlot};

/// All requests of one connection that are not answered yet.
pub(super) struct Requests<A> {
    engine: Arc<A>,
    gate: Arc<Gate>,
    outbox: Outbox,
    open: Mutex<HashMap<RequestId, Open>>,
    /// A request to come that is to be answered alone.
    announced: Mutex<Option<RequestId>>,
}

/// A request that is not answered yet.
struct Open {
    /// The task that works on it.
    task: AbortHandle,
    /// Where parts of a model go if the engine asked for it under this request.
    upload: Arc<UploadSlot>,
    /// Held until the reply has been written.
    admission: Admission,
    /// Held for its effect: the engine isn't idle.
    _counted: RequestGuard,
}

impl<A: Answers> Requests<A> {
    pub(super) fn new(engine: Arc<A>, gate: Arc<Gate>, outbox: Outbox) -> Arc<Self> {
        Arc::new(Self { engine, gate, outbox, open: Mutex::default(), announced: Mutex::default() })
    }

    /// Takes a message of the client.
    pub(super) async fn take(self: &Arc<Self>, request: Request) -> Result<(), Goodbye> {
        match request.body {
            RequestBody::Cancel => self.cancel(request.id),
            RequestBody::Upload(part) => self.upload(request.id, part).await,
            RequestBody::Alone => *self.announced.lock() = Some(request.id),
            body => return self.start(request.id, body),
        }
        Ok(())
    }

    fn start(self: &Arc<Self>, id: RequestId, body: RequestBody) -> Result<(), Goodbye> {
        if self.gate.is_crowded() {
            return Err(Goodbye::TooMany(MOST_REQUESTS));
        }
        // Locked until the request is in the table: its task may be quick.
        let mut open = self.open.lock();
        let Entry::Vacant(place) = open.entry(id) else { return Err(Goodbye::Reused(id.0)) };
        let admission = self.gate.admit(&body);
        let upload = Arc::<UploadSlot>::default();
        let client = Client::new(Arc::clone(&upload), self.ask(id));
        let answer = Answer { id, requests: Arc::downgrade(self) };
        let work = Work { id, engine: Arc::clone(&self.engine), gate: Arc::clone(&self.gate), client };
        let is_announced = self.announced.lock().take_if(|announced| *announced == id).is_some();
        let outbox = self.outbox.clone();
        let task = tokio::spawn(async move {
            let answered =
                if is_announced { work.alone(body, &outbox).await } else { work.beside_others(body).await };
            answer.give(answered.unwrap_or_else(ReplyBody::Error));
        });
        let _counted = self.engine.activity().request();
        place.insert(Open { task: task.abort_handle(), upload, admission, _counted });
        Ok(())
    }

    /// Stops the task of a request. Dropping its work comes first, then the answer: see [`Answer`].
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
    fn ask(&self, id: RequestId) -> Arc<Ask> {
        let (gate, outbox) = (Arc::clone(&self.gate), self.outbox.clone());
        Arc::new(move |sha: Sha256| {
            let asked = gate.ask();
            outbox.ask(&Reply { id, body: ReplyBody::NeedContent(sha) });
            Box::new(asked)
        })
    }

    /// Answers a request, unless that has been done.
    fn finish(&self, id: RequestId, body: ReplyBody) {
        let open = self.open.lock().remove(&id);
        if let Some(open) = open {
            self.outbox.reply(&Reply { id, body }, open.admission);
        }
    }
}

impl<A> Drop for Requests<A> {
    fn drop(&mut self) {
        self.open.get_mut().values().for_each(|open| open.task.abort());
    }
}

/// What a task needs to work on a request.
struct Work<A> {
    id: RequestId,
    engine: Arc<A>,
    gate: Arc<Gate>,
    client: Client,
}

impl<A: Answers> Work<A> {
    async fn beside_others(&self, body: RequestBody) -> Result<ReplyBody, EngineError> {
        let _turn = if body.model().is_some() { self.gate.turns().shared().await } else { None };
        self.engine.answer(body, &self.client).await
    }

    /// Loads the model before anything else, so that the client can tell whether the engine died of it.
    async fn alone(&self, body: RequestBody, outbox: &Outbox) -> Result<ReplyBody, EngineError> {
        let turn = self.gate.turns().alone().await;
        let is_alone = turn.is_some();
        if let Some(model) = body.model() {
            self.begin(is_alone, Stage::Loading, outbox).await;
            self.engine.answer(RequestBody::Describe { model: model.clone() }, &self.client).await?;
        }
        self.begin(is_alone, Stage::Answering, outbox).await;
        self.engine.answer(body, &self.client).await
    }

    async fn begin(&self, is_alone: bool, stage: Stage, outbox: &Outbox) {
        if is_alone {
            let engine = std::process::id();
            outbox.ask(&Reply { id: self.id, body: ReplyBody::Began { stage, engine } });
            // Lets the outbox write it before the work begins.
            yield_now().await;
        }
    }
}

/// The duty to answer a request, held by its task. A task that ends without an answer panicked or was stopped.
struct Answer<A: Answers> {
    id: RequestId,
    /// Weak: requests end with their connection, not the other way round.
    requests: Weak<Requests<A>>,
}

impl<A: Answers> Answer<A> {
    fn give(&self, body: ReplyBody) {
        if let Some(requests) = self.requests.upgrade() {
            requests.finish(self.id, body);
        }
    }
}

impl<A: Answers> Drop for Answer<A> {
    fn drop(&mut self) {
        // Once it has been answered, there is nothing left to finish.
        self.give(ReplyBody::Error(if std::thread::panicking() {
            EngineError::new(ErrorKind::Internal, "engine panicked")
        } else {
            EngineError::new(ErrorKind::Cancelled, "request was cancelled")
        }));
    }
}
