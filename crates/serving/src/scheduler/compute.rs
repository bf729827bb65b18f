//! The one thread that has models run. More threads would only take each other's cores: a forward pass uses them all.
//!
//! A device with a memory of its own works on a batch while this thread chooses the next, so up to [`MOST_UNDERWAY`] batches are
//! given to it; a second thread waits for what they come to.
//! Invariant: a batch that fails or panics costs only the guilty request its answer.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SendError, Sender};
use std::time::Instant;
use std::{io, thread};

use ecommerce_ml_predictor::{Begun, Output, Window, guarded};
use ecommerce_ml_protocol::EngineError;
use parking_lot::Mutex;

use super::busy::Busy;
use super::job::{Job, row_count_mismatch};
use super::pace::Pace;
use super::queue::{Lane, Pick, Queue, by_job};

/// Measured models before all measurements are thrown away, so that models long gone don't pile up.
const MOST_PACES: usize = 64;

/// Batches that a device has at a time: one that it works on, and one to go on with. A request that comes waits for both.
const MOST_UNDERWAY: usize = 2;

/// A row of numbers for each window of a batch.
type Rows = Vec<Vec<f32>>;

/// What the compute thread is told.
pub(super) enum Message {
    /// There is something to do.
    Job(Job),
    /// A batch is done.
    Done(Batch, Result<Rows, EngineError>),
    /// No more jobs are to come.
    End,
}

/// A batch that has begun.
pub(super) struct Batch {
    picks: Vec<Pick>,
    /// Of the model and output.
    key: PaceKey,
    started: Instant,
}

/// Number of a model, and what is computed.
type PaceKey = (u64, Output);

/// Starts the threads, and returns where to send jobs to. They end after [`Message::End`], when all work is done.
pub(super) fn spawn(fixed_budget: Option<usize>, busy: Arc<Mutex<Busy>>) -> io::Result<Sender<Message>> {
    let (sender, messages) = mpsc::channel();
    let (underway, begun) = mpsc::channel();
    let done = sender.clone();
    let wait = move || wait_for_all(&begun, &done);
    thread::Builder::new().name("device".to_owned()).spawn(wait)?;
    let run = move || {
        // A defect of this module loses the queued jobs, which answers them, and the engine goes on.
        let run = || Compute::new(fixed_budget, &busy, &underway).run(&messages);
        while catch_unwind(AssertUnwindSafe(run)).is_err() {}
    };
    thread::Builder::new().name("compute".to_owned()).spawn(run)?;
    Ok(sender)
}

/// Waits for batches that a device works on, one after the other, in the order in which it does.
fn wait_for_all(begun: &Receiver<(Batch, Begun<Rows>)>, done: &Sender<Message>) {
    for (batch, rows) in begun {
        let rows = guarded(|| rows.finish());
        if done.send(Message::Done(batch, rows)).is_err() {
            return;
        }
    }
}

struct Compute<'a> {
    queue: Queue,
    paces: HashMap<PaceKey, Pace>,
    /// Tokens of every batch, if they shall not follow the pace.
    fixed_budget: Option<usize>,
    busy: &'a Mutex<Busy>,
    /// To the thread that waits.
    underway: &'a Sender<(Batch, Begun<Rows>)>,
    /// Batches that it waits for.
    count: usize,
    has_ended: bool,
}

impl<'a> Compute<'a> {
    fn new(
        fixed_budget: Option<usize>,
        busy: &'a Mutex<Busy>,
        underway: &'a Sender<(Batch, Begun<Rows>)>,
    ) -> Self {
        let (queue, paces) = (Queue::default(), HashMap::new());
        Self { queue, paces, fixed_budget, busy, underway, count: 0, has_ended: false }
    }

    fn run(&mut self, messages: &Receiver<Message>) {
        loop {
            messages.try_iter().for_each(|message| self.hear(message));
            self.queue.sweep();
            let next = if self.count < MOST_UNDERWAY { self.next_lane() } else { None };
            match next {
                Some(lane) => self.turn(lane),
                None if self.has_ended && self.count == 0 => return,
                None => {
                    let Ok(message) = messages.recv() else { return };
                    self.hear(message);
                }
            }
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Job(job) => self.queue.push(job),
            Message::Done(batch, rows) => {
                // It may be one from before a panic of this module.
                self.count = self.count.saturating_sub(1);
                self.end(&batch, rows);
            }
            Message::End => self.has_ended = true,
        }
    }

    fn next_lane(&self) -> Option<Lane> {
        self.queue.next_lane(|job| self.budget(job))
    }

    /// Begins with the next batch.
    fn turn(&mut self, lane: Lane) {
        let Some(budget) = self.queue.front(lane).map(|lead| self.budget(lead)) else { return };
        let picks = self.queue.take(lane, budget);
        self.begin(picks);
    }

    fn budget(&self, job: &Job) -> usize {
        let pace = || self.paces.get(&pace_key(job)).copied().unwrap_or_default().budget();
        self.fixed_budget.unwrap_or_else(pace)
    }

    /// Has the model run over windows that wait no more, as far as anybody waits for them.
    fn begin(&mut self, mut picks: Vec<Pick>) {
        picks.retain(|pick| self.queue.job(pick.job).is_some_and(|job| !job.is_over()));
        let Some(lead) = picks.first().and_then(|pick| self.queue.job(pick.job)) else { return };
        let (key, model, output) = (pace_key(lead), lead.model.clone(), lead.output);
        let window = |pick: &Pick| Some(self.queue.job(pick.job)?.window(pick.place));
        let windows: Vec<&Window> = picks.iter().filter_map(window).collect();
        let started = Instant::now();
        let begun = guarded(|| model.begin(&windows, output));
        let batch = Batch { picks, key, started };
        match begun {
            Ok(Begun::Done(rows)) => self.end(&batch, Ok(rows)),
            Ok(elsewhere) => match self.underway.send((batch, elsewhere)) {
                Ok(()) => self.count += 1,
                // There is no other thread any more.
                Err(SendError((batch, elsewhere))) => self.end(&batch, guarded(|| elsewhere.finish())),
            },
            Err(error) => self.end(&batch, Err(error)),
        }
    }

    /// Gives everybody what is theirs.
    fn end(&mut self, batch: &Batch, rows: Result<Rows, EngineError>) {
        let Batch { picks, key, started } = batch;
        self.busy.lock().note(*started, Instant::now());
        self.learn(*key, picks.iter().map(|pick| pick.place.length).sum(), *started);
        let complete = |rows: Rows| match rows.len() == picks.len() {
            true => Ok(rows),
            false => Err(row_count_mismatch(picks.len(), rows.len())),
        };
        match rows.and_then(complete) {
            Ok(rows) => self.hand_out(picks, rows),
            Err(error) => self.find_guilty(picks, error),
        }
    }

    fn hand_out(&mut self, picks: &[Pick], rows: Rows) {
        let mut rows = rows.into_iter();
        for picks in by_job(picks) {
            // All of its rows are taken, whether or not anybody waits for them.
            let own: Vec<_> = picks.iter().map(|pick| pick.place).zip(rows.by_ref()).collect();
            if let Some(job) = self.queue.job_mut(picks[0].job) {
                job.receive(own);
            }
        }
    }

    /// A batch of one job failed by that job; one of several is run again, job by job.
    fn find_guilty(&mut self, picks: &[Pick], error: EngineError) {
        let jobs: Vec<&[Pick]> = by_job(picks).collect();
        match jobs.as_slice() {
            [only] => {
                if let Some(job) = self.queue.job_mut(only[0].job) {
                    job.fail(error);
                }
            }
            several => several.iter().for_each(|picks| self.begin(picks.to_vec())),
        }
    }

    fn learn(&mut self, key: PaceKey, tokens: usize, started: Instant) {
        if self.paces.len() >= MOST_PACES && !self.paces.contains_key(&key) {
            self.paces.clear();
        }
        self.paces.entry(key).or_default().observe(tokens, started.elapsed());
    }
}

fn pace_key(job: &Job) -> PaceKey {
    (job.model.number(), job.output)
}
