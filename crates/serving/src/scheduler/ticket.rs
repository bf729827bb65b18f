//! The right to an answer, and the duty to give it.
//!
//! It must not know what was asked.
//! Invariant: a duty is fulfilled at most once, and one that is dropped, as by a panic, is an answer too: the work was
//! lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The right to an answer. Dropping it cancels the work.
#[derive(Debug)]
pub struct Ticket<T>(oneshot::Receiver<Result<T, EngineError>>);

impl<T> Ticket<T> {
    /// Waits for the answer.
    ///
    /// # Errors
    /// Those of the model, or [`ErrorKind::Internal`] if the work was lost to a defect.
    pub async fn answer(self) -> Result<T, EngineError> {
        self.0.await.unwrap_or_else(|_| Err(lost()))
    }

    /// Waits for the answer, outside of an asynchronous runtime.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub fn wait(self) -> Result<T, EngineError> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(lost()))
    }
}

fn lost() -> EngineError {
    EngineError::new(ErrorKind::Internal, "engine lost track of the request")
}

/// The duty to give an answer.
pub(super) struct Duty<T> {
    reply: oneshot::Sender<Result<T, EngineError>>,
    /// Texts that count as queued until the answer.
    queued: Option<Counted>,
}

/// A duty and the right that belongs to it.
pub(super) fn duty<T>(queued: Option<Counted>) -> (Duty<T>, Ticket<T>) {
    let (reply, ticket) = oneshot::channel();
    (Duty { reply, queued }, Ticket(ticket))
}

impl<T> Duty<T> {
    /// Whether nobody waits for the answer any more.
    pub(super) fn is_over(&self) -> bool {
        self.reply.is_closed()
    }

    /// Answers.
    pub(super) fn fulfil(self, outcome: Result<T, EngineError>) {
        // First, so that whoever has the answer finds the texts counted no more.
        drop(self.queued);
        // Fails if nobody waits any more.
        let _ = self.reply.send(outcome);
    }
}

/// A duty of several threads: whoever takes it fulfils it.
pub(super) struct SharedDuty<T>(Mutex<Option<Duty<T>>>);

impl<T> SharedDuty<T> {
    pub(super) fn new(duty: Duty<T>) -> Self {
        Self(Mutex::new(Some(duty)))
    }

    /// Whether it has been taken, or nobody waits for the answer any more.
    pub(super) fn is_over(&self) -> bool {
        self.0.lock().as_ref().is_none_or(Duty::is_over)
    }

    /// The duty, unless another thread has taken it.
    pub(super) fn take(&self) -> Option<Duty<T>> {
        self.0.lock().take()
    }
}

/// Adds texts to a total for as long as it exists.
#[derive(Debug)]
pub(super) struct Counted {
    texts: u64,
    total: Arc<AtomicU64>,
}

impl Counted {
    pub(super) fn new(texts: usize, total: &Arc<AtomicU64>) -> Self {
        total.fetch_add(texts as u64, Ordering::Relaxed);
        Self { texts: texts as u64, total: Arc::clone(total) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.total.fetch_sub(self.texts, Ordering::Relaxed);
    }
}
