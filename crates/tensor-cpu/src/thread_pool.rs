//! The threads that compute, and how they work together on one batch.
//!
//! It must not know models. Invariant: threads without work sleep; a thread that panics takes the others of its
//! batch with it, and none waits for it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{hint, thread};

use parking_lot::{Condvar, Mutex};

/// How often a thread looks for the others before it goes to sleep: some 20 µs, about what waking it would take.
const SPINS: u32 = 2_000;

/// A fixed number of threads, one of which is whoever calls.
pub struct ThreadPool {
    /// All but the caller; `None` if there are no others.
    others: Option<rayon::ThreadPool>,
    size: usize,
}

impl ThreadPool {
    /// A pool of `size` threads, at least one; of fewer if the system refuses them.
    pub fn new(size: usize) -> Self {
        let others = || {
            rayon::ThreadPoolBuilder::new()
                .num_threads(size - 1)
                .thread_name(|i| format!("compute {}", i + 1))
        };
        let others = if size > 1 { others().build().ok() } else { None };
        let size = if others.is_some() { size } else { 1 };
        Self { others, size }
    }

    /// How many threads.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Calls `work` on `threads` threads at once, at most all, with the numbers from 0 on; returns when all are done.
    ///
    /// # Panics
    /// If `work` panics.
    pub fn run(&self, threads: usize, work: impl Fn(usize) + Sync) {
        let Some(others) = self.others.as_ref().filter(|_| threads > 1) else { return work(0) };
        others.in_place_scope(|scope| {
            scope.spawn_broadcast(|_, thread| {
                if thread.index() + 1 < threads {
                    work(thread.index() + 1);
                }
            });
            work(0);
        });
    }

    /// Calls `work` for all items, each on whichever thread comes to it first; returns when all are done.
    ///
    /// # Panics
    /// If `work` panics.
    pub fn each<I>(&self, items: I, work: impl Fn(I::Item) + Sync)
    where
        I: Iterator + Send,
        I::Item: Send,
    {
        if self.size == 1 {
            return items.for_each(work);
        }
        let items = Mutex::new(items);
        self.run(self.size, |_| {
            loop {
                let Some(item) = items.lock().next() else { return };
                work(item);
            }
        });
    }
}

impl std::fmt::Debug for ThreadPool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("ThreadPool").field(&self.size).finish()
    }
}

/// Where threads wait for each other.
pub(super) struct Barrier {
    threads: usize,
    arrived: AtomicUsize,
    /// How often all have arrived.
    round: AtomicUsize,
    /// A thread panicked and will never arrive.
    broken: AtomicBool,
    /// Held to begin a round, so that nobody falls asleep over it.
    door: Mutex<()>,
    opened: Condvar,
}

impl Barrier {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            threads,
            arrived: AtomicUsize::new(0),
            round: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            door: Mutex::new(()),
            opened: Condvar::new(),
        }
    }

    /// Returns when all threads have called it; what they wrote before is then seen by all.
    ///
    /// # Panics
    /// If a thread panicked.
    pub(super) fn wait(&self) {
        if self.threads == 1 {
            return;
        }
        let round = self.round.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.arrived.store(0, Ordering::Relaxed);
            self.open(|| self.round.store(round + 1, Ordering::Release));
        } else {
            self.wait_for_end_of(round);
        }
        assert!(!self.broken.load(Ordering::Acquire), "another thread of the batch panicked");
    }

    fn wait_for_end_of(&self, round: usize) {
        let over = || self.round.load(Ordering::Acquire) != round || self.broken.load(Ordering::Acquire);
        for _ in 0..SPINS {
            if over() {
                return;
            }
            hint::spin_loop();
        }
        let mut door = self.door.lock();
        while !over() {
            self.opened.wait(&mut door);
        }
    }

    fn open(&self, change: impl FnOnce()) {
        let door = self.door.lock();
        change();
        drop(door);
        self.opened.notify_all();
    }

    /// Breaks the barrier if the thread is panicking when this is dropped.
    pub(super) fn guard(&self) -> BarrierGuard<'_> {
        BarrierGuard(self)
    }
}

/// The guard of a thread that others wait for.
pub(super) struct BarrierGuard<'a>(&'a Barrier);

impl Drop for BarrierGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.open(|| self.0.broken.store(true, Ordering::Release));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn all_threads_work_at_once() {
        let pool = ThreadPool::new(4);
        let barrier = Barrier::new(4);
        let seen = AtomicU64::new(0);
        for round in 0..200 {
            pool.run(4, |thread| {
                let _guard = barrier.guard();
                seen.fetch_add(1 << (8 * thread), Ordering::Relaxed);
                barrier.wait();
                let expected = u64::from_ne_bytes([1, 1, 1, 1, 0, 0, 0, 0]) * (round % 200 + 1);
                assert_eq!(seen.load(Ordering::Relaxed), expected);
                barrier.wait();
            });
        }
    }

    #[test]
    fn fewer_run_than_there_are_threads() {
        let seen = AtomicU64::new(0);
        ThreadPool::new(3).run(2, |thread| {
            seen.fetch_add(1 << thread, Ordering::Relaxed);
        });
        assert_eq!(seen.into_inner(), 0b11);
    }

    #[test]
    fn a_panic_ends_the_batch_for_all() {
        let pool = ThreadPool::new(3);
        for guilty in 0..3 {
            let barrier = Barrier::new(3);
            let run = || {
                pool.run(3, |thread| {
                    let _guard = barrier.guard();
                    assert_ne!(thread, guilty, "on purpose");
                    barrier.wait();
                });
            };
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        }
        pool.run(3, |_| ());
    }
}
