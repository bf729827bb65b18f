//! The threads that models of this crate compute on: a pool that is started when it is first needed.
//!
//! It must not know what is computed. Invariant: no more threads than were allowed, and none before there is work for them.

use std::sync::OnceLock;

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// A pool, perhaps not started yet.
#[derive(Debug)]
pub(crate) struct Threads {
    count: usize,
    pool: OnceLock<Option<ThreadPool>>,
}

impl Threads {
    /// At most so many; 0 for one a core.
    pub(crate) fn new(count: usize) -> Self {
        Self { count, pool: OnceLock::new() }
    }

    /// The pool.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if the system gives no threads.
    pub(crate) fn pool(&self) -> Result<&ThreadPool, EngineError> {
        let start = || {
            let name = |number| format!("columns {number}");
            ThreadPoolBuilder::new().num_threads(self.count).thread_name(name).build().ok()
        };
        self.pool.get_or_init(start).as_ref().ok_or_else(|| {
            EngineError::new(ErrorKind::Internal, "could not start threads for models of columns")
        })
    }
}
