//! A loaded model and how it is used.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use ecommerce_ml_predictor::Predictor;
use ecommerce_ml_protocol::{Completed, ModelSource, ModelStats};

use crate::clock::unix_seconds;

/// A loaded model. Requests keep it alive, whatever the cache does meanwhile.
pub struct Entry {
    source: ModelSource,
    model: Arc<dyn Predictor>,
    /// As the latest request said.
    pinned: AtomicBool,
    /// The cache's clock at the latest request; orders eviction.
    last_use: AtomicU64,
    /// Seconds since 1970 at the latest request, for statistics.
    last_used: AtomicU64,
    requests: AtomicU64,
    texts: AtomicU64,
    tokens: AtomicU64,
    cache_hits: AtomicU64,
}

impl Entry {
    pub(super) fn new(source: ModelSource, model: Arc<dyn Predictor>, pinned: bool, clock: u64) -> Self {
        Self {
            source,
            model,
            pinned: AtomicBool::new(pinned),
            last_use: AtomicU64::new(clock),
            last_used: AtomicU64::new(unix_seconds()),
            requests: AtomicU64::new(0),
            texts: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            cache_hits: AtomicU64::new(0),
        }
    }

    /// The model.
    pub fn model(&self) -> &dyn Predictor {
        &*self.model
    }

    /// Counts what answering a request took.
    pub fn count(&self, inputs: u64, completed: &Completed) {
        self.texts.fetch_add(inputs, Relaxed);
        self.tokens.fetch_add(completed.tokens, Relaxed);
        self.cache_hits.fetch_add(completed.cached, Relaxed);
    }

    /// Counts a request.
    pub(super) fn touch(&self, pinned: bool, clock: u64) {
        self.pinned.store(pinned, Relaxed);
        self.last_use.store(clock, Relaxed);
        self.last_used.store(unix_seconds(), Relaxed);
        self.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.model.info().bytes
    }

    pub(super) fn is_pinned(&self) -> bool {
        self.pinned.load(Relaxed)
    }

    pub(super) fn last_use(&self) -> u64 {
        self.last_use.load(Relaxed)
    }

    pub(super) fn stats(&self) -> ModelStats {
        let precision = self.model.precision();
        ModelStats {
            source: self.source.clone(),
            bytes: self.bytes(),
            precision: precision.name.to_owned(),
            precision_note: precision.note.clone(),
            pinned: self.is_pinned(),
            requests: self.requests.load(Relaxed),
            texts: self.texts.load(Relaxed),
            tokens: self.tokens.load(Relaxed),
            cache_hits: self.cache_hits.load(Relaxed),
            last_used: self.last_used.load(Relaxed),
        }
    }
}
