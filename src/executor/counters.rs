//! What a node has done, for EXPLAIN ANALYZE, its parallel workers' share included.
//!
//! Each worker counts in its own part of the query's shared memory; the leader adds them up when it lets go of that, which
//! it does after the last worker has ended. Invariant: the numbers have one writer each.

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
    pub fn add_answers(&mut self, answers: &Answers) {
        let completed = answers.completed();
        self.cached += completed.cached;
        self.tokens += completed.tokens;
        self.engine_micros += completed.micros;
    }

    /// Counts the time since `start` as waited for.
    pub fn add_waiting(&mut self, start: Instant) {
        let waited: Duration = start.elapsed();
        self.waiting_micros += u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        self.windows += other.windows;
        self.texts += other.texts;
        self.distinct += other.distinct;
        self.cached += other.cached;
        self.tokens += other.tokens;
        self.engine_micros += other.engine_micros;
        self.waiting_micros += other.waiting_micros;
    }
}

/// The workers' counters in shared memory, for as long as it is there.
pub struct SharedCounters {
    segment: *mut pg_sys::dsm_segment,
    first: *mut Counters,
    workers: usize,
    /// What they are added to.
    total: Counters,
    /// Whether the shared memory is still there.
    attached: bool,
}

impl SharedCounters {
    /// Bytes for so many workers.
    pub fn size(workers: usize) -> usize {
        workers * size_of::<Counters>()
    }

    /// Makes the counters; nothing if there are no workers to have them. It must not be moved.
    ///
    /// # Safety
    /// `memory` has room for [`size`](Self::size), is aligned, and is part of the context's shared memory, if it has some.
    pub unsafe fn make(parallel: *mut pg_sys::ParallelContext, memory: *mut Counters) -> Option<Box<Self>> {
        // SAFETY: as the caller promises.
        unsafe {
            let segment = (*parallel).seg;
            let workers = usize::try_from((*parallel).nworkers).unwrap_or(0);
            let total = Counters::default();
            let mut shared_counters =
                Box::new(Self { segment, first: memory, workers, total, attached: true });
            // Without a segment no worker is started.
            if segment.is_null() {
                return None;
            }
            shared_counters.clear();
            pg_sys::on_dsm_detach(segment, Some(on_detach), pg_sys::Datum::from(&raw mut *shared_counters));
            Some(shared_counters)
        }
    }

    /// What workers counted that have ended. Those of a rescan count from zero again.
    pub fn total(&self) -> Counters {
        self.total
    }

    /// Adds what the workers counted to the total and sets them to zero.
    pub fn collect(&mut self) {
        if self.attached {
            // SAFETY: the memory is still there; workers write their counters in one piece that nobody else writes.
            unsafe {
                (0..self.workers).for_each(|worker| self.total.add(&self.first.add(worker).read_volatile()));
                self.clear();
            }
        }
    }

    unsafe fn clear(&self) {
        // SAFETY: as the caller promises.
        unsafe { (0..self.workers).for_each(|worker| self.first.add(worker).write(Counters::default())) };
    }
}

impl Drop for SharedCounters {
    fn drop(&mut self) {
        if self.attached {
            let argument = pg_sys::Datum::from(std::ptr::from_mut(self));
            // SAFETY: the segment hasn't been let go, or else the callback would have said so.
            unsafe { pg_sys::cancel_on_dsm_detach(self.segment, Some(on_detach), argument) };
        }
    }
}

/// The leader lets go of the shared memory.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_detach(_segment: *mut pg_sys::dsm_segment, shared_counters: pg_sys::Datum) {
    // SAFETY: `make` passed it, and it cancels this when it is dropped.
    let shared_counters = unsafe { &mut *shared_counters.cast_mut_ptr::<SharedCounters>() };
    shared_counters.collect();
    shared_counters.attached = false;
}

/// This worker's counters.
///
/// # Safety
/// `memory` is what the leader made the counters in.
pub unsafe fn counters_of_worker(memory: *mut Counters) -> *mut Counters {
    // SAFETY: workers are numbered from 0.
    unsafe { memory.add(usize::try_from(pg_sys::ParallelWorkerNumber).unwrap_or(0)) }
}
