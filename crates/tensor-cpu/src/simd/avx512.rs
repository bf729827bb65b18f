//! AVX-512: F, BW, DQ and VL, with or without VNNI.

use std::arch::x86_64::*;

use super::{ByteLimits, Simd};

/// With the dot product of bytes (VNNI).
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vnni;

/// Without it.
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

#[inline(always)]
fn mask(count: usize) -> __mmask16 {
    ((1_u32 << count) - 1) as __mmask16
}

/// The bytes' dot product by way of sums of two products in 16 bits, which [`ByteLimits::PAIRS`] leave room for.
#[inline(always)]
unsafe fn dot_by_pairs(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: as the trait's.
    unsafe {
        let pairs = _mm512_maddubs_epi16(a, b);
        _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))
    }
}

/// Exchanges rows and columns of 16 vectors: pairs, fours, then quarters of the registers.
#[inline(always)]
unsafe fn transposed(rows: [__m512; 16]) -> [__m512; 16] {
    // SAFETY: as the trait's.
    unsafe {
        let mut pairs = rows;
        for index in (0..16).step_by(2) {
            pairs[index] = _mm512_unpacklo_ps(rows[index], rows[index + 1]);
            pairs[index + 1] = _mm512_unpackhi_ps(rows[index], rows[index + 1]);
        }
        // `fours[4 g + c]` holds column c of each quarter, of the four rows of group g.
        let mut fours = pairs;
        for group in (0..16).step_by(4) {
            for half in 0..2 {
                let (upper, lower) = (pairs[group + half], pairs[group + 2 + half]);
                fours[group + 2 * half] = _mm512_shuffle_ps(upper, lower, 0b01_00_01_00);
                fours[group + 2 * half + 1] = _mm512_shuffle_ps(upper, lower, 0b11_10_11_10);
            }
        }
        let mut columns = fours;
        for column in 0..4 {
            let [a, b, c, d] = [0, 4, 8, 12].map(|group| fours[group + column]);
            let even_upper = _mm512_shuffle_f32x4(a, b, 0b10_00_10_00);
            let odd_upper = _mm512_shuffle_f32x4(a, b, 0b11_01_11_01);
            let even_lower = _mm512_shuffle_f32x4(c, d, 0b10_00_10_00);
            let odd_lower = _mm512_shuffle_f32x4(c, d, 0b11_01_11_01);
            columns[column] = _mm512_shuffle_f32x4(even_upper, even_lower, 0b10_00_10_00);
            columns[4 + column] = _mm512_shuffle_f32x4(odd_upper, odd_lower, 0b10_00_10_00);
            columns[8 + column] = _mm512_shuffle_f32x4(even_upper, even_lower, 0b11_01_11_01);
            columns[12 + column] = _mm512_shuffle_f32x4(odd_upper, odd_lower, 0b11_01_11_01);
        }
        columns
    }
}

macro_rules! implement {
    ($name:ty, $dot:expr, $limits:expr, $byte_rows:literal) => {
        // SAFETY of all functions: the caller has made sure of the instruction set and of the pointers.
        impl Simd for $name {
            const LANES: usize = 16;
            const VECTORS: usize = 2;
            const ROWS: usize = 14;
            const BYTE_ROWS: usize = $byte_rows;
            const LIMITS: ByteLimits = $limits;
            type Floats = __m512;
            type Ints = __m512i;

            #[inline(always)]
            unsafe fn splat(value: f32) -> __m512 {
                // SAFETY: see above.
                unsafe { _mm512_set1_ps(value) }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> __m512 {
                // SAFETY: see above.
                unsafe { _mm512_loadu_ps(from) }
            }
            #[inline(always)]
            unsafe fn load_part(from: *const f32, count: usize) -> __m512 {
                // SAFETY: see above.
                unsafe { _mm512_maskz_loadu_ps(mask(count), from) }
            }
            #[inline(always)]
            unsafe fn store(to: *mut f32, value: __m512) {
                // SAFETY: see above.
                unsafe { _mm512_storeu_ps(to, value) }
            }
            #[inline(always)]
            unsafe fn store_part(to: *mut f32, value: __m512, count: usize) {
                // SAFETY: see above.
                unsafe { _mm512_mask_storeu_ps(to, mask(count), value) }
            }
            #[inline(always)]
            unsafe fn first(value: __m512, other: __m512, count: usize) -> __m512 {
                // SAFETY: see above.
                unsafe { _mm512_mask_blend_ps(mask(count), other, value) }
            }
            #[inline(always)]
            unsafe fn add(a: __m512, b: __m512) -> __m512 {
                // SAFETY: see above.
                unsafe { _mm512_add_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn sub(a: __m512, b: __m512) -> __m512 {
                // SAFETY: see above.
                unsafe { _mm512_sub_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn mul(a: __m512, b: __m512) -> __m512 {
                // SAFETY: see above.
                unsafe { _mm512_mul_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
                // SAFETY: see above.
                unsafe { _mm512_fmadd_ps(a, b, c) }
            }
            #[inline(always)]
            unsafe fn min(a: __m512, b: __m512) -> __m512 {
                // SAFETY: see above.
                unsafe { _mm512_min_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn max(a: __m512, b: __m512) -> __m512 {
                // SAFETY: see above.
                unsafe { _mm512_max_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn reciprocal(a: __m512) -> __m512 {
                // One step of Newton's doubles the 14 bits of the estimate.
                // SAFETY: see above.
                unsafe {
                    let estimate = _mm512_rcp14_ps(a);
                    _mm512_mul_ps(estimate, _mm512_fnmadd_ps(a, estimate, _mm512_set1_ps(2.0)))
                }
            }
            #[inline(always)]
            unsafe fn round(a: __m512) -> __m512 {
                // SAFETY: see above.
                unsafe { _mm512_roundscale_ps::<0>(a) }
            }
            #[inline(always)]
            unsafe fn scale(a: __m512, n: __m512) -> __m512 {
                // SAFETY: see above.
                unsafe { _mm512_scalef_ps(a, n) }
            }
            #[inline(always)]
            unsafe fn sum(a: __m512) -> f32 {
                // SAFETY: see above.
                unsafe { _mm512_reduce_add_ps(a) }
            }
            #[inline(always)]
            unsafe fn least(a: __m512) -> f32 {
                // SAFETY: see above.
                unsafe { _mm512_reduce_min_ps(a) }
            }
            #[inline(always)]
            unsafe fn greatest(a: __m512) -> f32 {
                // SAFETY: see above.
                unsafe { _mm512_reduce_max_ps(a) }
            }
            #[inline(always)]
            unsafe fn transpose(
                (from, stride): (*const f32, usize),
                count: usize,
                (to, to_stride): (*mut f32, usize),
            ) {
                // SAFETY: see above.
                unsafe {
                    let mut rows = [_mm512_setzero_ps(); 16];
                    for (index, row) in rows.iter_mut().enumerate() {
                        if index < count {
                            *row = _mm512_loadu_ps(from.add(index * stride));
                        }
                    }
                    for (index, column) in transposed(rows).into_iter().enumerate() {
                        _mm512_storeu_ps(to.add(index * to_stride), column);
                    }
                }
            }
            #[inline(always)]
            unsafe fn splat_ints(value: i32) -> __m512i {
                // SAFETY: see above.
                unsafe { _mm512_set1_epi32(value) }
            }
            #[inline(always)]
            unsafe fn load_ints(from: *const i32) -> __m512i {
                // SAFETY: see above.
                unsafe { _mm512_loadu_si512(from.cast()) }
            }
            #[inline(always)]
            unsafe fn sub_mul_ints(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
                // SAFETY: see above.
                unsafe { _mm512_sub_epi32(a, _mm512_mullo_epi32(b, c)) }
            }
            #[inline(always)]
            unsafe fn to_floats(a: __m512i) -> __m512 {
                // SAFETY: see above.
                unsafe { _mm512_cvtepi32_ps(a) }
            }
            #[inline(always)]
            fn prefetch(address: *const i8) {
                // SAFETY: the instruction does nothing where there is no memory, and every processor of this family has it.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
            }
            #[inline(always)]
            unsafe fn dot(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
                // SAFETY: see above.
                unsafe { $dot(sum, a, b) }
            }
            #[inline(always)]
            unsafe fn store_bytes(to: *mut u8, value: __m512, count: usize) {
                // Out of range of `i32` and NaN become the least `i32`, so the clamp comes first, and `max` gives
                // its second argument for NaN.
                // SAFETY: see above.
                unsafe {
                    let value = _mm512_max_ps(value, _mm512_setzero_ps());
                    let value = _mm512_min_ps(value, _mm512_set1_ps(f32::from(Self::LIMITS.byte)));
                    let bytes = _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(value));
                    _mm_mask_storeu_epi8(to.cast(), mask(count), bytes);
                }
            }
        }
    };
}

implement!(Avx512Vnni, _mm512_dpbusd_epi32, ByteLimits::NONE, 14);
implement!(Avx512, dot_by_pairs, ByteLimits::PAIRS, 12);
