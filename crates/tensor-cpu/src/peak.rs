//! The most that the machine can multiply and add, to compare the encoder with.
//!
//! It must not know the encoder. Invariant: everything stays in registers, so that no memory is in the way.

use std::time::{Duration, Instant};

use super::kernels::Kernels;
use super::simd::Simd;
use super::team::Team;

/// Sums under way at once: enough to keep two units busy whose instructions take four cycles.
const SUMS: usize = 12;

/// Rounds between two looks at the clock.
const ROUNDS: usize = 100_000;

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
    pub fn measure(kernels: &Kernels, team: &Team) -> Self {
        let rate = |round: &(dyn Fn() -> usize + Sync)| {
            let rates = parking_lot::Mutex::new(Vec::new());
            team.run(team.size(), |_| {
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

/// Operations of [`ROUNDS`] rounds of multiplications in `f32`.
///
/// # Safety
/// The machine has the instruction set.
#[inline(always)]
pub(super) unsafe fn multiply_floats<S: Simd>() -> usize {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [S::splat(0.0); SUMS];
        let (a, b) = (S::splat(std::hint::black_box(1.0)), S::splat(std::hint::black_box(1e-9)));
        for _ in 0..ROUNDS {
            let mut index = 0;
            while index < SUMS {
                sums[index] = S::mul_add(a, b, sums[index]);
                index += 1;
            }
        }
        let mut total = 0.0;
        let mut index = 0;
        while index < SUMS {
            total += S::sum(sums[index]);
            index += 1;
        }
        std::hint::black_box(total);
    }
    2 * S::LANES * SUMS * ROUNDS
}

/// Operations of [`ROUNDS`] rounds of dot products of bytes.
///
/// # Safety
/// The machine has the instruction set.
#[inline(always)]
pub(super) unsafe fn multiply_bytes<S: Simd>() -> usize {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [S::splat_ints(0); SUMS];
        let (a, b) = (S::splat_ints(std::hint::black_box(1)), S::splat_ints(std::hint::black_box(1)));
        for _ in 0..ROUNDS {
            let mut index = 0;
            while index < SUMS {
                sums[index] = S::dot(sums[index], a, b);
                index += 1;
            }
        }
        let mut total = 0.0;
        let mut index = 0;
        while index < SUMS {
            total += S::sum(S::to_floats(sums[index]));
            index += 1;
        }
        std::hint::black_box(total);
    }
    8 * S::LANES * SUMS * ROUNDS
}
