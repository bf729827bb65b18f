//! Jobs on their way through the model, and the two lanes of those that wait. Owned by the compute thread alone, so there is no
//! lock.
//!
//! It must not run anything.
//! Invariants: small jobs go first, yet bulk jobs get at least half of the tokens; bulk jobs take turns, batch by batch; a job
//! that is over is gone before the next batch is chosen.

use std::collections::{HashMap, VecDeque};

use super::batch;
use super::job::{Job, Place};

/// One of the two lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
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
    pub(super) place: Place,
}

/// The jobs.
#[derive(Default)]
pub(super) struct Queue {
    /// By their numbers, from their coming to their being answered.
    jobs: HashMap<u64, Job>,
    /// Numbers of those of which windows wait.
    small: VecDeque<u64>,
    bulk: VecDeque<u64>,
    /// Tokens that small jobs got while bulk jobs waited, since the last batch of the bulk lane.
    owed: usize,
}

impl Queue {
    pub(super) fn push(&mut self, job: Job) {
        let lane = if job.is_small() { &mut self.small } else { &mut self.bulk };
        lane.push_back(job.number());
        self.jobs.insert(job.number(), job);
    }

    /// Forgets jobs that have been answered or that nobody waits for.
    pub(super) fn sweep(&mut self) {
        self.jobs.retain(|_, job| !job.is_over());
        let waits = |number: &u64| self.jobs.get(number).is_some_and(|job| !job.waiting().is_empty());
        self.small.retain(waits);
        self.bulk.retain(waits);
    }

    /// The lane whose turn it is, unless nothing waits.
    pub(super) fn next_lane(&self, budget: impl Fn(&Job) -> usize) -> Option<Lane> {
        match (self.front(Lane::Small), self.front(Lane::Bulk)) {
            (Some(_), Some(bulk)) if self.owed >= budget(bulk) => Some(Lane::Bulk),
            (Some(_), _) => Some(Lane::Small),
            (None, Some(_)) => Some(Lane::Bulk),
            (None, None) => None,
        }
    }

    /// The job at the front of a lane.
    pub(super) fn front(&self, lane: Lane) -> Option<&Job> {
        self.waiting_in(lane).next()
    }

    /// The next batch, which waits no more: led by the front of a lane, filled up from all jobs that go with it. Items of the same
    /// job are neighbours. The next job of the lane has the turn after it.
    pub(super) fn take(&mut self, lane: Lane, budget: usize) -> Vec<BatchItem> {
        let Some(lead) = self.front(lane) else { return Vec::new() };
        let other = if lane == Lane::Small { Lane::Bulk } else { Lane::Small };
        let jobs = self.waiting_in(lane).chain(self.waiting_in(other));
        let items = jobs
            .filter(|job| lead.goes_with(job))
            .flat_map(|job| job.waiting().iter().map(|&place| BatchItem { job: job.number(), place }));
        let items = batch::fill(items, |item| item.place.length, budget);
        for own in by_job(&items) {
            if let Some(job) = self.jobs.get_mut(&own[0].job) {
                job.take(own.iter().map(|item| item.place));
            }
        }
        self.pass_turn(lane, items.iter().map(|item| item.place.length).sum());
        items
    }

    /// A job, unless it is over.
    pub(super) fn job(&self, number: u64) -> Option<&Job> {
        self.jobs.get(&number)
    }

    /// A job, unless it is over.
    pub(super) fn job_mut(&mut self, number: u64) -> Option<&mut Job> {
        self.jobs.get_mut(&number)
    }

    fn pass_turn(&mut self, lane: Lane, tokens: usize) {
        match lane {
            Lane::Small if self.bulk.is_empty() => self.owed = 0,
            Lane::Small => self.owed += tokens,
            Lane::Bulk => {
                self.owed = 0;
                self.bulk.rotate_left(usize::from(!self.bulk.is_empty()));
            }
        }
    }

    fn waiting_in(&self, lane: Lane) -> impl Iterator<Item = &Job> {
        let numbers = match lane {
            Lane::Small => &self.small,
            Lane::Bulk => &self.bulk,
        };
        numbers.iter().filter_map(|number| self.jobs.get(number))
    }
}

/// Each slice holds the items of one job.
pub(super) fn by_job(items: &[BatchItem]) -> impl Iterator<Item = &[BatchItem]> {
    items.chunk_by(|a, b| a.job == b.job)
}
