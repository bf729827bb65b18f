//! Jobs that wait for the model, in two lanes. Owned by the compute thread alone, so there is no lock.
//!
//! It must not run anything.
//! Invariants: small jobs go first, yet bulk jobs get at least half of the tokens; bulk jobs take turns, batch
//! by batch; a job that is over is gone before the next batch is chosen.

use std::collections::VecDeque;

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

/// A window of a job in the queue. Valid until the next [`Queue::sweep`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick {
    lane: Lane,
    job: usize,
    pub(super) place: Place,
}

impl Pick {
    /// Names the job, to tell picks of different jobs apart.
    pub(super) fn job(self) -> (Lane, usize) {
        (self.lane, self.job)
    }
}

/// The jobs that wait.
#[derive(Default)]
pub(super) struct Queue {
    small: VecDeque<Job>,
    bulk: VecDeque<Job>,
    /// Tokens that small jobs got while bulk jobs waited, since the last batch of the bulk lane.
    owed: usize,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.bulk.is_empty()
    }

    pub(super) fn push(&mut self, job: Job) {
        if job.is_small() { self.small.push_back(job) } else { self.bulk.push_back(job) }
    }

    /// Forgets jobs that have been answered or that nobody waits for.
    pub(super) fn sweep(&mut self) {
        self.small.retain(|job| !job.is_over());
        self.bulk.retain(|job| !job.is_over());
    }

    /// The lane whose turn it is, unless both are empty.
    pub(super) fn next_lane(&self, budget: impl Fn(&Job) -> usize) -> Option<Lane> {
        match (self.small.front(), self.bulk.front()) {
            (Some(_), Some(bulk)) if self.owed >= budget(bulk) => Some(Lane::Bulk),
            (Some(_), _) => Some(Lane::Small),
            (None, Some(_)) => Some(Lane::Bulk),
            (None, None) => None,
        }
    }

    /// The job at the front of a lane.
    pub(super) fn front(&self, lane: Lane) -> Option<&Job> {
        self.lane(lane).front()
    }

    /// The next batch: led by the front of a lane, filled up from all jobs that go with it.
    pub(super) fn choose(&self, lane: Lane, budget: usize) -> Vec<Pick> {
        let Some(lead) = self.front(lane) else { return Vec::new() };
        let other = if lane == Lane::Small { Lane::Bulk } else { Lane::Small };
        let jobs = [lane, other]
            .into_iter()
            .flat_map(|lane| self.lane(lane).iter().enumerate().map(move |(index, job)| (lane, index, job)));
        let fitting = jobs.filter(|(_, _, job)| lead.goes_with(job));
        let picks = fitting.flat_map(|(lane, job, queued)| {
            queued.waiting().iter().map(move |&place| Pick { lane, job, place })
        });
        batch::fill(picks, |pick| pick.place.length, budget)
    }

    /// Notes that a batch led by this lane ran, and lets the next job of the lane have its turn.
    pub(super) fn took_turn(&mut self, lane: Lane, tokens: usize) {
        match lane {
            Lane::Small if self.bulk.is_empty() => self.owed = 0,
            Lane::Small => self.owed += tokens,
            Lane::Bulk => {
                self.owed = 0;
                self.bulk.rotate_left(usize::from(!self.bulk.is_empty()));
            }
        }
    }

    /// The job that a pick belongs to.
    pub(super) fn job(&self, (lane, index): (Lane, usize)) -> &Job {
        &self.lane(lane)[index]
    }

    /// The job that a pick belongs to.
    pub(super) fn job_mut(&mut self, (lane, index): (Lane, usize)) -> &mut Job {
        match lane {
            Lane::Small => &mut self.small[index],
            Lane::Bulk => &mut self.bulk[index],
        }
    }

    fn lane(&self, lane: Lane) -> &VecDeque<Job> {
        match lane {
            Lane::Small => &self.small,
            Lane::Bulk => &self.bulk,
        }
    }
}
