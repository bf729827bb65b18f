//! The one thread that has models run. More threads would only take each other's cores: a forward pass uses them all.
//!
//! A device with a memory of its own works on a batch while this thread chooses the next, so up to [`MAX_IN_FLIGHT`] batches are
//! given to it; a second thread waits for what they come to.
//! Invariant: a batch that fails or panics costs only the guilty request its answer.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SendError, Sender};
use std::time::Instant;
use std::{io, thread};

use ecommerce_ml_predictor::guarded;
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_text_model::{Deferred, ForwardOutput, Window};
use parking_lot::Mutex;

use super::Turns;
use super::budget::BatchBudget;
use super::job::{InferenceJob, row_count_mismatch};
use super::queue::{BatchItem, Priority, Queue, by_job};
use super::utilisation::Utilisation;

/// Models with a budget of their own before all measurements are thrown away, so that models long gone don't pile up.
const MOST_BUDGETS: usize = 64;

/// Batches that a device has at a time: one that it works on, and one to go on with. A request that comes waits for both.
const MAX_IN_FLIGHT: usize = 2;

/// A row of numbers for each window of a batch.
type ModelRows = Vec<Vec<f32>>;

/// What the compute thread is told.
pub(super) enum Message {
    /// There is something to do.
    Job(InferenceJob),
    /// A batch is done.
    Done(RunningBatch, Result<ModelRows, EngineError>),
    /// No more jobs are to come.
    End,
}

/// A batch that has begun.
pub(super) struct RunningBatch {
    items: Vec<BatchItem>,
    /// Of the model and output.
    key: BudgetKey,
    started: Instant,
}

/// Number of a model, and what is computed.
type BudgetKey = (u64, ForwardOutput);

/// Starts the threads, and returns where to send jobs to. They end after [`Message::End`], when all work is done.
pub(super) fn spawn(
    fixed_budget: Option<usize>,
    utilisation: Arc<Mutex<Utilisation>>,
    turns: Turns,
) -> io::Result<Sender<Message>> {
    let (sender, messages) = mpsc::channel();
    let (in_flight, deferred) = mpsc::channel();
    let done = sender.clone();
    let wait = move || wait_for_all(&deferred, &done);
    thread::Builder::new().name("device".to_owned()).spawn(wait)?;
    let run = move || {
        // A defect of this module loses the queued jobs, which answers them, and the engine goes on.
        let run = || ComputeThread::new(fixed_budget, (&utilisation, &turns), &in_flight).run(&messages);
        while catch_unwind(AssertUnwindSafe(run)).is_err() {}
    };
    thread::Builder::new().name("compute".to_owned()).spawn(run)?;
    Ok(sender)
}

/// Waits for batches that a device works on, one after the other, in the order in which it does.
fn wait_for_all(deferred: &Receiver<(RunningBatch, Deferred<ModelRows>)>, done: &Sender<Message>) {
    for (batch, rows) in deferred {
        let rows = guarded(|| rows.finish());
        if done.send(Message::Done(batch, rows)).is_err() {
            return;
        }
    }
}

struct ComputeThread<'a> {
    queue: Queue,
    budgets: HashMap<BudgetKey, BatchBudget>,
    /// Tokens of every batch, if they shall not follow the budget.
    fixed_budget: Option<usize>,
    utilisation: &'a Mutex<Utilisation>,
    turns: &'a Turns,
    /// To the thread that waits.
    in_flight: &'a Sender<(RunningBatch, Deferred<ModelRows>)>,
    /// Batches that it waits for.
    in_flight_count: usize,
    has_ended: bool,
}

impl<'a> ComputeThread<'a> {
    fn new(
        fixed_budget: Option<usize>,
        (utilisation, turns): (&'a Mutex<Utilisation>, &'a Turns),
        in_flight: &'a Sender<(RunningBatch, Deferred<ModelRows>)>,
    ) -> Self {
        let (queue, budgets) = (Queue::default(), HashMap::new());
        Self {
            queue,
            budgets,
            fixed_budget,
            utilisation,
            turns,
            in_flight,
            in_flight_count: 0,
            has_ended: false,
        }
    }

    fn run(&mut self, messages: &Receiver<Message>) {
        loop {
            messages.try_iter().for_each(|message| self.handle(message));
            self.queue.sweep();
            let next = if self.in_flight_count < MAX_IN_FLIGHT { self.next_priority() } else { None };
            match next {
                Some(priority) => self.run_next(priority),
                None if self.has_ended && self.in_flight_count == 0 => return,
                None => {
                    let Ok(message) = messages.recv() else { return };
                    self.handle(message);
                }
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Job(job) => self.queue.push(job),
            Message::Done(batch, rows) => {
                // It may be one from before a panic of this module.
                self.in_flight_count = self.in_flight_count.saturating_sub(1);
                self.end(&batch, rows);
            }
            Message::End => self.has_ended = true,
        }
    }

    fn next_priority(&self) -> Option<Priority> {
        self.queue.next_priority(|job| self.budget(job))
    }

    /// Begins with the next batch.
    fn run_next(&mut self, priority: Priority) {
        let Some(budget) = self.queue.front(priority).map(|lead| self.budget(lead)) else { return };
        let items = self.queue.take(priority, budget);
        self.begin(items);
    }

    fn budget(&self, job: &InferenceJob) -> usize {
        let budget = || self.budgets.get(&budget_key(job)).copied().unwrap_or_default().tokens();
        self.fixed_budget.unwrap_or_else(budget)
    }

    /// Has the model run over windows that wait no more, as far as anybody waits for them.
    fn begin(&mut self, mut items: Vec<BatchItem>) {
        items.retain(|item| self.queue.job(item.job).is_some_and(|job| !job.is_over()));
        let Some(lead) = items.first().and_then(|item| self.queue.job(item.job)) else { return };
        let (key, model, output) = (budget_key(lead), lead.model.clone(), lead.output);
        let window = |item: &BatchItem| Some(self.queue.job(item.job)?.window(item.slot));
        let windows: Vec<&Window> = items.iter().filter_map(window).collect();
        let started = Instant::now();
        let deferred = self.turns.take(|| guarded(|| model.begin(&windows, output)));
        let batch = RunningBatch { items, key, started };
        match deferred {
            Ok(Deferred::Ready(rows)) => self.end(&batch, Ok(rows)),
            Ok(pending) => match self.in_flight.send((batch, pending)) {
                Ok(()) => self.in_flight_count += 1,
                // There is no other thread any more.
                Err(SendError((batch, pending))) => self.end(&batch, guarded(|| pending.finish())),
            },
            Err(error) => self.end(&batch, Err(error)),
        }
    }

    /// Gives everybody what is theirs.
    fn end(&mut self, batch: &RunningBatch, rows: Result<ModelRows, EngineError>) {
        let RunningBatch { items, key, started } = batch;
        self.utilisation.lock().note(*started, Instant::now());
        self.observe_speed(*key, items.iter().map(|item| item.slot.length).sum(), *started);
        let complete = |rows: ModelRows| match rows.len() == items.len() {
            true => Ok(rows),
            false => Err(row_count_mismatch(items.len(), rows.len())),
        };
        match rows.and_then(complete) {
            Ok(rows) => self.deliver(items, rows),
            Err(error) => self.isolate_failure(items, error),
        }
    }

    fn deliver(&mut self, items: &[BatchItem], rows: ModelRows) {
        let mut rows = rows.into_iter();
        for items in by_job(items) {
            // All of its rows are taken, whether or not anybody waits for them.
            let own: Vec<_> = items.iter().map(|item| item.slot).zip(rows.by_ref()).collect();
            if let Some(job) = self.queue.job_mut(items[0].job) {
                job.receive(own);
            }
        }
    }

    /// A batch of one job failed by that job; one of several is run again, job by job.
    fn isolate_failure(&mut self, items: &[BatchItem], error: EngineError) {
        let jobs: Vec<&[BatchItem]> = by_job(items).collect();
        match jobs.as_slice() {
            [only] => {
                if let Some(job) = self.queue.job_mut(only[0].job) {
                    job.fail(error);
                }
            }
            several => several.iter().for_each(|items| self.begin(items.to_vec())),
        }
    }

    fn observe_speed(&mut self, key: BudgetKey, tokens: usize, started: Instant) {
        if self.budgets.len() >= MOST_BUDGETS && !self.budgets.contains_key(&key) {
            self.budgets.clear();
        }
        self.budgets.entry(key).or_default().observe(tokens, started.elapsed());
    }
}

fn budget_key(job: &InferenceJob) -> BudgetKey {
    (job.model.number(), job.output)
}
