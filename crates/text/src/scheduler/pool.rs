//! Threads that tokenize. A request is done in chunks of a few milliseconds, so that many requests advance together and
//! several threads can work on one.
//!
//! It must not know what a chunk does.
//! Invariants: a short task waits for no long one: one thread takes short tasks only, the others take them first; long
//! tasks take turns, chunk by chunk.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};

/// What a thread does before it looks for other work.
pub(super) type Chunk = Box<dyn FnOnce() + Send>;

/// Hands out the chunks of a task, which may run at the same time. All threads wait while it does.
pub(super) type TokenizerTask = Box<dyn Iterator<Item = Chunk> + Send>;

/// The threads; dropping it ends them after their current chunk.
pub(super) struct TokenizerPool(Arc<Shared>);

struct Shared {
    queues: Mutex<TaskQueues>,
    /// Signalled when a task is pushed or the pool is closed.
    changed: Condvar,
}

#[derive(Default)]
struct TaskQueues {
    /// Tasks of few and short texts, first come first served.
    short: VecDeque<TokenizerTask>,
    /// All others; whenever it has handed out a chunk a task goes to the back, so that none waits for another to
    /// finish.
    long: VecDeque<TokenizerTask>,
    /// The pool is gone: threads end.
    closed: bool,
}

impl TokenizerPool {
    /// Starts `threads` for all tasks and one for short tasks.
    pub(super) fn start(threads: usize) -> io::Result<Self> {
        let pool = Self(Arc::new(Shared { queues: Mutex::default(), changed: Condvar::new() }));
        for index in 0..=threads {
            let shared = Arc::clone(&pool.0);
            let builder = thread::Builder::new().name(format!("tokenize {index}"));
            builder.spawn(move || shared.work(index == 0))?;
        }
        Ok(pool)
    }

    /// Accepts a task.
    pub(super) fn push(&self, task: TokenizerTask, short: bool) {
        let mut queues = self.0.queues.lock();
        let queue = if short { &mut queues.short } else { &mut queues.long };
        queue.push_back(task);
        // All, because there may be chunks for all, and the one that would be woken may take short tasks only.
        self.0.changed.notify_all();
    }
}

impl Drop for TokenizerPool {
    fn drop(&mut self) {
        self.0.queues.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn work(&self, short_only: bool) {
        while let Some(chunk) = self.take(short_only) {
            // A panic drops what the chunk held of its task; when all of it is gone, that answers the request.
            let _ = catch_unwind(AssertUnwindSafe(chunk));
        }
    }

    fn take(&self, short_only: bool) -> Option<Chunk> {
        let mut queues = self.queues.lock();
        loop {
            if queues.closed {
                return None;
            }
            let chunk = queues.short_chunk().or_else(|| if short_only { None } else { queues.long_chunk() });
            if chunk.is_some() {
                return chunk;
            }
            self.changed.wait(&mut queues);
        }
    }
}

impl TaskQueues {
    fn short_chunk(&mut self) -> Option<Chunk> {
        while let Some(mut task) = self.short.pop_front() {
            if let Some(chunk) = task.next() {
                self.short.push_front(task);
                return Some(chunk);
            }
        }
        None
    }

    fn long_chunk(&mut self) -> Option<Chunk> {
        while let Some(mut task) = self.long.pop_front() {
            if let Some(chunk) = task.next() {
                self.long.push_back(task);
                return Some(chunk);
            }
        }
        None
    }
}
