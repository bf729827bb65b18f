//! Threads that tokenize. Work is done in steps of a few milliseconds, so that many requests advance together.
//!
//! It must not know what a step does.
//! Invariant: a short task waits for no long one: one thread takes short tasks only, the others take them first.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};

/// A task that is done step by step.
pub(super) trait Step: Send {
    /// Does one step; `None` when there is nothing left to do.
    fn advance(self: Box<Self>) -> Option<Box<dyn Step>>;
}

/// The threads; dropping it ends them after their current step.
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    lanes: Mutex<Lanes>,
    /// Signalled when a task is pushed or the pool is closed.
    changed: Condvar,
}

#[derive(Default)]
struct Lanes {
    /// Tasks of few and short texts, first come first served.
    short: VecDeque<Box<dyn Step>>,
    /// All others; after each step a task goes to the back, so that none waits for another to finish.
    long: VecDeque<Box<dyn Step>>,
    /// The pool is gone: threads end.
    closed: bool,
}

impl Pool {
    /// Starts `threads` for all tasks and one for short tasks.
    pub(super) fn start(threads: usize) -> io::Result<Self> {
        let pool = Self(Arc::new(Shared { lanes: Mutex::default(), changed: Condvar::new() }));
        for index in 0..=threads {
            let shared = Arc::clone(&pool.0);
            let builder = thread::Builder::new().name(format!("tokenize {index}"));
            builder.spawn(move || shared.work(index == 0))?;
        }
        Ok(pool)
    }

    /// Accepts a task.
    pub(super) fn push(&self, task: Box<dyn Step>, short: bool) {
        let mut lanes = self.0.lanes.lock();
        let lane = if short { &mut lanes.short } else { &mut lanes.long };
        lane.push_back(task);
        // All, because the one that would be woken may be the one that takes short tasks only.
        self.0.changed.notify_all();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.lanes.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn work(&self, short_only: bool) {
        while let Some((task, short)) = self.take(short_only) {
            // A panic drops the task, which answers its request.
            let rest = catch_unwind(AssertUnwindSafe(|| task.advance())).unwrap_or_default();
            if let Some(rest) = rest {
                let mut lanes = self.lanes.lock();
                if short { lanes.short.push_front(rest) } else { lanes.long.push_back(rest) }
            }
        }
    }

    fn take(&self, short_only: bool) -> Option<(Box<dyn Step>, bool)> {
        let mut lanes = self.lanes.lock();
        loop {
            if lanes.closed {
                return None;
            }
            if let Some(task) = lanes.short.pop_front() {
                return Some((task, true));
            }
            if !short_only && let Some(task) = lanes.long.pop_front() {
                return Some((task, false));
            }
            self.changed.wait(&mut lanes);
        }
    }
}
