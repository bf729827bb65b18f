//! An answer that has been promised, and the promise to give it.
//!
//! It must not know what was asked.
//! Invariant: a promise is kept at most once, and one that is dropped, as by a panic, is an answer too: the work was
//! lost.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// An answer that will come. Dropping it cancels the work.
#[derive(Debug)]
pub struct Promised<T>(oneshot::Receiver<Result<T, EngineError>>);

impl<T> Promised<T> {
    /// Waits for the answer, outside of an asynchronous runtime.
    ///
    /// # Errors
    /// Those of the model, or [`ErrorKind::Internal`] if the work was lost to a defect.
    pub fn wait(self) -> Result<T, EngineError> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(lost()))
    }
}

impl<T> Future for Promised<T> {
    type Output = Result<T, EngineError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or_else(|_| Err(lost())))
    }
}

fn lost() -> EngineError {
    EngineError::new(ErrorKind::Internal, "engine lost track of the request")
}

/// The promise to give an answer.
pub(crate) struct Promise<T> {
    reply: oneshot::Sender<Result<T, EngineError>>,
    /// Texts that count as queued until the answer.
    queued: Option<Counted>,
}

/// A promise and what is promised.
pub(crate) fn promise<T>(queued: Option<Counted>) -> (Promise<T>, Promised<T>) {
    let (reply, promised) = oneshot::channel();
    (Promise { reply, queued }, Promised(promised))
}

impl<T> Promise<T> {
    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_over(&self) -> bool {
        self.reply.is_closed()
    }

    /// Answers.
    pub(crate) fn keep(self, outcome: Result<T, EngineError>) {
        // First, so that whoever has the answer finds the texts counted no more.
        drop(self.queued);
        // Fails if nobody waits any more.
        let _ = self.reply.send(outcome);
    }
}

/// A promise of several threads: whoever takes it keeps it.
pub(crate) struct SharedPromise<T>(Mutex<Option<Promise<T>>>);

impl<T> SharedPromise<T> {
    pub(crate) fn new(promise: Promise<T>) -> Self {
        Self(Mutex::new(Some(promise)))
    }

    /// Whether it has been taken, or nobody waits for the answer any more.
    pub(crate) fn is_over(&self) -> bool {
        self.0.lock().as_ref().is_none_or(Promise::is_over)
    }

    /// The promise, unless another thread has taken it.
    pub(crate) fn take(&self) -> Option<Promise<T>> {
        self.0.lock().take()
    }
}

/// Adds texts to a total for as long as it exists.
#[derive(Debug)]
pub(crate) struct Counted {
    texts: u64,
    total: Arc<AtomicU64>,
}

impl Counted {
    pub(crate) fn new(texts: usize, total: &Arc<AtomicU64>) -> Self {
        total.fetch_add(texts as u64, Ordering::Relaxed);
        Self { texts: texts as u64, total: Arc::clone(total) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.total.fetch_sub(self.texts, Ordering::Relaxed);
    }
}
