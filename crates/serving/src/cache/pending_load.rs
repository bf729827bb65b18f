//! A model that isn't loaded yet, and the requests that wait for it.
//!
//! Invariant: one request at a time has its turn to obtain the model; when it gives up or is dropped, the one that
//! has waited longest is next; once there is an outcome, all have it.

use std::sync::Arc;

use ecommerce_ml_protocol::EngineError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::cached_model::CachedModel;

/// What became of a model.
pub(super) type LoadOutcome = Result<Arc<CachedModel>, EngineError>;

/// Shared by all requests that wait for a model; the cache only knows it weakly.
pub(super) struct PendingLoad {
    /// One permit, handed on in the order of waiting.
    turn: Arc<Semaphore>,
    outcome: watch::Sender<Option<LoadOutcome>>,
}

/// What a waiting request gets.
pub(super) enum Wait {
    /// It's over.
    Done(LoadOutcome),
    /// It's this request's turn to obtain the model, for as long as it holds the permit.
    Turn(OwnedSemaphorePermit),
}

impl PendingLoad {
    pub(super) fn new() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), outcome: watch::Sender::new(None) }
    }

    /// Waits for an outcome or a turn.
    pub(super) async fn wait(&self) -> Wait {
        tokio::select! {
            biased;
            outcome = self.outcome() => Wait::Done(outcome),
            Ok(turn) = Arc::clone(&self.turn).acquire_owned() => Wait::Turn(turn),
        }
    }

    /// Waits for the outcome.
    pub(super) async fn outcome(&self) -> LoadOutcome {
        let mut outcome = self.outcome.subscribe();
        // The sender lives in `self`, so waiting can't fail.
        let settled = outcome.wait_for(Option::is_some).await.ok().and_then(|settled| settled.clone());
        settled.unwrap_or_else(|| Err(super::lost()))
    }

    /// Gives all the outcome.
    pub(super) fn settle(&self, outcome: LoadOutcome) {
        self.outcome.send_replace(Some(outcome));
    }
}
