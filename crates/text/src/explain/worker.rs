//! The thread that explains, in turns with the batches of predictions, so that neither waits long for the other.
//!
//! It must not know how. Invariants: requests take turns, pass by pass; one that nobody waits for any more, or that fails or
//! panics, ends after the pass that it is in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};
use std::{io, thread};

use ecommerce_ml_predictor::guarded;
use ecommerce_ml_protocol::EngineError;
use parking_lot::Mutex;

use super::job::{ExplainJob, Explanations};
use super::model::{ExplainModel, MOST_TOKENS};
use crate::scheduler::promise::{Promised, promise};
use crate::scheduler::utilisation::Utilisation;
use crate::scheduler::{Scheduler, Turns};

/// How long a pass should take.
const TARGET: Duration = Duration::from_millis(80);

/// Tokens of a pass at least: below that, its overhead outweighs its work.
const LEAST_TOKENS: usize = 64;

/// Weight of the newest measurement.
const NEWEST: f64 = 0.3;

/// Gives requests to the thread, which ends when this is dropped.
pub struct ExplainWorker {
    jobs: Mutex<Sender<Queued>>,
}

struct Queued {
    job: ExplainJob,
    /// Tokens a second of its passes, once measured.
    rate: Option<f64>,
}

impl ExplainWorker {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system refuses it.
    pub fn start(turns: Turns, scheduler: &Scheduler) -> io::Result<Self> {
        let (sender, jobs) = mpsc::channel();
        let utilisation = Arc::clone(scheduler.shared_utilisation());
        let work = move || work(&jobs, &turns, &utilisation);
        thread::Builder::new().name("explain".to_owned()).spawn(work)?;
        Ok(Self { jobs: Mutex::new(sender) })
    }

    /// Puts texts on their way to explanations.
    pub fn submit(
        &self,
        model: &Arc<ExplainModel>,
        texts: Vec<String>,
        class: Option<u32>,
        scheduler: &Scheduler,
    ) -> Promised<Explanations> {
        let (promise, promised) = promise(Some(scheduler.count_queued(texts.len())));
        let job = ExplainJob::new(Arc::clone(model), texts, class, promise);
        // Fails only if the thread is gone; the request is then answered by dropping it.
        let _ = self.jobs.lock().send(Queued { job, rate: None });
        promised
    }
}

fn work(jobs: &Receiver<Queued>, turns: &Turns, utilisation: &Mutex<Utilisation>) {
    let mut queue = VecDeque::new();
    loop {
        if queue.is_empty() {
            let Ok(job) = jobs.recv() else { return };
            queue.push_back(job);
        }
        queue.extend(jobs.try_iter());
        let Some(mut queued) = queue.pop_front() else { continue };
        if queued.job.is_over() {
            continue;
        }
        match guarded(|| queued.pass(turns, utilisation)) {
            Ok(true) => queue.push_back(queued),
            Ok(false) => queued.job.end(Ok(())),
            Err(error) => queued.job.end(Err(error)),
        }
    }
}

impl Queued {
    /// One pass; whether there may be another.
    fn pass(&mut self, turns: &Turns, utilisation: &Mutex<Utilisation>) -> Result<bool, EngineError> {
        if !self.job.prepare()? {
            return Ok(false);
        }
        let budget = self.rate.map_or(MOST_TOKENS / 2, |rate| (rate * TARGET.as_secs_f64()) as usize);
        let (tokens, started) = turns.take(|| {
            let started = Instant::now();
            (self.job.compute(budget.clamp(LEAST_TOKENS, MOST_TOKENS)), started)
        });
        let ended = Instant::now();
        utilisation.lock().note(started, ended);
        let rate = tokens? as f64 / ended.duration_since(started).as_secs_f64().max(1e-6);
        self.rate = Some(self.rate.map_or(rate, |old| old + NEWEST * (rate - old)));
        Ok(true)
    }
}
