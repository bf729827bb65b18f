//! AVX2 with FMA, with or without the VEX form of VNNI.

use std::arch::x86_64::*;

use super::{ByteLimits, Simd};

/// With the dot product of bytes (AVX-VNNI).
#[derive(Clone, Copy)]
pub(crate) struct AvxVnni;

/// Without it.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

/// All bits of the first `count` lanes.
#[inline(always)]
unsafe fn mask(count: usize) -> __m256i {
    // SAFETY: as the trait's.
    unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
}

/// The bytes' dot product by way of sums of two products in 16 bits, which [`ByteLimits::PAIRS`] leave room for.
#[inline(always)]
unsafe fn dot_by_pairs(sum: __m256i, a: __m256i, b: __m256i) -> __m256i {
    // SAFETY: as the trait's.
    unsafe {
        let pairs = _mm256_maddubs_epi16(a, b);
        _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    }
}

/// Folds the upper half onto the lower one, and that onto its first number.
#[inline(always)]
unsafe fn fold(a: __m256, operation: impl Fn(__m128, __m128) -> __m128) -> f32 {
    // SAFETY: as the trait's.
    unsafe {
        let four = operation(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
        let two = operation(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(operation(two, _mm_shuffle_ps::<1>(two, two)))
    }
}

/// Exchanges rows and columns of 8 vectors: pairs, fours, then halves of the registers.
#[inline(always)]
unsafe fn transposed(rows: [__m256; 8]) -> [__m256; 8] {
    // SAFETY: as the trait's.
    unsafe {
        let mut pairs = rows;
        for index in (0..8).step_by(2) {
            pairs[index] = _mm256_unpacklo_ps(rows[index], rows[index + 1]);
            pairs[index + 1] = _mm256_unpackhi_ps(rows[index], rows[index + 1]);
        }
        let mut fours = pairs;
        for group in (0..8).step_by(4) {
            for half in 0..2 {
                let (upper, lower) = (pairs[group + half], pairs[group + 2 + half]);
                fours[group + 2 * half] = _mm256_shuffle_ps::<0b01_00_01_00>(upper, lower);
                fours[group + 2 * half + 1] = _mm256_shuffle_ps::<0b11_10_11_10>(upper, lower);
            }
        }
        let mut columns = fours;
        for column in 0..4 {
            columns[column] = _mm256_permute2f128_ps::<0x20>(fours[column], fours[4 + column]);
            columns[4 + column] = _mm256_permute2f128_ps::<0x31>(fours[column], fours[4 + column]);
        }
        columns
    }
}

macro_rules! implement {
    ($name:ty, $dot:expr, $limits:expr, $byte_rows:literal) => {
        // SAFETY of all functions: the caller has made sure of the instruction set and of the pointers.
        impl Simd for $name {
            const LANES: usize = 8;
            const VECTORS: usize = 2;
            const ROWS: usize = 6;
            const BYTE_ROWS: usize = $byte_rows;
            const LIMITS: ByteLimits = $limits;
            type Floats = __m256;
            type Ints = __m256i;

            #[inline(always)]
            unsafe fn splat(value: f32) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_set1_ps(value) }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_loadu_ps(from) }
            }
            #[inline(always)]
            unsafe fn load_part(from: *const f32, count: usize) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_maskload_ps(from, mask(count)) }
            }
            #[inline(always)]
            unsafe fn store(to: *mut f32, value: __m256) {
                // SAFETY: see above.
                unsafe { _mm256_storeu_ps(to, value) }
            }
            #[inline(always)]
            unsafe fn store_part(to: *mut f32, value: __m256, count: usize) {
                // SAFETY: see above.
                unsafe { _mm256_maskstore_ps(to, mask(count), value) }
            }
            #[inline(always)]
            unsafe fn first(value: __m256, other: __m256, count: usize) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_blendv_ps(other, value, _mm256_castsi256_ps(mask(count))) }
            }
            #[inline(always)]
            unsafe fn add(a: __m256, b: __m256) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_add_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn sub(a: __m256, b: __m256) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_sub_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn mul(a: __m256, b: __m256) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_mul_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_fmadd_ps(a, b, c) }
            }
            #[inline(always)]
            unsafe fn min(a: __m256, b: __m256) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_min_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn max(a: __m256, b: __m256) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_max_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn reciprocal(a: __m256) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_div_ps(_mm256_set1_ps(1.0), a) }
            }
            #[inline(always)]
            unsafe fn round(a: __m256) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
            }
            #[inline(always)]
            unsafe fn scale(a: __m256, n: __m256) -> __m256 {
                // SAFETY: see above.
                unsafe {
                    let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
                    _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
                }
            }
            #[inline(always)]
            unsafe fn sum(a: __m256) -> f32 {
                // SAFETY: see above.
                unsafe { fold(a, |a, b| _mm_add_ps(a, b)) }
            }
            #[inline(always)]
            unsafe fn least(a: __m256) -> f32 {
                // SAFETY: see above.
                unsafe { fold(a, |a, b| _mm_min_ps(a, b)) }
            }
            #[inline(always)]
            unsafe fn greatest(a: __m256) -> f32 {
                // SAFETY: see above.
                unsafe { fold(a, |a, b| _mm_max_ps(a, b)) }
            }
            #[inline(always)]
            unsafe fn transpose(
                (from, stride): (*const f32, usize),
                count: usize,
                (to, to_stride): (*mut f32, usize),
            ) {
                // SAFETY: see above.
                unsafe {
                    let mut rows = [_mm256_setzero_ps(); 8];
                    for (index, row) in rows.iter_mut().enumerate() {
                        if index < count {
                            *row = _mm256_loadu_ps(from.add(index * stride));
                        }
                    }
                    for (index, column) in transposed(rows).into_iter().enumerate() {
                        _mm256_storeu_ps(to.add(index * to_stride), column);
                    }
                }
            }
            #[inline(always)]
            unsafe fn splat_ints(value: i32) -> __m256i {
                // SAFETY: see above.
                unsafe { _mm256_set1_epi32(value) }
            }
            #[inline(always)]
            unsafe fn load_ints(from: *const i32) -> __m256i {
                // SAFETY: see above.
                unsafe { _mm256_loadu_si256(from.cast()) }
            }
            #[inline(always)]
            unsafe fn sub_mul_ints(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
                // SAFETY: see above.
                unsafe { _mm256_sub_epi32(a, _mm256_mullo_epi32(b, c)) }
            }
            #[inline(always)]
            unsafe fn to_floats(a: __m256i) -> __m256 {
                // SAFETY: see above.
                unsafe { _mm256_cvtepi32_ps(a) }
            }
            #[inline(always)]
            fn prefetch(address: *const i8) {
                // SAFETY: the instruction does nothing where there is no memory, and every processor of this family has it.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
            }
            #[inline(always)]
            unsafe fn dot(sum: __m256i, a: __m256i, b: __m256i) -> __m256i {
                // SAFETY: see above.
                unsafe { $dot(sum, a, b) }
            }
            #[inline(always)]
            unsafe fn store_bytes(to: *mut u8, value: __m256, count: usize) {
                // SAFETY: see above.
                unsafe {
                    // `max` gives its second argument for NaN.
                    let value = _mm256_max_ps(value, _mm256_setzero_ps());
                    let ints = _mm256_cvtps_epi32(_mm256_min_ps(
                        value,
                        _mm256_set1_ps(f32::from(Self::LIMITS.byte)),
                    ));
                    let halves =
                        _mm_packus_epi32(_mm256_castsi256_si128(ints), _mm256_extracti128_si256::<1>(ints));
                    let bytes = _mm_cvtsi128_si64(_mm_packus_epi16(halves, halves)).to_le_bytes();
                    std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, count);
                }
            }
        }
    };
}

implement!(AvxVnni, _mm256_dpbusd_avx_epi32, ByteLimits::NONE, 6);
implement!(Avx2, dot_by_pairs, ByteLimits::PAIRS, 4);
