//! How much of its time the worker works.
//!
//! It takes what others leave of the processors, within `refresh_min_share` and `refresh_share`: those who write rows need them while
//! they wait for nothing else, and stale rows can wait. Invariant: whoever waits for fresh rows doesn't wait for others.

use std::time::{Duration, Instant};

use pgrx::pg_sys;

use super::launch;
use crate::background::processors::ProcessorMeter;
use crate::{guc, runtime};

/// The pace of a worker.
pub struct Pace {
    database: pg_sys::Oid,
    meter: ProcessorMeter,
    /// Part of the processors' time that others had lately.
    others: f64,
    /// When it last began to work.
    since: Instant,
    /// Before this it doesn't go on.
    until: Instant,
}

impl Pace {
    /// Of a worker that begins to work.
    pub fn start(database: pg_sys::Oid) -> Self {
        let now = Instant::now();
        Self { database, meter: ProcessorMeter::start(&own()), others: 0.0, since: now, until: now }
    }

    /// It begins to work again.
    pub fn resume(&mut self) {
        self.since = Instant::now();
    }

    /// A batch is done. Returns how long it is to pause, for all that it did since it began to work.
    pub fn worked(&mut self) -> Duration {
        if let Some(others) = self.meter.read(&own()) {
            self.others = others;
        }
        let share = if self.is_urgent() { most() } else { share(self.others, least(), most()) };
        let now = Instant::now();
        let pause = (now - self.since).mul_f64((1.0 - share) / share);
        (self.since, self.until) = (now, now + pause);
        pause
    }

    /// How much of the pause is left; none if somebody waits for fresh rows.
    pub fn left(&self) -> Duration {
        let left = self.until.saturating_duration_since(Instant::now());
        if left > Duration::ZERO && most() >= 1.0 && self.is_urgent() { Duration::ZERO } else { left }
    }

    fn is_urgent(&self) -> bool {
        launch::has_waiter(self.database)
    }
}

/// The worker, and the engine, which works for it.
fn own() -> Vec<i32> {
    // SAFETY: set once when this process starts.
    let worker = unsafe { pg_sys::MyProcPid };
    runtime::noted_engine().into_iter().chain([worker]).collect()
}

fn most() -> f64 {
    f64::from(guc::refresh_share().max(1)) / 100.0
}

fn least() -> f64 {
    f64::from(guc::refresh_min_share()) / 100.0
}

/// Part of its time that it works: the square of what others leave. Where they leave little they wait for disks or for each other in
/// between, and would wait for the engine as well.
fn share(others: f64, least: f64, most: f64) -> f64 {
    (1.0 - others).powi(2).max(least).min(most)
}
