//! The processor.
//!
//! It must not know what is computed. Invariant: a team of at least one thread.

use std::sync::Arc;

use super::kernels::Kernels;
use super::team::Team;

/// The processor, and the threads that compute on it.
#[derive(Debug, Clone)]
pub struct Cpu {
    /// What all models compute with.
    pub kernels: Kernels,
    /// One batch at a time is divided among these.
    pub team: Arc<Team>,
}

impl Cpu {
    /// The processor with certain kernels and a team of its own.
    pub fn new(kernels: Kernels, threads: usize) -> Self {
        Self { kernels, team: Arc::new(Team::new(threads.max(1))) }
    }
}
