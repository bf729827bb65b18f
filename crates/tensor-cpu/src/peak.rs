//! The most that the machine can multiply and add, to compare the encoder with.
//!
//! It must not know the encoder. Invariant: all threads multiply for as long as it takes.

use std::time::{Duration, Instant};

use super::kernels::Kernels;
use super::thread_pool::ThreadPool;

/// How long each measurement takes.
const TIME: Duration = Duration::from_millis(300);

/// Operations per second, where a multiplication and an addition are two, of all threads together.
#[derive(Debug, Clone, Copy)]
pub struct Peak {
    /// In single precision.
    pub f32: f64,
    /// On bytes, as the kernels multiply them.
    pub int8: f64,
}

impl Peak {
    /// Measures for a little more than half a second.
    pub fn measure(kernels: &Kernels, pool: &ThreadPool) -> Self {
        let rate = |round: &(dyn Fn() -> usize + Sync)| {
            let rates = parking_lot::Mutex::new(Vec::new());
            pool.run(pool.size(), |_| {
                let (start, mut operations) = (Instant::now(), 0);
                while start.elapsed() < TIME {
                    operations += round();
                }
                rates.lock().push(operations as f64 / start.elapsed().as_secs_f64());
            });
            rates.into_inner().iter().sum()
        };
        Self { f32: rate(&|| kernels.multiply_floats()), int8: rate(&|| kernels.multiply_bytes()) }
    }
}
