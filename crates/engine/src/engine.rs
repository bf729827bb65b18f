//! What each request means: the cache, the kinds of models and the hub put to work.
//!
//! It must not know sockets, frames, connections, or a kind of model.
//! Invariant: answering can be stopped at any time by dropping the future; what was queued for it is then dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ecommerce_ml_protocol::{
    BUILD, Completed, DeviceMemory, EngineError, EngineStats, ErrorKind, Input, ModelRef, Output, ReplyBody,
    RequestBody,
};
use ecommerce_ml_serving::activity::Activity;
use ecommerce_ml_serving::cache::{Client, ModelCache};
use ecommerce_ml_serving::clock::unix_seconds;
use ecommerce_ml_serving::server::RequestHandler;
use ecommerce_ml_text_model::cuda::Accelerator;

use crate::hub;
use crate::registry::Registry;

/// What statistics say of the process.
#[derive(Debug, Clone)]
pub struct ProcessInfo {
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
    registry: Arc<Registry>,
    process: ProcessInfo,
    /// Seconds since 1970.
    started: u64,
    activity: Arc<Activity>,
}

impl Engine {
    /// An engine with nothing to do yet. The cache loads models by the registry.
    pub fn new(cache: ModelCache, registry: Arc<Registry>, process: ProcessInfo) -> Self {
        let cache = Arc::new(cache);
        Self { cache, registry, process, started: unix_seconds(), activity: Arc::default() }
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
            RequestBody::Predict { model, input, output } => {
                self.predict(&model, input, output, client).await
            }
            RequestBody::Describe { model } => {
                let entry = self.cache.get(&model, client).await?;
                Ok(ReplyBody::Described(entry.model().info().clone()))
            }
            RequestBody::CheckTraining(call) => {
                self.registry.trainer(&call)?.check(&call).map(ReplyBody::TrainingChecked)
            }
            RequestBody::Fetch { repository, revision, endpoint, token, directory } => {
                fetch(hub::Fetch { repository, revision, endpoint, token, directory: directory.into() }).await
            }
            RequestBody::Stats => Ok(ReplyBody::Stats(self.stats())),
            // The server deals with these; here they are a request for nothing.
            RequestBody::Cancel | RequestBody::Upload(_) | RequestBody::Alone => {
                Err(invalid("not a request"))
            }
        }
    }

    async fn predict(
        &self,
        model: &ModelRef,
        input: Input,
        output: Output,
        client: &Client,
    ) -> Result<ReplyBody, EngineError> {
        check(&input)?;
        let started = Instant::now();
        let entry = self.cache.get(model, client).await?;
        let inputs = input.len() as u64;
        let answered = entry.model().submit(input, output).await?;
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let completed = Completed { tokens: answered.tokens, cached: answered.cached, micros };
        if runs_the_model(output) {
            entry.count(inputs, &completed);
        }
        Ok(ReplyBody::Answered { answers: answered.answers, unread: answered.unread, completed })
    }

    fn stats(&self) -> EngineStats {
        let workload = self.registry.workload();
        let memory = self.process.accelerator.as_ref().and_then(|accelerator| accelerator.memory());
        EngineStats {
            pid: std::process::id(),
            build: BUILD.to_owned(),
            device: self.process.device.clone(),
            device_memory: memory.map(|memory| DeviceMemory { used: memory.used, total: memory.total }),
            utilisation: workload.utilisation,
            kernels: self.process.kernels.clone(),
            threads: self.process.threads,
            started: self.started,
            restarts: self.process.restarts,
            connections: self.activity.connections(),
            // This one doesn't count.
            queued_requests: self.activity.requests().saturating_sub(1),
            queued_texts: workload.queued,
            models: self.cache.stats(),
        }
    }
}

impl RequestHandler for Engine {
    fn activity(&self) -> &Arc<Activity> {
        self.activity()
    }

    async fn answer(&self, body: RequestBody, client: &Client) -> Result<ReplyBody, EngineError> {
        self.answer(body, client).await
    }
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

/// Refuses what isn't what the protocol says.
fn check(input: &Input) -> Result<(), EngineError> {
    match input {
        Input::Rows(rows) if !rows.check() => {
            Err(invalid("columns have other lengths than there are rows, or codes beyond their dictionary"))
        }
        Input::Rows(_) | Input::Texts(_) => Ok(()),
    }
}

/// Whether inputs go through the model for it; tokenizing them is no use of the model.
fn runs_the_model(output: Output) -> bool {
    match output {
        Output::Prediction | Output::Embedding | Output::Contributions { .. } | Output::Table(_) => true,
        Output::TokenIds | Output::TokenPieces | Output::TokenCounts => false,
    }
}

fn invalid(message: &str) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}
