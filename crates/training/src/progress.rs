//! How fast a training is, and when it will be over.
//!
//! It must not know what is trained. Invariant: reports are no more frequent than a few a second.

use std::time::{Duration, Instant};

use ecommerce_ml_protocol::training::Progress;

/// Least time between two reports.
const INTERVAL: Duration = Duration::from_millis(200);

/// Time over which a speed is averaged.
const MEMORY: f64 = 10.0;

/// What an update was like.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// Counted from 1.
    pub epoch: u32,
    /// Updates so far.
    pub step: u64,
    /// Mean loss of its examples.
    pub loss: f64,
    /// Of the update; 0 of a kind that has none.
    pub learning_rate: f64,
    /// Rows seen in it.
    pub examples: u64,
}

/// Watches updates.
#[derive(Debug)]
pub struct Reporter {
    started: Instant,
    reported: Instant,
    first_step: u64,
    steps: u64,
    examples: u64,
    /// Since the latest report.
    losses: (f64, u32),
    recent: u64,
    speed: Option<f64>,
}

impl Reporter {
    /// Begins after `first_step` updates of `steps`.
    pub fn new(first_step: u64, steps: u64) -> Self {
        let now = Instant::now();
        let (losses, speed) = ((0.0, 0), None);
        Self { started: now, reported: now, first_step, steps, examples: 0, losses, recent: 0, speed }
    }

    /// Takes note of an update; a report, if one is due.
    pub fn update(&mut self, update: Update) -> Option<Progress> {
        self.examples += update.examples;
        self.recent += update.examples;
        self.losses = (self.losses.0 + update.loss, self.losses.1 + 1);
        let passed = self.reported.elapsed();
        let is_last = update.step >= self.steps;
        (passed >= INTERVAL || is_last).then(|| self.report(update, passed.as_secs_f64()))
    }

    fn report(&mut self, update: Update, passed: f64) -> Progress {
        let now = self.recent as f64 / passed.max(1e-6);
        let part = 1.0 - (-passed / MEMORY).exp();
        let speed = self.speed.map_or(now, |before| before + part * (now - before));
        let done = update.step.saturating_sub(self.first_step).max(1);
        let left = self.steps.saturating_sub(update.step);
        let progress = Progress {
            epoch: update.epoch,
            step: update.step,
            loss: self.losses.0 / f64::from(self.losses.1.max(1)),
            learning_rate: update.learning_rate,
            examples: self.examples,
            examples_per_second: speed,
            seconds_left: self.started.elapsed().as_secs_f64() / done as f64 * left as f64,
        };
        (self.speed, self.reported, self.recent, self.losses) = (Some(speed), Instant::now(), 0, (0.0, 0));
        progress
    }
}
