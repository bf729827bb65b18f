//! Plain Rust, for machines without any of the other instruction sets, and the reference of the kernels' tests.

use super::{ByteLimits, Simd};

const LANES: usize = 8;

/// No instruction set in particular.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], operation: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    std::array::from_fn(|lane| operation(a[lane], b[lane]))
}

// SAFETY of all functions: the caller has made sure of the pointers.
impl Simd for Portable {
    const LANES: usize = LANES;
    const VECTORS: usize = 2;
    const ROWS: usize = 4;
    const BYTE_ROWS: usize = 4;
    const LIMITS: ByteLimits = ByteLimits::NONE;
    type Floats = [f32; LANES];
    type Ints = [i32; LANES];

    #[inline(always)]
    unsafe fn splat(value: f32) -> [f32; LANES] {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; LANES] {
        // SAFETY: see above.
        unsafe { from.cast::<[f32; LANES]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> [f32; LANES] {
        // SAFETY: see above.
        std::array::from_fn(|lane| if lane < count { unsafe { from.add(lane).read() } } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, value: [f32; LANES]) {
        // SAFETY: see above.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(value) }
    }
    #[inline(always)]
    unsafe fn store_part(to: *mut f32, value: [f32; LANES], count: usize) {
        for (lane, &number) in value.iter().enumerate().take(count) {
            // SAFETY: see above.
            unsafe { to.add(lane).write(number) }
        }
    }
    #[inline(always)]
    unsafe fn first(value: [f32; LANES], other: [f32; LANES], count: usize) -> [f32; LANES] {
        std::array::from_fn(|lane| if lane < count { value[lane] } else { other[lane] })
    }
    #[inline(always)]
    unsafe fn add(a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn mul_add(a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
        // Rounded twice: without the instruction, rounding once is a call into the C library for each number.
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }
    #[inline(always)]
    unsafe fn min(a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn max(a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn reciprocal(a: [f32; LANES]) -> [f32; LANES] {
        a.map(f32::recip)
    }
    #[inline(always)]
    unsafe fn round(a: [f32; LANES]) -> [f32; LANES] {
        a.map(f32::round_ties_even)
    }
    #[inline(always)]
    unsafe fn scale(a: [f32; LANES], n: [f32; LANES]) -> [f32; LANES] {
        zip(a, n, |a, n| a * f32::from_bits(((n as i32 + 127) << 23) as u32))
    }
    #[inline(always)]
    unsafe fn sum(a: [f32; LANES]) -> f32 {
        a.iter().sum()
    }
    #[inline(always)]
    unsafe fn least(a: [f32; LANES]) -> f32 {
        a.iter().copied().fold(f32::INFINITY, f32::min)
    }
    #[inline(always)]
    unsafe fn greatest(a: [f32; LANES]) -> f32 {
        a.iter().copied().fold(f32::NEG_INFINITY, f32::max)
    }
    #[inline(always)]
    unsafe fn transpose(
        (from, stride): (*const f32, usize),
        count: usize,
        (to, to_stride): (*mut f32, usize),
    ) {
        for row in 0..LANES {
            for column in 0..LANES {
                // SAFETY: see above.
                unsafe {
                    *to.add(column * to_stride + row) =
                        if row < count { *from.add(row * stride + column) } else { 0.0 };
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn splat_ints(value: i32) -> [i32; LANES] {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn load_ints(from: *const i32) -> [i32; LANES] {
        // SAFETY: see above.
        unsafe { from.cast::<[i32; LANES]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn sub_mul_ints(a: [i32; LANES], b: [i32; LANES], c: [i32; LANES]) -> [i32; LANES] {
        std::array::from_fn(|lane| a[lane].wrapping_sub(b[lane].wrapping_mul(c[lane])))
    }
    #[inline(always)]
    unsafe fn to_floats(a: [i32; LANES]) -> [f32; LANES] {
        a.map(|value| value as f32)
    }
    #[inline(always)]
    unsafe fn dot(sum: [i32; LANES], a: [i32; LANES], b: [i32; LANES]) -> [i32; LANES] {
        std::array::from_fn(|lane| {
            let (a, b) = (a[lane].to_ne_bytes(), b[lane].to_ne_bytes());
            let products = a.iter().zip(b).map(|(&a, b)| i32::from(a) * i32::from(b as i8));
            products.fold(sum[lane], i32::wrapping_add)
        })
    }
    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, value: [f32; LANES], count: usize) {
        for (lane, number) in value.into_iter().enumerate().take(count) {
            // `as` saturates, and turns NaN into 0.
            // SAFETY: see above.
            unsafe { to.add(lane).write(number.round_ties_even() as u8) }
        }
    }
}
