//! Jobs on their way through the model, and the two queues of those that wait, by priority. Owned by the compute thread alone,
//! so there is no lock.
//!
//! It must not run anything.
//! Invariants: small jobs go first, yet bulk jobs get at least half of the tokens; bulk jobs take turns, batch by batch; a job
//! that is over is gone before the next batch is chosen.

use std::collections::{HashMap, VecDeque};

use super::batch;
use super::job::{InferenceJob, WindowSlot};

/// Which of two queues a job waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    /// Jobs of few windows, first come first served.
    Small,
    /// All others, in turns.
    Bulk,
}

/// A window of a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchItem {
    /// Number of the job.
    pub(super) job: u64,
    pub(super) slot: WindowSlot,
}

/// The jobs.
#[derive(Default)]
pub(super) struct Queue {
    /// By their numbers, from their coming to their being answered.
    jobs: HashMap<u64, InferenceJob>,
    /// Numbers of those of which windows wait.
    small: VecDeque<u64>,
    bulk: VecDeque<u64>,
    /// Tokens that small jobs got while bulk jobs waited, since the last batch of bulk jobs.
    deficit: usize,
}

impl Queue {
    pub(super) fn push(&mut self, job: InferenceJob) {
        let queue = if job.is_small() { &mut self.small } else { &mut self.bulk };
        queue.push_back(job.number());
        self.jobs.insert(job.number(), job);
    }

    /// Forgets jobs that have been answered or that nobody waits for.
    pub(super) fn sweep(&mut self) {
        self.jobs.retain(|_, job| !job.is_over());
        let waits = |number: &u64| self.jobs.get(number).is_some_and(|job| !job.waiting().is_empty());
        self.small.retain(waits);
        self.bulk.retain(waits);
    }

    /// The priority that has its turn, unless nothing waits.
    pub(super) fn next_priority(&self, budget: impl Fn(&InferenceJob) -> usize) -> Option<Priority> {
        match (self.front(Priority::Small), self.front(Priority::Bulk)) {
            (Some(_), Some(bulk)) if self.deficit >= budget(bulk) => Some(Priority::Bulk),
            (Some(_), _) => Some(Priority::Small),
            (None, Some(_)) => Some(Priority::Bulk),
            (None, None) => None,
        }
    }

    /// The job at the front of the queue of a priority.
    pub(super) fn front(&self, priority: Priority) -> Option<&InferenceJob> {
        self.waiting_in(priority).next()
    }

    /// The next batch, which waits no more: led by the front of a queue, filled up from all jobs that go with it. Items of the same
    /// job are neighbours. The next job of the queue has the turn after it.
    pub(super) fn take(&mut self, priority: Priority, budget: usize) -> Vec<BatchItem> {
        let Some(lead) = self.front(priority) else { return Vec::new() };
        let other = if priority == Priority::Small { Priority::Bulk } else { Priority::Small };
        let jobs = self.waiting_in(priority).chain(self.waiting_in(other));
        let items = jobs
            .filter(|job| lead.goes_with(job))
            .flat_map(|job| job.waiting().iter().map(|&slot| BatchItem { job: job.number(), slot }));
        let items = batch::fill(items, |item| item.slot.length, budget);
        for own in by_job(&items) {
            if let Some(job) = self.jobs.get_mut(&own[0].job) {
                job.take(own.iter().map(|item| item.slot));
            }
        }
        self.pass_turn(priority, items.iter().map(|item| item.slot.length).sum());
        items
    }

    /// A job, unless it is over.
    pub(super) fn job(&self, number: u64) -> Option<&InferenceJob> {
        self.jobs.get(&number)
    }

    /// A job, unless it is over.
    pub(super) fn job_mut(&mut self, number: u64) -> Option<&mut InferenceJob> {
        self.jobs.get_mut(&number)
    }

    fn pass_turn(&mut self, priority: Priority, tokens: usize) {
        match priority {
            Priority::Small if self.bulk.is_empty() => self.deficit = 0,
            Priority::Small => self.deficit += tokens,
            Priority::Bulk => {
                self.deficit = 0;
                self.bulk.rotate_left(usize::from(!self.bulk.is_empty()));
            }
        }
    }

    fn waiting_in(&self, priority: Priority) -> impl Iterator<Item = &InferenceJob> {
        let numbers = match priority {
            Priority::Small => &self.small,
            Priority::Bulk => &self.bulk,
        };
        numbers.iter().filter_map(|number| self.jobs.get(number))
    }
}

/// Each slice holds the items of one job.
pub(super) fn by_job(items: &[BatchItem]) -> impl Iterator<Item = &[BatchItem]> {
    items.chunk_by(|a, b| a.job == b.job)
}
