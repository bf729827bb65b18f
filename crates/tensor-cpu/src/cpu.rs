//! The processor, and which of its instruction sets is computed with.
//!
//! It must not know what is computed. Invariant: a pool of at least one thread.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::sync::Arc;

use super::kernels::Kernels;
use super::thread_pool::ThreadPool;

/// The environment variable that names the kernels to compute with, so that tests and benchmarks can run what a better
/// processor would not choose.
pub const KERNELS_VARIABLE: &str = "ECOMMERCE_ML_KERNELS";

/// The processor, and the threads that compute on it.
#[derive(Debug, Clone)]
pub struct Cpu {
    /// What all models compute with.
    pub kernels: Kernels,
    /// One batch at a time is divided among these.
    pub pool: Arc<ThreadPool>,
}

/// Kernels were asked for that this processor can't run, or that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingKernels {
    /// What was asked for.
    pub name: String,
}

impl Cpu {
    /// The processor with certain kernels and a pool of its own.
    pub fn new(kernels: Kernels, threads: usize) -> Self {
        Self { kernels, pool: Arc::new(ThreadPool::new(threads.max(1))) }
    }

    /// The processor with the kernels that [`KERNELS_VARIABLE`] names, or else with the fastest.
    ///
    /// # Errors
    /// If the variable names what this processor lacks.
    pub fn open(threads: usize) -> Result<Self, MissingKernels> {
        Ok(Self::new(kernels(env::var_os(KERNELS_VARIABLE).as_deref())?, threads))
    }
}

/// The kernels of this name, the fastest if there is none.
fn kernels(name: Option<&OsStr>) -> Result<Kernels, MissingKernels> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(Kernels::best()) };
    let named = Kernels::supported().into_iter().find(|kernels| name == kernels.name());
    named.ok_or_else(|| MissingKernels { name: name.to_string_lossy().into_owned() })
}

impl fmt::Display for MissingKernels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "kernels \"{}\" can't run on this processor", self.name)
    }
}

impl std::error::Error for MissingKernels {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_by_their_name() {
        for supported in Kernels::supported() {
            assert_eq!(kernels(Some(supported.name().as_ref())).unwrap().name(), supported.name());
        }
        assert_eq!(kernels(None).unwrap().name(), Kernels::best().name());
        assert_eq!(kernels(Some("".as_ref())).unwrap().name(), Kernels::best().name());
    }

    #[test]
    fn kernels_that_are_not_there_are_refused() {
        for name in ["avx1024", "AVX2", "best"] {
            let refused = kernels(Some(name.as_ref())).unwrap_err();
            assert_eq!(refused.to_string(), format!("kernels \"{name}\" can't run on this processor"));
        }
    }
}
