//! An answer that may take a while.
//!
//! It must not know what is computed. Invariant: dropping it gives the work up.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use ecommerce_ml_protocol::{Answers, EngineError, ErrorKind};
use tokio::sync::oneshot;

use crate::guarded::guarded;

/// Answers to the inputs of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// A row for each input.
    pub answers: Answers,
    /// Places of the inputs that the model was never taught to read, ascending: their answers are guesses.
    pub unread: Vec<u32>,
    /// Tokens that went through the model, special tokens included; 0 of a model that reads none.
    pub tokens: u64,
    /// Inputs whose answer was remembered from an earlier request.
    pub cached: u64,
}

impl Answered {
    /// By a model that reads no tokens, whatever its input; nothing was remembered.
    pub fn computed(answers: Answers) -> Self {
        Self { answers, unread: Vec::new(), tokens: 0, cached: 0 }
    }
}

type Outcome = Result<Answered, EngineError>;

/// The right to an answer: a future of no particular runtime. Dropping it gives the work up.
pub struct Pending(Pin<Box<dyn Future<Output = Outcome> + Send>>);

impl Pending {
    /// An answer that comes when `answer` does. The work should have begun: nobody may poll for a while.
    pub fn new(answer: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self(Box::pin(answer))
    }

    /// An answer that is there.
    pub fn ready(outcome: Outcome) -> Self {
        Self::new(std::future::ready(outcome))
    }

    /// An answer that a thread of its own computes: of models whose answers take long enough for that.
    pub fn on_thread(
        name: &str,
        work: impl FnOnce() -> Result<Answers, EngineError> + Send + 'static,
    ) -> Self {
        let no_thread = || EngineError::new(ErrorKind::Internal, "could not start a thread for an answer");
        let (sender, receiver) = oneshot::channel();
        let work = move || {
            // Nobody may wait any more.
            let _ = sender.send(guarded(work).map(Answered::computed));
        };
        match thread::Builder::new().name(name.to_owned()).spawn(work) {
            Ok(_) => Self::new(async move { receiver.await.unwrap_or_else(|_| Err(no_thread())) }),
            Err(_) => Self::ready(Err(no_thread())),
        }
    }

    /// Waits for the answer, outside of an asynchronous runtime.
    ///
    /// # Errors
    /// Those of the model.
    pub fn wait(self) -> Outcome {
        pollster::block_on(self.0)
    }
}

impl Future for Pending {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pending")
    }
}
