//! Multiplications of nothing in particular, for [`Peak`](super::peak::Peak).
//!
//! It must not know clocks. Invariant: everything stays in registers, so that no memory is in the way.

use super::simd::Simd;

/// Sums under way at once: enough to keep two units busy whose instructions take four cycles.
const SUMS: usize = 12;

/// Rounds between two looks at the clock.
const ROUNDS: usize = 100_000;

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
