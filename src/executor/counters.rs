//! What a node has done, for EXPLAIN ANALYZE, its parallel workers' share included.
//!
//! Each worker counts in its own place of the query's shared memory; the leader adds them up before that goes.
//! Invariant: the numbers have one writer each.

use std::time::{Duration, Instant};

use pgrx::pg_sys;

use crate::inference::Answers;

/// Sums over windows.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Counters {
    pub windows: u64,
    /// Texts of all calls, those that were NULL aside.
    pub texts: u64,
    /// Texts asked for: equal ones of a window count once.
    pub distinct: u64,
    pub cached: u64,
    pub tokens: u64,
    /// Time that requests spent in the engine, in microseconds; those in flight together overlap.
    pub engine_micros: u64,
    /// Time that the query stood still for the engine, in microseconds.
    pub waiting_micros: u64,
}

impl Counters {
    /// Counts what answering some texts took.
    pub fn answered(&mut self, answers: &Answers) {
        let completed = answers.completed();
        self.cached += completed.cached;
        self.tokens += completed.tokens;
        self.engine_micros += completed.micros;
    }

    /// Counts the time since `start` as waited for.
    pub fn waited(&mut self, start: Instant) {
        let waited: Duration = start.elapsed();
        self.waiting_micros += u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
    }

    fn add(&mut self, other: &Self) {
        self.windows += other.windows;
        self.texts += other.texts;
        self.distinct += other.distinct;
        self.cached += other.cached;
        self.tokens += other.tokens;
        self.engine_micros += other.engine_micros;
        self.waiting_micros += other.waiting_micros;
    }
}

/// The workers' places in shared memory, for as long as it is there.
pub struct Shares {
    first: *mut Counters,
    workers: usize,
}

impl Shares {
    /// Bytes for so many workers.
    pub fn size(workers: usize) -> usize {
        workers * size_of::<Counters>()
    }

    /// Makes the places.
    ///
    /// # Safety
    /// `memory` has room for [`size`](Self::size) and is aligned, and stays until [`collect`](Self::collect).
    pub unsafe fn make(memory: *mut Counters, workers: usize) -> Self {
        let shares = Self { first: memory, workers };
        // SAFETY: as the caller promises.
        unsafe { shares.clear() };
        shares
    }

    /// Adds what the workers counted to `total` and sets them to zero.
    ///
    /// # Safety
    /// The memory is still there.
    pub unsafe fn collect(&self, total: &mut Counters) {
        // SAFETY: as the caller promises; workers write their place in one piece that nobody else writes.
        unsafe {
            (0..self.workers).for_each(|worker| total.add(&self.first.add(worker).read_volatile()));
            self.clear();
        }
    }

    unsafe fn clear(&self) {
        // SAFETY: as the caller promises.
        unsafe { (0..self.workers).for_each(|worker| self.first.add(worker).write(Counters::default())) };
    }
}

/// This worker's place.
///
/// # Safety
/// `memory` is what the leader made the places in.
pub unsafe fn place_of_worker(memory: *mut Counters) -> *mut Counters {
    // SAFETY: workers are numbered from 0.
    unsafe { memory.add(usize::try_from(pg_sys::ParallelWorkerNumber).unwrap_or(0)) }
}
