//! Loaded models, least recently used first out.
//!
//! # Layout
//! - [`entry`]: a loaded model and how it is used.
//! - [`pending`]: a model that isn't loaded yet, and who waits for it.
//! - [`client`]: asking a client for a model.
//! - [`room`]: who gives way to a new model.
//!
//! It must not know sockets, requests or how models compute.
//! Invariant: the models that the cache holds never exceed its size; a model is loaded once, however many wait.

mod client;
mod entry;
mod pending;
pub mod room;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use ecommerce_ml_checkpoint::files::{ModelFiles, builtin_folder};
use ecommerce_ml_checkpoint::upload::Upload;
use ecommerce_ml_predictor::{Load, Predictor, guarded};
use ecommerce_ml_protocol::{EngineError, ErrorKind, ModelRef, ModelSource, ModelStats, Sha256};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use client::Setback;
pub use client::{Ask, Client, UploadSlot};
pub use entry::Entry;
use pending::{Outcome, Pending, Wait};
use room::{Resident, make_room};

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

#[derive(Default)]
struct State {
    slots: HashMap<ModelSource, Slot>,
    /// Grows with each request; orders models by use.
    clock: u64,
}

enum Slot {
    Loaded(Arc<Entry>),
    /// Weak, so that it ends with the last request that waits.
    Pending(Weak<Pending>),
}

/// Where a model comes from, once that is settled.
enum Origin {
    Folder(PathBuf),
    Sent(Upload),
    /// Nobody had to send it.
    Recalled(Arc<dyn Predictor>),
}

/// What is left to do for a model whose files have been read.
enum Candidate {
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
    pub async fn get(self: &Arc<Self>, wanted: &ModelRef, client: &Client) -> Outcome {
        let entry = match self.find(&wanted.source) {
            Ok(entry) => entry,
            Err(pending) => self.bring(wanted, &pending, client).await?,
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
    fn find(&self, source: &ModelSource) -> Result<Arc<Entry>, Arc<Pending>> {
        let mut state = self.state.lock();
        match state.slots.get(source) {
            Some(Slot::Loaded(entry)) => return Ok(Arc::clone(entry)),
            Some(Slot::Pending(pending)) => {
                if let Some(pending) = pending.upgrade() {
                    return Err(pending);
                }
            }
            None => {}
        }
        let pending = Arc::new(Pending::new());
        state.slots.insert(source.clone(), Slot::Pending(Arc::downgrade(&pending)));
        Err(pending)
    }

    async fn bring(self: &Arc<Self>, wanted: &ModelRef, pending: &Arc<Pending>, client: &Client) -> Outcome {
        loop {
            let turn = match pending.wait().await {
                Wait::Over(outcome) => return outcome,
                Wait::Turn(turn) => turn,
            };
            let origin = match &wanted.source {
                ModelSource::Builtin(name) => Origin::Folder(builtin_folder(self.builtin.as_deref(), name)?),
                ModelSource::Content(sha) => match self.recall_or_ask(*sha, pending, client).await {
                    Ok(origin) => origin,
                    Err(Setback::Failed(error)) => return Err(error),
                    // Whoever waited longest is next; this request goes to the end of the line.
                    Err(Setback::Silent) => continue,
                },
            };
            return self.load(wanted, pending, turn, origin).await;
        }
    }

    async fn recall_or_ask(
        self: &Arc<Self>,
        sha: Sha256,
        pending: &Arc<Pending>,
        client: &Client,
    ) -> Result<Origin, Setback> {
        let cache = Arc::clone(self);
        let recall = move || guarded(|| Ok(cache.load.recall(&ModelSource::Content(sha))));
        // What can't be recalled, for whatever reason, can be sent.
        if let Ok(Ok(Some(model))) = spawn_blocking(recall).await {
            return Ok(Origin::Recalled(model));
        }
        // Each request that waits holds one reference.
        let contested = || Arc::strong_count(pending) > 1;
        client.upload(sha, self.capacity, contested).await.map(Origin::Sent)
    }

    /// Loads a model for all who wait, in a task of its own: it goes on if this request is cancelled.
    async fn load(
        self: &Arc<Self>,
        wanted: &ModelRef,
        pending: &Arc<Pending>,
        turn: OwnedSemaphorePermit,
        origin: Origin,
    ) -> Outcome {
        let (cache, wanted, pending) = (Arc::clone(self), wanted.clone(), Arc::clone(pending));
        let task = tokio::spawn(async move {
            // What is wrong with the files is this request's failure alone: the next in line may be the client of
            // another database, whose copy is sound.
            let candidate = read(origin).await?;
            let outcome = cache.load_now(&wanted, candidate).await;
            if outcome.is_err() {
                cache.state.lock().slots.remove(&wanted.source);
            }
            pending.settle(outcome.clone());
            drop(turn);
            outcome
        });
        task.await.unwrap_or_else(|_| Err(lost()))
    }

    async fn load_now(self: &Arc<Self>, wanted: &ModelRef, candidate: Candidate) -> Outcome {
        let files = match candidate {
            Candidate::Ready(model) => return self.admit(wanted, model),
            Candidate::Files(files) => files,
        };
        let _alone = self.loading.acquire().await;
        evict(&mut self.state.lock(), weights_size(&files), self.capacity)?;
        let (cache, source) = (Arc::clone(self), wanted.source.clone());
        let load = move || guarded(|| cache.load.load(&source, &files));
        let model = spawn_blocking(load).await.unwrap_or_else(|_| Err(lost()))?;
        self.admit(wanted, model)
    }

    fn admit(&self, wanted: &ModelRef, model: Arc<dyn Predictor>) -> Outcome {
        let mut state = self.state.lock();
        evict(&mut state, model.info().bytes, self.capacity)?;
        state.clock += 1;
        let entry = Arc::new(Entry::new(wanted.source.clone(), model, wanted.pinned, state.clock));
        state.slots.insert(wanted.source.clone(), Slot::Loaded(Arc::clone(&entry)));
        Ok(entry)
    }
}

impl Slot {
    fn entry(&self) -> Option<&Arc<Entry>> {
        match self {
            Slot::Loaded(entry) => Some(entry),
            Slot::Pending(_) => None,
        }
    }

    fn resident(&self, source: &ModelSource) -> Option<Resident<ModelSource>> {
        self.entry().map(|entry| Resident {
            key: source.clone(),
            bytes: entry.bytes(),
            pinned: entry.is_pinned(),
            last_use: entry.last_use(),
        })
    }
}

/// Drops models so that `needed` more bytes fit.
fn evict(state: &mut State, needed: u64, capacity: u64) -> Result<(), EngineError> {
    let residents = state.slots.iter().filter_map(|(source, slot)| slot.resident(source)).collect();
    for source in make_room(residents, needed, capacity)? {
        state.slots.remove(&source);
    }
    Ok(())
}

async fn read(origin: Origin) -> Result<Candidate, EngineError> {
    let read = move || match origin {
        Origin::Folder(folder) => ModelFiles::from_directory(&folder).map(Candidate::Files),
        Origin::Sent(upload) => upload.verify().map(Candidate::Files),
        Origin::Recalled(model) => Ok(Candidate::Ready(model)),
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
