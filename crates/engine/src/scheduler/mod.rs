//! Requests of all clients, cut into batches.
//!
//! # Layout
//! - [`pool`]: threads that tokenize, several requests at a time.
//! - [`prepare`]: what they do: texts to tokens, texts to windows.
//! - [`job`]: a tokenized request on its way through the model.
//! - [`queue`]: jobs that wait, in two lanes.
//! - [`batch`]: which windows go together.
//! - [`pace`]: how many tokens take about a tenth of a second.
//! - [`compute`]: the one thread that runs models.
//!
//! It must not know connections or where models come from.
//! Invariant: every piece of work that was accepted is answered exactly once, or its [`Ticket`] was dropped;
//! work whose ticket was dropped costs at most the batch that was running.

pub mod batch;
mod compute;
mod job;
mod pace;
mod pool;
mod prepare;
mod queue;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use ecommerce_ml_protocol::{EngineError, ErrorKind, TokenDetail, Tokens};
use tokio::sync::oneshot;

pub use job::{Finished, Work};

use crate::served::Served;
use job::{Counted, Job};
use pool::Pool;
use prepare::{Prepare, Tokenize};

/// A request of no more windows than this is small: it overtakes bulk requests.
pub const SMALL_WINDOWS: usize = 4;

/// How the scheduler works.
#[derive(Debug, Clone, Copy)]
pub struct SchedulerOptions {
    /// Threads that tokenize requests of any size; one more takes small requests only.
    pub tokenizing_threads: usize,
    /// Padded tokens of a batch; `None` lets it follow the speed of each model.
    pub batch_tokens: Option<usize>,
}

/// Accepts work from any thread.
pub struct Scheduler {
    /// Tokenizes.
    pool: Pool,
    /// To the compute thread, which ends when all senders are gone.
    ready: mpsc::Sender<Job>,
    /// Texts that have not gone through a model yet, for statistics.
    queued_texts: Arc<AtomicU64>,
    /// Those of them that are not tokenized yet.
    untokenized_texts: Arc<AtomicU64>,
}

impl Scheduler {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(options: SchedulerOptions) -> io::Result<Self> {
        let (ready, jobs) = mpsc::channel();
        compute::spawn(jobs, options.batch_tokens)?;
        let pool = Pool::start(options.tokenizing_threads.max(1))?;
        Ok(Self { pool, ready, queued_texts: Arc::default(), untokenized_texts: Arc::default() })
    }

    /// Puts texts on their way through a model.
    pub fn submit(&self, work: Work) -> Ticket<Finished> {
        let (reply, ticket) = ticket();
        let queued = Counted::new(work.texts.len(), &self.queued_texts);
        let untokenized = Counted::new(work.texts.len(), &self.untokenized_texts);
        let small = prepare::is_small(&work.texts);
        let prepare = Prepare::new(work, (queued, untokenized), reply, self.ready.clone());
        self.pool.push(Box::new(prepare), small);
        ticket
    }

    /// Tokenizes texts and no more.
    pub fn tokenize(
        &self,
        model: Arc<dyn Served>,
        texts: Vec<String>,
        detail: TokenDetail,
    ) -> Ticket<Vec<Tokens>> {
        let (reply, ticket) = ticket();
        let small = prepare::is_small(&texts);
        self.pool.push(Box::new(Tokenize::new(model, texts, detail, reply)), small);
        ticket
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

/// Where an answer goes. It is closed as soon as the ticket is dropped.
type ReplyTo<T> = oneshot::Sender<Result<T, EngineError>>;

/// The right to an answer. Dropping it cancels the work.
#[derive(Debug)]
pub struct Ticket<T>(oneshot::Receiver<Result<T, EngineError>>);

impl<T> Ticket<T> {
    /// Waits for the answer.
    ///
    /// # Errors
    /// Those of the model, or [`ErrorKind::Internal`] if the work was lost to a defect.
    pub async fn answer(self) -> Result<T, EngineError> {
        self.0.await.unwrap_or_else(|_| Err(lost()))
    }

    /// Waits for the answer, outside of an asynchronous runtime.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub fn wait(self) -> Result<T, EngineError> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(lost()))
    }
}

fn ticket<T>() -> (ReplyTo<T>, Ticket<T>) {
    let (sender, receiver) = oneshot::channel();
    (sender, Ticket(receiver))
}

fn lost() -> EngineError {
    EngineError::new(ErrorKind::Internal, "engine lost track of the request")
}
