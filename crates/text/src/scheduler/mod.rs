//! Requests of all clients, cut into batches.
//!
//! # Layout
//! - [`promise`]: an answer that has been promised, and the promise to give it.
//! - [`pool`]: threads that tokenize, several requests at a time.
//! - [`chunking`]: a request in chunks, for several threads.
//! - [`prepare`], [`tokenize`]: what they do: texts to windows, texts to tokens.
//! - [`job`]: a tokenized request on its way through the model.
//! - [`queue`]: jobs, those that wait in two queues, by priority.
//! - [`batch`]: which windows go together.
//! - [`budget`]: how many tokens take about a tenth of a second.
//! - [`compute`]: the one thread that has models run.
//! - [`utilisation`]: in which part of the time they do.
//!
//! It must not know connections or where models come from.
//! Invariant: every request that was accepted is answered exactly once, or its [`Promised`] answer was dropped;
//! work whose answer was dropped costs at most the batches that had begun.

pub mod batch;
mod budget;
mod chunking;
mod compute;
mod job;
mod pool;
mod prepare;
pub(crate) mod promise;
mod queue;
mod tokenize;
pub(crate) mod utilisation;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use ecommerce_ml_checkpoint::tokenizer::{TokenDetail, Tokens};
use ecommerce_ml_predictor::ModelHandle;
use ecommerce_ml_text_model::TextModel;
use parking_lot::{Mutex, MutexGuard};

use crate::results::ResultCache;
use chunking::{ChunkedRequest, RequestChunks};
use compute::Message;
pub use job::{Computed, TextRequest};
use pool::TokenizerPool;
use prepare::Prepare;
pub use promise::Promised;
use promise::{Counted, promise};
use tokenize::Tokenize;
use utilisation::Utilisation;

/// A request of no more windows than this is small: it overtakes bulk requests.
pub const SMALL_WINDOWS: usize = 4;

/// How the scheduler works.
#[derive(Debug, Clone, Copy)]
pub struct SchedulerOptions {
    /// Threads that tokenize requests of any size; one more takes small requests only.
    pub tokenizing_threads: usize,
    /// Padded tokens of a batch; `None` lets it follow the speed of each model.
    pub batch_tokens: Option<usize>,
    /// Bytes for the results cache; 0 to keep none.
    pub result_cache: u64,
}

/// Accepts work from any thread.
pub struct Scheduler {
    /// Tokenizes.
    pool: TokenizerPool,
    /// Threads of the pool that work on requests of any size.
    tokenizing_threads: usize,
    results: Arc<ResultCache>,
    /// To the compute thread.
    ready: mpsc::Sender<Message>,
    /// Texts that have not gone through a model yet, for statistics.
    queued_texts: Arc<AtomicU64>,
    /// Those of them that are not tokenized yet.
    untokenized_texts: Arc<AtomicU64>,
    utilisation: Arc<Mutex<Utilisation>>,
    turns: Turns,
}

/// Whose turn it is to compute on the processor: that of batches, or that of whoever else has something to compute there. Both let
/// go of it after a tenth of a second or so, and then the other has it, if it waits.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<()>>);

impl Turns {
    /// Computes when it is its turn.
    pub fn take<T>(&self, compute: impl FnOnce() -> T) -> T {
        let turn = self.0.lock();
        let computed = compute();
        MutexGuard::unlock_fair(turn);
        computed
    }
}

impl Scheduler {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(options: SchedulerOptions) -> io::Result<Self> {
        let utilisation = Arc::new(Mutex::new(Utilisation::new(Instant::now())));
        let turns = Turns::default();
        let ready = compute::spawn(options.batch_tokens, Arc::clone(&utilisation), turns.clone())?;
        let tokenizing_threads = options.tokenizing_threads.max(1);
        Ok(Self {
            pool: TokenizerPool::start(tokenizing_threads)?,
            tokenizing_threads,
            results: Arc::new(ResultCache::new(options.result_cache)),
            ready,
            queued_texts: Arc::default(),
            untokenized_texts: Arc::default(),
            utilisation,
            turns,
        })
    }

    /// Whose turn it is on the processor.
    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Counts texts as queued until it is dropped.
    pub(crate) fn count_queued(&self, texts: usize) -> Counted {
        Counted::new(texts, &self.queued_texts)
    }

    /// In which part of the last seconds models were running.
    pub(crate) fn shared_utilisation(&self) -> &Arc<Mutex<Utilisation>> {
        &self.utilisation
    }

    /// Puts texts on their way through a model.
    pub fn submit(&self, request: TextRequest) -> Promised<Computed> {
        let queued = Counted::new(request.texts.len(), &self.queued_texts);
        let untokenized = Counted::new(request.texts.len(), &self.untokenized_texts);
        let (promise, promised) = promise(Some(queued));
        let prepare = Prepare::new(&request, &self.results, (promise, untokenized), self.ready.clone());
        self.push_chunks(prepare, request.texts);
        promised
    }

    /// Tokenizes texts and no more.
    pub fn tokenize(
        &self,
        model: ModelHandle<dyn TextModel>,
        texts: Vec<String>,
        detail: TokenDetail,
    ) -> Promised<Vec<Tokens>> {
        let (promise, promised) = promise(None);
        self.push_chunks(Tokenize::new(model, texts.len(), detail, promise), texts);
        promised
    }

    fn push_chunks(&self, request: impl ChunkedRequest, texts: Vec<String>) {
        let chunks = RequestChunks::new(request, texts, self.tokenizing_threads);
        let small = chunks.is_small();
        self.pool.push(Box::new(chunks), small);
    }

    /// The part of the last seconds, from 0 to 1, in which models were running.
    pub fn utilisation(&self) -> f32 {
        self.utilisation.lock().part(Instant::now())
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
