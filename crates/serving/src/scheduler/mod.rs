//! Requests of all clients, cut into batches.
//!
//! # Layout
//! - [`ticket`]: the right to an answer, and the duty to give it.
//! - [`pool`]: threads that tokenize, several requests at a time.
//! - [`division`]: a request in pieces, for several threads.
//! - [`prepare`], [`tokenize`]: what they do: texts to windows, texts to tokens.
//! - [`job`]: a tokenized request on its way through the model.
//! - [`queue`]: jobs, those that wait in two lanes.
//! - [`batch`]: which windows go together.
//! - [`busy`]: in which part of the time models run.
//! - [`pace`]: how many tokens take about a tenth of a second.
//! - [`compute`]: the one thread that has models run.
//!
//! It must not know connections or where models come from.
//! Invariant: every piece of work that was accepted is answered exactly once, or its [`Ticket`] was dropped;
//! work whose ticket was dropped costs at most the batches that had begun.

pub mod batch;
mod busy;
mod compute;
mod division;
mod job;
mod pace;
mod pool;
mod prepare;
mod queue;
mod ticket;
mod tokenize;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use ecommerce_ml_predictor::Loaded;
use ecommerce_ml_protocol::{TokenDetail, Tokens};
use parking_lot::Mutex;

use crate::results::ResultCache;
use busy::Busy;
use compute::Message;
use division::{Divisible, Division};
pub use job::{Finished, Work};
use pool::Pool;
use prepare::Prepare;
pub use ticket::Ticket;
use ticket::{Counted, duty};
use tokenize::Tokenize;

/// A request of no more windows than this is small: it overtakes bulk requests.
pub const SMALL_WINDOWS: usize = 4;

/// How the scheduler works.
#[derive(Debug, Clone, Copy)]
pub struct SchedulerOptions {
    /// Threads that tokenize requests of any size; one more takes small requests only.
    pub tokenizing_threads: usize,
    /// Padded tokens of a batch; `None` lets it follow the speed of each model.
    pub batch_tokens: Option<usize>,
    /// Bytes for answers given lately; 0 to keep none.
    pub result_cache: u64,
}

/// Accepts work from any thread.
pub struct Scheduler {
    /// Tokenizes.
    pool: Pool,
    /// Threads of the pool that work on requests of any size.
    tokenizing_threads: usize,
    results: Arc<ResultCache>,
    /// To the compute thread.
    ready: mpsc::Sender<Message>,
    /// Texts that have not gone through a model yet, for statistics.
    queued_texts: Arc<AtomicU64>,
    /// Those of them that are not tokenized yet.
    untokenized_texts: Arc<AtomicU64>,
    busy: Arc<Mutex<Busy>>,
}

impl Scheduler {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(options: SchedulerOptions) -> io::Result<Self> {
        let busy = Arc::new(Mutex::new(Busy::new(Instant::now())));
        let ready = compute::spawn(options.batch_tokens, Arc::clone(&busy))?;
        let tokenizing_threads = options.tokenizing_threads.max(1);
        Ok(Self {
            pool: Pool::start(tokenizing_threads)?,
            tokenizing_threads,
            results: Arc::new(ResultCache::new(options.result_cache)),
            ready,
            queued_texts: Arc::default(),
            untokenized_texts: Arc::default(),
            busy,
        })
    }

    /// Puts texts on their way through a model.
    pub fn submit(&self, work: Work) -> Ticket<Finished> {
        let queued = Counted::new(work.texts.len(), &self.queued_texts);
        let untokenized = Counted::new(work.texts.len(), &self.untokenized_texts);
        let (duty, ticket) = duty(Some(queued));
        let prepare = Prepare::new(&work, &self.results, (duty, untokenized), self.ready.clone());
        self.divide(prepare, work.texts);
        ticket
    }

    /// Tokenizes texts and no more.
    pub fn tokenize(&self, model: Loaded, texts: Vec<String>, detail: TokenDetail) -> Ticket<Vec<Tokens>> {
        let (duty, ticket) = duty(None);
        self.divide(Tokenize::new(model, texts.len(), detail, duty), texts);
        ticket
    }

    fn divide(&self, request: impl Divisible, texts: Vec<String>) {
        let division = Division::new(request, texts, self.tokenizing_threads);
        let small = division.is_small();
        self.pool.push(Box::new(division), small);
    }

    /// The part of the last seconds, from 0 to 1, in which models were running.
    pub fn utilisation(&self) -> f32 {
        self.busy.lock().part(Instant::now())
    }

    /// Texts that have not gone through a model yet.
    pub fn queued_texts(&self) -> u64 {
        self.queued_texts.load(Ordering::Relaxed)
    }

    /// Texts that shall go through a model and are not tokenized yet.
    pub fn untokenized_texts(&self) -> u64 {
        self.untokenized_texts.load(Ordering::Relaxed)
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // Fails only if the thread is gone.
        let _ = self.ready.send(Message::End);
    }
}
