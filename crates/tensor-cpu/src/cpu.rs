//! The processor.
//!
//! It must not know what is computed. Invariant: a pool of at least one thread.

use std::sync::Arc;

use super::kernels::Kernels;
use super::thread_pool::ThreadPool;

/// The processor, and the threads that compute on it.
#[derive(Debug, Clone)]
pub struct Cpu {
    /// What all models compute with.
    pub kernels: Kernels,
    /// One batch at a time is divided among these.
    pub pool: Arc<ThreadPool>,
}

impl Cpu {
    /// The processor with certain kernels and a pool of its own.
    pub fn new(kernels: Kernels, threads: usize) -> Self {
        Self { kernels, pool: Arc::new(ThreadPool::new(threads.max(1))) }
    }
}
