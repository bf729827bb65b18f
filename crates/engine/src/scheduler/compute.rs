//! The one thread that runs models. More threads would only take each other's cores: a forward pass uses them all.
//!
//! Invariant: a batch that fails or panics costs only the guilty request its answer.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Instant;

use ecommerce_ml_protocol::EngineError;
use parking_lot::Mutex;

use super::busy::Busy;
use super::job::{Job, row_count_mismatch};
use super::pace::Pace;
use super::queue::{Lane, Pick, Queue};
use crate::model::{Output, Window};
use crate::served::guarded;

/// Measured models before all measurements are thrown away, so that models long gone don't pile up.
const MOST_PACES: usize = 64;

/// Starts the thread; it ends when all senders are gone.
pub(super) fn spawn(
    jobs: Receiver<Job>,
    fixed_budget: Option<usize>,
    busy: Arc<Mutex<Busy>>,
) -> io::Result<()> {
    let run = move || {
        // A defect of this module loses the queued jobs, which answers them, and the engine goes on.
        while catch_unwind(AssertUnwindSafe(|| Compute::new(fixed_budget, &busy).run(&jobs))).is_err() {}
    };
    thread::Builder::new().name("compute".to_owned()).spawn(run).map(drop)
}

struct Compute<'a> {
    queue: Queue,
    /// Speed by number of the model and output.
    paces: HashMap<(u64, Output), Pace>,
    /// Tokens of every batch, if they shall not follow the pace.
    fixed_budget: Option<usize>,
    busy: &'a Mutex<Busy>,
}

impl<'a> Compute<'a> {
    fn new(fixed_budget: Option<usize>, busy: &'a Mutex<Busy>) -> Self {
        Self { queue: Queue::default(), paces: HashMap::new(), fixed_budget, busy }
    }

    fn run(&mut self, jobs: &Receiver<Job>) {
        loop {
            if self.queue.is_empty() {
                let Ok(job) = jobs.recv() else { return };
                self.queue.push(job);
            }
            jobs.try_iter().for_each(|job| self.queue.push(job));
            self.queue.sweep();
            if let Some(lane) = self.queue.next_lane(|job| self.budget(job)) {
                self.turn(lane);
                self.queue.sweep();
            }
        }
    }

    /// Runs one batch.
    fn turn(&mut self, lane: Lane) {
        let Some(lead) = self.queue.front(lane) else { return };
        let (key, budget) = (pace_key(lead), self.budget(lead));
        let picks = self.queue.choose(lane, budget);
        let tokens = picks.iter().map(|pick| pick.place.length).sum();
        let started = Instant::now();
        self.run_batch(&picks);
        self.busy.lock().note(started, Instant::now());
        self.learn(key, tokens, started);
        self.queue.took_turn(lane, tokens);
    }

    fn budget(&self, job: &Job) -> usize {
        let pace = || self.paces.get(&pace_key(job)).copied().unwrap_or_default().budget();
        self.fixed_budget.unwrap_or_else(pace)
    }

    fn learn(&mut self, key: (u64, Output), tokens: usize, started: Instant) {
        if self.paces.len() >= MOST_PACES && !self.paces.contains_key(&key) {
            self.paces.clear();
        }
        self.paces.entry(key).or_default().observe(tokens, started.elapsed());
    }

    fn run_batch(&mut self, picks: &[Pick]) {
        match self.forward(picks) {
            Ok(rows) => self.hand_out(picks, rows),
            Err(error) => {
                let jobs = by_job(picks);
                match jobs.as_slice() {
                    [only] => self.queue.job_mut(only[0].job()).fail(error),
                    several => several.iter().for_each(|picks| self.run_batch(picks)),
                }
            }
        }
    }

    fn forward(&self, picks: &[Pick]) -> Result<Vec<Vec<f32>>, EngineError> {
        let Some(first) = picks.first() else { return Ok(Vec::new()) };
        let lead = self.queue.job(first.job());
        let window = |pick: &Pick| self.queue.job(pick.job()).window(pick.place);
        let windows: Vec<&Window> = picks.iter().map(window).collect();
        let rows = guarded(|| lead.model.forward(&windows, lead.output))?;
        if rows.len() == picks.len() { Ok(rows) } else { Err(row_count_mismatch(picks.len(), rows.len())) }
    }

    fn hand_out(&mut self, picks: &[Pick], rows: Vec<Vec<f32>>) {
        let mut rows = rows.into_iter();
        for picks in by_job(picks) {
            let places = picks.iter().map(|pick| pick.place);
            self.queue.job_mut(picks[0].job()).receive(places.zip(rows.by_ref()));
        }
    }
}

/// Picks of the same job are neighbours in a batch; each slice holds those of one job.
fn by_job(picks: &[Pick]) -> Vec<&[Pick]> {
    picks.chunk_by(|a, b| a.job() == b.job()).collect()
}

fn pace_key(job: &Job) -> (u64, Output) {
    (job.model.number(), job.output)
}
