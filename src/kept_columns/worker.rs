//! The background worker of a database.
//!
//! Invariant: it ends only when it has found nothing to do since the last note, or has said what is in its way.

use std::time::{Duration, Instant};

use pgrx::bgworkers::BackgroundWorker;
use pgrx::{log, pg_sys, warning};

use super::definition::{self, Kept};
use super::launch;
use super::pace::Pace;
use super::pass::{self, Observer, PassResult};
use super::status::{Status, key, now};
use crate::background::locks::{LockKey, acquire, work_for};
use crate::background::{reload_configuration, set_own_defaults, transaction};
use crate::catalog::jobs::Failure;
use crate::{guc, latch};

/// How long it waits for something to do before it ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it looks for a note.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How often it looks whether it is paused still.
const PAUSE_INTERVAL: Duration = Duration::from_millis(500);
/// How often it looks, while it pauses between batches, whether somebody waits.
const PACE_INTERVAL: Duration = Duration::from_millis(100);
/// How long a column is worked on while others may have stale rows too.
const TIME_SLICE: Duration = Duration::from_secs(5);
/// Between two passes over the same table: what is locked or fails needs time.
const RETRY_DELAYS: [Duration; 6] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Scores stale rows as long as there are any.
pub fn main(database: pg_sys::Oid) {
    let last = Status::last(database);
    work_for(database);
    // Where a connection isn't possible, the server would start this worker again and again.
    if last.cannot_connect() {
        log!("the worker of kept columns could not connect to its database, giving up");
        Status { connecting: 0, ..last }.report(database);
        return;
    }
    let Ok(Some(mut lock)) = acquire(LockKey::KeptColumns) else { return launch::has_started(database) };
    launch::has_started(database);
    // SAFETY: set once when this process starts.
    let pid = unsafe { pg_sys::MyProcPid };
    let mut status = Status { pid, connecting: last.connecting.saturating_add(1), ..last };
    status.report(database);
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(database), None);
    set_own_defaults();
    status.connecting = 0;
    status.report(database);
    let mut worker = Worker { database, status, pace: Pace::start(database) };
    loop {
        worker.work();
        drop(lock);
        // Whoever left a note while the lock was held has started nobody.
        if !launch::has_note(database) {
            return;
        }
        match acquire(LockKey::KeptColumns) {
            Ok(Some(again)) => lock = again,
            _ => return,
        }
    }
}

/// How far a turn has brought a column, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nothing is stale.
    Fresh,
    /// Rows were scored, and there may be others.
    Progress,
    /// There are stale rows that can't be scored now.
    Stuck,
}

struct Worker {
    database: pg_sys::Oid,
    status: Status,
    pace: Pace,
}

impl Worker {
    /// Works until nothing has been left to do for a while.
    fn work(&mut self) {
        let (mut idle_since, mut attempt) = (Instant::now(), 0);
        // What was there before the first note counts too.
        let mut is_due = true;
        loop {
            let has_note = launch::take_note(self.database);
            if has_note {
                attempt = 0;
            }
            if !has_note && !is_due {
                let left = IDLE_TIMEOUT.saturating_sub(idle_since.elapsed());
                if left == Duration::ZERO {
                    return;
                }
                self.wait_for_note(left);
                continue;
            }
            let outcome = self.pass_over_all();
            idle_since = Instant::now();
            if outcome != Outcome::Fresh && self.was_paused() {
                attempt = 0;
                continue;
            }
            let delay = RETRY_DELAYS.get(attempt).filter(|_| outcome == Outcome::Stuck);
            is_due = outcome == Outcome::Progress || delay.is_some();
            attempt = if outcome == Outcome::Stuck { attempt + 1 } else { 0 };
            self.wait_for_note(delay.copied().unwrap_or(Duration::ZERO));
        }
    }

    /// Whether it was paused; it isn't any more.
    fn was_paused(&self) -> bool {
        let was_paused = guc::refresh_share() == 0;
        while guc::refresh_share() == 0 {
            latch::wait(None, Some(PAUSE_INTERVAL));
            reload_configuration();
        }
        was_paused
    }

    /// Pauses before the next batch.
    fn pause(&mut self) {
        loop {
            let left = self.pace.left();
            if left == Duration::ZERO {
                return;
            }
            latch::wait(None, Some(left.min(PACE_INTERVAL)));
            reload_configuration();
            self.pace.resume();
        }
    }

    fn wait_for_note(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !launch::has_note(self.database) {
            latch::wait(None, Some(POLL_INTERVAL));
            reload_configuration();
            self.pace.resume();
        }
    }

    /// Gives each column its turn.
    fn pass_over_all(&mut self) -> Outcome {
        let kept = match transaction(definition::all) {
            Ok(kept) => kept,
            Err(failure) => {
                warning!("could not look for kept columns: {}", failure.message);
                return Outcome::Fresh;
            }
        };
        let keys: Vec<String> = kept.iter().map(|kept| key(kept.relation, &kept.definition.column)).collect();
        self.status.retain(|key| keys.iter().any(|kept| kept == key));
        let leaves: Vec<&Kept> = kept.iter().filter(|kept| !kept.is_partitioned).collect();
        let slice = (leaves.len() > 1).then_some(TIME_SLICE);
        // All of them, even if one is in trouble.
        let outcomes: Vec<Outcome> = leaves.into_iter().map(|kept| self.pass_over(kept, slice)).collect();
        let any = |wanted| outcomes.contains(&wanted);
        [Outcome::Progress, Outcome::Stuck].into_iter().find(|one| any(*one)).unwrap_or(Outcome::Fresh)
    }

    fn pass_over(&mut self, kept: &Kept, slice: Option<Duration>) -> Outcome {
        match pass::is_stale(kept) {
            Ok(false) => {
                self.note(kept, None);
                return Outcome::Fresh;
            }
            Ok(true) => {}
            Err(failure) => {
                self.note(kept, Some(failure));
                return Outcome::Stuck;
            }
        }
        let now = Instant::now();
        let until = slice.map(|slice| now + slice);
        let mut reporter = Reporter { worker: self, kept, until, reported: now };
        let PassResult { written, failure } = pass::run(kept, &mut reporter);
        if failure.is_some() {
            self.note(kept, failure);
            return Outcome::Stuck;
        }
        // Rows that were locked, or written after the pass had gone by, are looked for again.
        if written > 0 { Outcome::Progress } else { Outcome::Stuck }
    }

    fn note(&mut self, kept: &Kept, failure: Option<Failure>) {
        let column = self.status.column_mut(kept.relation, &kept.definition.column);
        let before = column.clone();
        column.error = failure.map(|failure| failure.message);
        if let Some(message) = column.error.as_ref().filter(|message| Some(*message) != before.error.as_ref())
        {
            log!("column {} of {} is not fresh: {message}", kept.definition.column, kept.from);
        }
        if column.error.is_some() {
            column.failed = now();
        }
        if *column != before {
            self.status.report(self.database);
        }
    }
}

/// How often others are told how far a pass has come.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// Seconds over which the speed is measured.
const SPEED_WINDOW: f64 = 60.0;

struct Reporter<'a> {
    worker: &'a mut Worker,
    kept: &'a Kept,
    /// When others have their turn.
    until: Option<Instant>,
    reported: Instant,
}

impl Observer for Reporter<'_> {
    fn scored(&mut self, rows: u64, time: Duration) {
        let pause = self.worker.pace.worked();
        let column = self.worker.status.column_mut(self.kept.relation, &self.kept.definition.column);
        if column.seconds > SPEED_WINDOW {
            (column.rows, column.seconds) = (column.rows / 2, column.seconds / 2.0);
        }
        column.rows += rows;
        column.seconds += (time + pause).as_secs_f64();
        if self.reported.elapsed() > REPORT_INTERVAL {
            self.reported = Instant::now();
            self.worker.status.report(self.worker.database);
        }
    }

    fn failed(&mut self, place: &str, message: &str) {
        let column = self.worker.status.column_mut(self.kept.relation, &self.kept.definition.column);
        // Once, not with every attempt.
        if column.error.as_deref() != Some(message) {
            log!("row {place} of {} has no answer: {message}", self.kept.from);
        }
    }

    fn goes_on(&mut self) -> bool {
        reload_configuration();
        self.worker.pause();
        guc::refresh_share() > 0 && self.until.is_none_or(|until| Instant::now() < until)
    }
}
