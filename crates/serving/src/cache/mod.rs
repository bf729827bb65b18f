//! Loaded models, least recently used first out.
//!
//! # Layout
//! - [`cached_model`]: a loaded model and how it is used.
//! - [`pending_load`]: a model that isn't loaded yet, and who waits for it.
//! - [`client`]: asking a client for a model.
//! - [`eviction`]: who gives way to a new model.
//!
//! It must not know sockets, requests or how models compute.
//! Invariant: the models that the cache holds never exceed its size; a model is loaded once for a purpose, however many wait.

mod cached_model;
mod client;
pub mod eviction;
mod pending_load;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use ecommerce_ml_checkpoint::files::{ModelFiles, builtin_folder};
use ecommerce_ml_checkpoint::upload::Upload;
use ecommerce_ml_predictor::{Load, Predictor, guarded};
use ecommerce_ml_protocol::{EngineError, ErrorKind, ModelRef, ModelSource, ModelStats, Purpose, Sha256};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

pub use cached_model::CachedModel;
use client::UploadError;
pub use client::{Client, RequestUpload, UploadSlot};
use eviction::{EvictionCandidate, choose_evicted};
use pending_load::{LoadOutcome, PendingLoad, Wait};

/// All models of the engine.
pub struct ModelCache {
    /// Most bytes that loaded models may take together.
    capacity: u64,
    /// Folder of the built-in models' folders.
    builtin: Option<PathBuf>,
    load: Arc<dyn Load>,
    state: Mutex<State>,
    /// One model is loaded at a time: while it is, its files are in memory beside it.
    loading: Semaphore,
}

/// What the cache knows a model by.
type Key = (ModelSource, Purpose);

fn key(wanted: &ModelRef) -> Key {
    (wanted.source.clone(), wanted.purpose)
}

#[derive(Default)]
struct State {
    slots: HashMap<Key, Slot>,
    /// Grows with each request; orders models by use.
    clock: u64,
}

enum Slot {
    Loaded(Arc<CachedModel>),
    /// Weak, so that it ends with the last request that waits.
    Pending(Weak<PendingLoad>),
}

/// Where a model comes from, once that is settled.
enum Origin {
    Folder(PathBuf),
    Uploaded(Upload),
    /// Nobody had to send it.
    FromCache(Arc<dyn Predictor>),
}

/// What is left to do for a model whose files have been read.
enum Loadable {
    Files(ModelFiles),
    Ready(Arc<dyn Predictor>),
}

impl ModelCache {
    /// An empty cache of `capacity` bytes.
    pub fn new(capacity: u64, builtin: Option<PathBuf>, load: Arc<dyn Load>) -> Self {
        Self { capacity, builtin, load, state: Mutex::default(), loading: Semaphore::new(1) }
    }

    /// A model, brought and loaded if need be; for an uploaded one, one of those who wait is asked at a time.
    ///
    /// # Errors
    /// If this request's client can't send the model, or the model can't be loaded.
    pub async fn get(self: &Arc<Self>, wanted: &ModelRef, client: &Client) -> LoadOutcome {
        let entry = match self.find(wanted) {
            Ok(entry) => entry,
            Err(pending) => self.obtain(wanted, &pending, client).await?,
        };
        let mut state = self.state.lock();
        state.clock += 1;
        entry.touch(wanted.pinned, state.clock);
        Ok(entry)
    }

    /// The state of the loaded models.
    pub fn stats(&self) -> Vec<ModelStats> {
        let state = self.state.lock();
        state.slots.values().filter_map(Slot::entry).map(|entry| entry.stats()).collect()
    }

    /// The loaded model, or what to wait for.
    fn find(&self, wanted: &ModelRef) -> Result<Arc<CachedModel>, Arc<PendingLoad>> {
        let (mut state, key) = (self.state.lock(), key(wanted));
        match state.slots.get(&key) {
            Some(Slot::Loaded(entry)) => return Ok(Arc::clone(entry)),
            Some(Slot::Pending(pending)) => {
                if let Some(pending) = pending.upgrade() {
                    return Err(pending);
                }
            }
            None => {}
        }
        let pending = Arc::new(PendingLoad::new());
        state.slots.insert(key, Slot::Pending(Arc::downgrade(&pending)));
        Err(pending)
    }

    async fn obtain(
        self: &Arc<Self>,
        wanted: &ModelRef,
        pending: &Arc<PendingLoad>,
        client: &Client,
    ) -> LoadOutcome {
        loop {
            let turn = match pending.wait().await {
                Wait::Done(outcome) => return outcome,
                Wait::Turn(turn) => turn,
            };
            let origin = match &wanted.source {
                ModelSource::Builtin(name) => Origin::Folder(builtin_folder(self.builtin.as_deref(), name)?),
                ModelSource::Content(sha) => {
                    match self.load_cached_or_upload(wanted.purpose, *sha, pending, client).await {
                        Ok(origin) => origin,
                        Err(UploadError::Failed(error)) => return Err(error),
                        // Whoever waited longest is next; this request goes to the end of the line.
                        Err(UploadError::Silent) => continue,
                    }
                }
            };
            return self.load(wanted, pending, turn, origin).await;
        }
    }

    async fn load_cached_or_upload(
        self: &Arc<Self>,
        purpose: Purpose,
        sha: Sha256,
        pending: &Arc<PendingLoad>,
        client: &Client,
    ) -> Result<Origin, UploadError> {
        let cache = Arc::clone(self);
        let load_cached = move || match purpose {
            Purpose::Predict => guarded(|| Ok(cache.load.load_cached(&ModelSource::Content(sha)))),
            // What is kept is for predictions.
            Purpose::Explain => Ok(None),
        };
        // What can't be loaded from the cache, for whatever reason, can be sent.
        if let Ok(Ok(Some(model))) = spawn_blocking(load_cached).await {
            return Ok(Origin::FromCache(model));
        }
        // Each request that waits holds one reference.
        let contested = || Arc::strong_count(pending) > 1;
        client.upload(sha, self.capacity, contested).await.map(Origin::Uploaded)
    }

    /// Loads a model for all who wait, in a task of its own: it goes on if this request is cancelled.
    async fn load(
        self: &Arc<Self>,
        wanted: &ModelRef,
        pending: &Arc<PendingLoad>,
        turn: OwnedSemaphorePermit,
        origin: Origin,
    ) -> LoadOutcome {
        let (cache, wanted, pending) = (Arc::clone(self), wanted.clone(), Arc::clone(pending));
        let task = tokio::spawn(async move {
            // What is wrong with the files is this request's failure alone: the next in line may be the client of
            // another database, whose copy is sound.
            let candidate = read(origin).await?;
            let outcome = cache.load_now(&wanted, candidate).await;
            if outcome.is_err() {
                cache.state.lock().slots.remove(&key(&wanted));
            }
            pending.settle(outcome.clone());
            drop(turn);
            outcome
        });
        task.await.unwrap_or_else(|_| Err(lost()))
    }

    async fn load_now(self: &Arc<Self>, wanted: &ModelRef, candidate: Loadable) -> LoadOutcome {
        let files = match candidate {
            Loadable::Ready(model) => return self.admit(wanted, model),
            Loadable::Files(files) => files,
        };
        let _alone = self.loading.acquire().await;
        evict(&mut self.state.lock(), weights_size(&files), self.capacity)?;
        let (cache, (source, purpose)) = (Arc::clone(self), key(wanted));
        let load = move || {
            guarded(|| match purpose {
                Purpose::Predict => cache.load.load(Some(&source), &files),
                Purpose::Explain => cache.load.load_to_explain(&files),
            })
        };
        let model = spawn_blocking(load).await.unwrap_or_else(|_| Err(lost()))?;
        self.admit(wanted, model)
    }

    fn admit(&self, wanted: &ModelRef, model: Arc<dyn Predictor>) -> LoadOutcome {
        let mut state = self.state.lock();
        evict(&mut state, model.info().bytes, self.capacity)?;
        state.clock += 1;
        let entry = Arc::new(CachedModel::new(wanted.source.clone(), model, wanted.pinned, state.clock));
        state.slots.insert(key(wanted), Slot::Loaded(Arc::clone(&entry)));
        Ok(entry)
    }
}

impl Slot {
    fn entry(&self) -> Option<&Arc<CachedModel>> {
        match self {
            Slot::Loaded(entry) => Some(entry),
            Slot::Pending(_) => None,
        }
    }

    fn eviction_candidate(&self, key: &Key) -> Option<EvictionCandidate<Key>> {
        self.entry().map(|entry| EvictionCandidate {
            key: key.clone(),
            bytes: entry.bytes(),
            pinned: entry.is_pinned(),
            last_use: entry.last_use(),
        })
    }
}

/// Drops models so that `needed` more bytes fit.
fn evict(state: &mut State, needed: u64, capacity: u64) -> Result<(), EngineError> {
    let candidates = state.slots.iter().filter_map(|(key, slot)| slot.eviction_candidate(key)).collect();
    for key in choose_evicted(candidates, needed, capacity)? {
        state.slots.remove(&key);
    }
    Ok(())
}

async fn read(origin: Origin) -> Result<Loadable, EngineError> {
    let read = move || match origin {
        Origin::Folder(folder) => ModelFiles::from_directory(&folder).map(Loadable::Files),
        Origin::Uploaded(upload) => upload.verify().map(Loadable::Files),
        Origin::FromCache(model) => Ok(Loadable::Ready(model)),
    };
    spawn_blocking(move || guarded(read)).await.unwrap_or_else(|_| Err(lost()))
}

/// Bytes of the weights: about what the loaded model will take.
fn weights_size(files: &ModelFiles) -> u64 {
    let weights = files.names_ending_in(".safetensors");
    weights.filter_map(|name| files.get(name)).map(|bytes| bytes.len() as u64).sum()
}

fn lost() -> EngineError {
    EngineError::new(ErrorKind::Internal, "engine lost track of a model")
}
