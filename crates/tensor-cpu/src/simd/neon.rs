//! NEON with the dot product of bytes, as every 64-bit ARM server since 2019 has.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{ByteLimits, Simd};

/// NEON with `dotprod`.
#[derive(Clone, Copy)]
pub(crate) struct Neon;

// SAFETY of all functions: the caller has made sure of the instruction set and of the pointers.
impl Simd for Neon {
    const LANES: usize = 4;
    const VECTORS: usize = 4;
    const ROWS: usize = 6;
    const BYTE_ROWS: usize = 6;
    const LIMITS: ByteLimits = ByteLimits::NONE;
    type Floats = float32x4_t;
    type Ints = int32x4_t;

    #[inline(always)]
    unsafe fn splat(value: f32) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_f32(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> float32x4_t {
        // SAFETY: see above.
        unsafe {
            let mut lanes = [0.0; 4];
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
            vld1q_f32(lanes.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, value: float32x4_t) {
        // SAFETY: see above.
        unsafe { vst1q_f32(to, value) }
    }
    #[inline(always)]
    unsafe fn store_part(to: *mut f32, value: float32x4_t, count: usize) {
        // SAFETY: see above.
        unsafe {
            let mut lanes = [0.0; 4];
            vst1q_f32(lanes.as_mut_ptr(), value);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
        }
    }
    #[inline(always)]
    unsafe fn first(value: float32x4_t, other: float32x4_t, count: usize) -> float32x4_t {
        // SAFETY: see above.
        unsafe {
            let lanes = vld1q_u32([0, 1, 2, 3].as_ptr());
            vbslq_f32(vcltq_u32(lanes, vdupq_n_u32(count as u32)), value, other)
        }
    }
    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    unsafe fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vbslq_f32(vcltq_f32(a, b), a, b) }
    }
    #[inline(always)]
    unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
    }
    #[inline(always)]
    unsafe fn reciprocal(a: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vdivq_f32(vdupq_n_f32(1.0), a) }
    }
    #[inline(always)]
    unsafe fn round(a: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vrndnq_f32(a) }
    }
    #[inline(always)]
    unsafe fn scale(a: float32x4_t, n: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe {
            let exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
            vmulq_f32(a, vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent)))
        }
    }
    #[inline(always)]
    unsafe fn sum(a: float32x4_t) -> f32 {
        // SAFETY: see above.
        unsafe { vaddvq_f32(a) }
    }
    #[inline(always)]
    unsafe fn least(a: float32x4_t) -> f32 {
        // SAFETY: see above.
        unsafe { vminvq_f32(a) }
    }
    #[inline(always)]
    unsafe fn greatest(a: float32x4_t) -> f32 {
        // SAFETY: see above.
        unsafe { vmaxvq_f32(a) }
    }
    #[inline(always)]
    unsafe fn transpose(
        (from, stride): (*const f32, usize),
        count: usize,
        (to, to_stride): (*mut f32, usize),
    ) {
        // SAFETY: see above.
        unsafe {
            let row = |index: usize| {
                if index < count { vld1q_f32(from.add(index * stride)) } else { vdupq_n_f32(0.0) }
            };
            let (upper, lower) = (vtrnq_f32(row(0), row(1)), vtrnq_f32(row(2), row(3)));
            let first = vcombine_f32(vget_low_f32(upper.0), vget_low_f32(lower.0));
            let second = vcombine_f32(vget_low_f32(upper.1), vget_low_f32(lower.1));
            let third = vcombine_f32(vget_high_f32(upper.0), vget_high_f32(lower.0));
            let fourth = vcombine_f32(vget_high_f32(upper.1), vget_high_f32(lower.1));
            for (index, column) in [first, second, third, fourth].into_iter().enumerate() {
                vst1q_f32(to.add(index * to_stride), column);
            }
        }
    }
    #[inline(always)]
    unsafe fn splat_ints(value: i32) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_s32(value) }
    }
    #[inline(always)]
    unsafe fn load_ints(from: *const i32) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vld1q_s32(from) }
    }
    #[inline(always)]
    unsafe fn sub_mul_ints(a: int32x4_t, b: int32x4_t, c: int32x4_t) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vmlsq_s32(a, b, c) }
    }
    #[inline(always)]
    unsafe fn to_floats(a: int32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vcvtq_f32_s32(a) }
    }
    #[inline(always)]
    unsafe fn dot(sum: int32x4_t, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: see above.
        unsafe {
            // The instruction takes bytes of one sign: with a = a' + 128, a b = a' b + 128 b; half of 128 fits a byte.
            // `std::arch` has it for nightly compilers only.
            let shifted = vreinterpretq_s32_s8(vreinterpretq_s8_u8(veorq_u8(
                vreinterpretq_u8_s32(a),
                vdupq_n_u8(0x80),
            )));
            let (mut sum, half) = (sum, vreinterpretq_s32_s8(vdupq_n_s8(64)));
            asm!(
                "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
                "sdot {sum:v}.4s, {half:v}.16b, {b:v}.16b",
                "sdot {sum:v}.4s, {half:v}.16b, {b:v}.16b",
                sum = inout(vreg) sum, a = in(vreg) shifted, b = in(vreg) b, half = in(vreg) half,
                options(pure, nomem, nostack, preserves_flags),
            );
            sum
        }
    }
    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, value: float32x4_t, count: usize) {
        // SAFETY: see above.
        unsafe {
            // The conversion rounds to even, saturates, and turns NaN into 0.
            let halves = vqmovn_u32(vcvtnq_u32_f32(value));
            let bytes = vget_lane_u64::<0>(vreinterpret_u64_u8(vqmovn_u16(vcombine_u16(halves, halves))))
                .to_le_bytes();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, count);
        }
    }
}
