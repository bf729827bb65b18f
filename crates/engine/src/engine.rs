//! What each request means: the cache, the scheduler and the hub put to work.
//!
//! It must not know sockets, frames or connections.
//! Invariant: answering can be stopped at any time by dropping the future; what was queued for it is then dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ecommerce_ml_predictor::Output;
use ecommerce_ml_protocol::{
    BUILD, Completed, DeviceMemory, EngineError, EngineStats, ErrorKind, MAX_FRAME_BYTES, MAX_TEXT_BYTES,
    ModelRef, ReplyBody, RequestBody, TokenDetail,
};
use ecommerce_ml_serving::activity::Activity;
use ecommerce_ml_serving::cache::{Client, Entry, ModelCache};
use ecommerce_ml_serving::clock::unix_seconds;
use ecommerce_ml_serving::scheduler::{Finished, Scheduler, Work};
use ecommerce_ml_serving::server::Answers;
use ecommerce_ml_text_model::cuda::Accelerator;
use ecommerce_ml_text_train::train::options::TrainingOptions;

use crate::hub;

/// What statistics say of the process.
#[derive(Debug, Clone)]
pub struct About {
    /// Name of the device that models run on.
    pub device: String,
    /// That device, if it has memory of its own.
    pub accelerator: Option<Arc<dyn Accelerator>>,
    /// Name of the kernels that compute on the CPU; may be empty.
    pub kernels: String,
    /// Threads used for computing.
    pub threads: u32,
    /// How many engines died before this one under the same supervisor.
    pub restarts: u32,
}

/// Answers requests of all clients.
pub struct Engine {
    cache: Arc<ModelCache>,
    scheduler: Scheduler,
    about: About,
    /// Seconds since 1970.
    started: u64,
    activity: Arc<Activity>,
}

impl Engine {
    /// An engine with nothing to do yet.
    pub fn new(cache: ModelCache, scheduler: Scheduler, about: About) -> Self {
        let cache = Arc::new(cache);
        Self { cache, scheduler, about, started: unix_seconds(), activity: Arc::default() }
    }

    /// What is going on: connections and requests.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Answers a request; `client` is asked if a model has to be sent.
    ///
    /// # Errors
    /// Whatever kept the request from being answered.
    pub async fn answer(&self, body: RequestBody, client: &Client) -> Result<ReplyBody, EngineError> {
        match body {
            RequestBody::Predict { model, texts } => self.predict(&model, texts, client).await,
            RequestBody::Embed { model, texts } => self.embed(&model, texts, client).await,
            RequestBody::Tokenize { model, texts, detail } => {
                self.tokenize(&model, texts, detail, client).await
            }
            RequestBody::Describe { model } => {
                let entry = self.cache.get(&model, client).await?;
                Ok(ReplyBody::Described(entry.model().info().clone()))
            }
            RequestBody::CheckTraining { objective, options } => {
                let options = serde_json::from_str(&options).map_err(|error| invalid(error.to_string()))?;
                TrainingOptions::parse(&options, objective).map(|_| ReplyBody::TrainingChecked)
            }
            RequestBody::Fetch { repository, revision, endpoint, token, directory } => {
                fetch(hub::Fetch { repository, revision, endpoint, token, directory: directory.into() }).await
            }
            RequestBody::Stats => Ok(ReplyBody::Stats(self.stats())),
            // The server deals with these; here they are a request for nothing.
            RequestBody::Cancel | RequestBody::Upload(_) | RequestBody::Alone => {
                Err(invalid("not a request".to_owned()))
            }
        }
    }

    async fn predict(
        &self,
        model: &ModelRef,
        texts: Vec<String>,
        client: &Client,
    ) -> Result<ReplyBody, EngineError> {
        check_lengths(&texts)?;
        let started = Instant::now();
        let entry = self.cache.get(model, client).await?;
        let finished = self.compute(&entry, texts, Output::Head).await?;
        let rows = finished.rows(|rows| entry.model().predict(rows));
        let completed = completed(&entry, &finished, rows.len(), started);
        Ok(ReplyBody::Predictions { labels: entry.model().info().labels.clone(), rows, completed })
    }

    async fn embed(
        &self,
        model: &ModelRef,
        texts: Vec<String>,
        client: &Client,
    ) -> Result<ReplyBody, EngineError> {
        check_lengths(&texts)?;
        let started = Instant::now();
        let entry = self.cache.get(model, client).await?;
        check_embeddings_size(&entry, texts.len())?;
        let finished = self.compute(&entry, texts, Output::Embedding).await?;
        let rows = finished.rows(|rows| entry.model().embed(rows));
        let completed = completed(&entry, &finished, rows.len(), started);
        Ok(ReplyBody::Embeddings { rows, completed })
    }

    async fn tokenize(
        &self,
        model: &ModelRef,
        texts: Vec<String>,
        detail: TokenDetail,
        client: &Client,
    ) -> Result<ReplyBody, EngineError> {
        check_lengths(&texts)?;
        let entry = self.cache.get(model, client).await?;
        let rows = self.scheduler.tokenize(entry.model().clone(), texts, detail).answer().await?;
        Ok(ReplyBody::Tokenized { rows })
    }

    async fn compute(
        &self,
        entry: &Entry,
        texts: Vec<String>,
        output: Output,
    ) -> Result<Finished, EngineError> {
        self.scheduler.submit(Work { model: entry.model().clone(), texts, output }).answer().await
    }

    fn stats(&self) -> EngineStats {
        let memory = self.about.accelerator.as_ref().and_then(|machine| machine.memory());
        EngineStats {
            pid: std::process::id(),
            build: BUILD.to_owned(),
            device: self.about.device.clone(),
            device_memory: memory.map(|memory| DeviceMemory { used: memory.used, total: memory.total }),
            utilisation: self.scheduler.utilisation(),
            kernels: self.about.kernels.clone(),
            threads: self.about.threads,
            started: self.started,
            restarts: self.about.restarts,
            connections: self.activity.connections(),
            // This one doesn't count.
            queued_requests: self.activity.requests().saturating_sub(1),
            queued_texts: self.scheduler.queued_texts(),
            models: self.cache.stats(),
        }
    }
}

impl Answers for Engine {
    fn activity(&self) -> &Arc<Activity> {
        self.activity()
    }

    async fn answer(&self, body: RequestBody, client: &Client) -> Result<ReplyBody, EngineError> {
        self.answer(body, client).await
    }
}

fn completed(entry: &Entry, finished: &Finished, texts: usize, started: Instant) -> Completed {
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let completed = Completed { tokens: finished.tokens(), cached: finished.cached(), micros };
    entry.count(texts as u64, &completed);
    completed
}

/// Downloads on a thread of its own, which stops soon after this future is dropped.
async fn fetch(fetch: hub::Fetch) -> Result<ReplyBody, EngineError> {
    let stop = StopOnDrop::default();
    let stopped = Arc::clone(&stop.0);
    let run = move || fetch.run(&|| stopped.load(Ordering::Relaxed));
    let lost = |_| Err(EngineError::new(ErrorKind::Internal, "engine lost track of a download"));
    let fetched = tokio::task::spawn_blocking(run).await.unwrap_or_else(lost)?;
    Ok(ReplyBody::Fetched { commit: fetched.commit, files: fetched.files })
}

#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn check_lengths(texts: &[String]) -> Result<(), EngineError> {
    let Some(text) = texts.iter().find(|text| text.len() > MAX_TEXT_BYTES) else { return Ok(()) };
    let message = format!("text of {} bytes exceeds the limit of {MAX_TEXT_BYTES} bytes", text.len());
    Err(EngineError::new(ErrorKind::TextTooLong, message))
}

/// Refuses before the work what couldn't be sent after it.
fn check_embeddings_size(entry: &Entry, texts: usize) -> Result<(), EngineError> {
    let bytes = texts.saturating_mul(entry.model().info().hidden_size as usize * size_of::<f32>());
    if bytes < MAX_FRAME_BYTES {
        return Ok(());
    }
    Err(invalid(format!("embeddings of {texts} texts take {bytes} bytes, more than a reply may have"))
        .with_hint("Send fewer texts in one request."))
}

fn invalid(message: String) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}
