//! Multiplications of nothing in particular, for [`Peak`](super::peak::Peak).
//!
//! It must not know clocks. Invariant: no multiplication can be left out, moved out of the loop or shared by two sums: each sum
//! has a pair of factors of its own, and all factors are read anew in each round by reads that the compiler must keep.

use std::ptr;

use super::simd::Simd;

/// Vectors of either factor. All pairs make twelve sums: enough to keep two units busy whose instructions take five cycles.
const LEFT: usize = 6;
const RIGHT: usize = 2;

/// Rounds between two looks at the clock.
const ROUNDS: usize = 100_000;

/// Most lanes of all instruction sets.
const MOST_LANES: usize = 16;

/// Operations of [`ROUNDS`] rounds of multiplications in `f32`.
///
/// # Safety
/// The machine has the instruction set.
#[inline(always)]
pub(super) unsafe fn multiply_floats<S: Simd>() -> usize {
    // Less than one, so that the sums never grow without bound nor the products become too small to be normal.
    let (left, right) = (
        [(); LEFT].map(|()| Factor([1e-3_f32; MOST_LANES])),
        [(); RIGHT].map(|()| Factor([1e-3_f32; MOST_LANES])),
    );
    // SAFETY: the caller's; a vector has at most `MOST_LANES` lanes.
    unsafe {
        let mut sums = [[S::splat(0.0); RIGHT]; LEFT];
        for _ in 0..ROUNDS {
            let right = right.each_ref().map(|factor| factor.read::<S::Floats>());
            for (sums, factor) in sums.iter_mut().zip(&left) {
                let left = factor.read::<S::Floats>();
                for (sum, &right) in sums.iter_mut().zip(&right) {
                    *sum = S::mul_add(left, right, *sum);
                }
            }
        }
        std::hint::black_box(sums);
    }
    2 * S::LANES * LEFT * RIGHT * ROUNDS
}

/// Operations of [`ROUNDS`] rounds of dot products of bytes.
///
/// # Safety
/// The machine has the instruction set.
#[inline(always)]
pub(super) unsafe fn multiply_bytes<S: Simd>() -> usize {
    let (left, right) =
        ([(); LEFT].map(|()| Factor([1_i32; MOST_LANES])), [(); RIGHT].map(|()| Factor([1_i32; MOST_LANES])));
    // SAFETY: the caller's; a vector has at most `MOST_LANES` lanes.
    unsafe {
        let mut sums = [[S::splat_ints(0); RIGHT]; LEFT];
        for _ in 0..ROUNDS {
            let right = right.each_ref().map(|factor| factor.read::<S::Ints>());
            for (sums, factor) in sums.iter_mut().zip(&left) {
                let left = factor.read::<S::Ints>();
                for (sum, &right) in sums.iter_mut().zip(&right) {
                    *sum = S::dot(*sum, left, right);
                }
            }
        }
        std::hint::black_box(sums);
    }
    8 * S::LANES * LEFT * RIGHT * ROUNDS
}

/// Numbers for a vector of any instruction set, where it may lie.
#[repr(align(64))]
struct Factor<T>([T; MOST_LANES]);

impl<T> Factor<T> {
    /// The vector that begins here, read from memory even if the compiler knows what is there.
    ///
    /// # Safety
    /// `V` is a vector of at most [`MOST_LANES`] such numbers.
    #[inline(always)]
    unsafe fn read<V: Copy>(&self) -> V {
        // SAFETY: the caller's; no vector needs more alignment than there is.
        unsafe { ptr::read_volatile(self.0.as_ptr().cast::<V>()) }
    }
}
