//! The same work for many items, on several threads.
//!
//! Not for server processes, which must not start threads. It must not know the work. Invariant: results are in the order of the
//! items, whatever the number of threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Items that a thread takes at once.
const CHUNK: usize = 16;

/// What `work` makes of each item. A panic in it is one of the caller's.
pub fn map<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if threads <= 1 || items.len() <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let chunk = next.fetch_add(1, Ordering::Relaxed);
            let from = chunk.saturating_mul(CHUNK);
            let Some(rest) = items.get(from..).filter(|rest| !rest.is_empty()) else { return done };
            done.push((chunk, rest.iter().take(CHUNK).map(&work).collect::<Vec<R>>()));
        }
    };
    let mut chunks = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let mut chunks = Vec::new();
        for worker in workers {
            match worker.join() {
                Ok(done) => chunks.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        chunks
    });
    chunks.sort_by_key(|(chunk, _)| *chunk);
    chunks.into_iter().flat_map(|(_, results)| results).collect()
}
