//! What happens to a row at a time: layer norm, activation, quantisation.
//!
//! It must not know layers. Invariant: a row that holds a number that isn't finite comes out with NaN in it, so that
//! an overflow shows in the answer whatever the precision.

use super::functions::{Activation, activate, activate_for_bytes};
use super::simd::Simd;

/// What the bytes of a quantised row mean: byte `b` stands for `scale (b - zero)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct QuantizationParameters {
    pub(super) scale: f32,
    /// In 0 to 255.
    pub(super) zero: i32,
}

/// Calls `$body` with each vector of a row of `$width` numbers: its place, and how many lanes count.
macro_rules! each_vector {
    ($width:expr, |$place:ident, $count:ident| $body:expr) => {{
        let whole = $width - $width % S::LANES;
        let mut $place = 0;
        while $place < whole {
            let $count = S::LANES;
            $body;
            $place += S::LANES;
        }
        if whole < $width {
            let $count = $width - whole;
            $body;
        }
    }};
}
pub(super) use each_vector;

/// The lanes that count, the others zero.
///
/// # Safety
/// The machine has the instruction set; the pointer is good for `count` numbers.
#[inline(always)]
pub(super) unsafe fn load<S: Simd>(from: *const f32, count: usize) -> S::Floats {
    // SAFETY: the caller's.
    unsafe { if count == S::LANES { S::load(from) } else { S::load_part(from, count) } }
}

/// The lanes that count to memory.
///
/// # Safety
/// As [`load`].
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(to: *mut f32, value: S::Floats, count: usize) {
    // SAFETY: the caller's.
    unsafe { if count == S::LANES { S::store(to, value) } else { S::store_part(to, value, count) } }
}

/// `x = (x + y - mean) / √(variance + eps) weight + bias`, with the variance as the mean of squared deviations.
///
/// # Safety
/// The machine has the instruction set; all four pointers are good for `width` numbers.
#[inline(always)]
pub(super) unsafe fn add_norm<S: Simd>(
    (x, y): (*mut f32, *const f32),
    width: usize,
    (weight, bias): (*const f32, *const f32),
    eps: f32,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut sum = S::splat(0.0);
        each_vector!(width, |at, count| {
            let value = S::add(load::<S>(x.add(at), count), load::<S>(y.add(at), count));
            store::<S>(x.add(at), value, count);
            sum = S::add(sum, value);
        });
        let mean = S::splat(S::sum(sum) / width as f32);
        let mut squares = S::splat(0.0);
        each_vector!(width, |at, count| {
            let deviation = S::sub(load::<S>(x.add(at), count), mean);
            let square = S::mul(deviation, deviation);
            squares = S::add(squares, S::first(square, S::splat(0.0), count));
        });
        let factor = S::splat(1.0 / (S::sum(squares) / width as f32 + eps).sqrt());
        each_vector!(width, |at, count| {
            let normal = S::mul(S::sub(load::<S>(x.add(at), count), mean), factor);
            let value = S::mul_add(normal, load::<S>(weight.add(at), count), load::<S>(bias.add(at), count));
            store::<S>(x.add(at), value, count);
        });
    }
}

/// Applies the activation to a row in its place.
///
/// # Safety
/// The machine has the instruction set; `x` is good for `width` numbers.
#[inline(always)]
pub(super) unsafe fn activate_row<S: Simd>(x: *mut f32, width: usize, activation: Activation) {
    // SAFETY: the caller's.
    unsafe {
        each_vector!(width, |at, count| {
            let value = activate::<S>(activation, load::<S>(x.add(at), count));
            store::<S>(x.add(at), value, count);
        });
    }
}

/// Writes `(x - shift) factor`, or `x` as it is, as bytes, in 255 equal steps between the least and the greatest of
/// these numbers, zero being one of them.
///
/// If there is an activation, it is applied to the row first, in its place, as exactly as bytes need it.
///
/// # Safety
/// The machine has the instruction set; all pointers are good for `width` of their items.
#[inline(always)]
pub(super) unsafe fn quantise<S: Simd>(
    rows: (*mut f32, *mut u8),
    width: usize,
    activation: Option<Activation>,
    smoothing: Option<(*const f32, *const f32)>,
) -> QuantizationParameters {
    // SAFETY: the caller's.
    unsafe {
        match smoothing {
            None => quantise_by::<S>(rows, width, activation, |value, _, _| value),
            Some((shift, factor)) => quantise_by::<S>(rows, width, activation, |value, at, count| {
                S::mul(S::sub(value, load::<S>(shift.add(at), count)), load::<S>(factor.add(at), count))
            }),
        }
    }
}

/// As [`quantise`], with what is done to the numbers at a place, of which so many count.
#[inline(always)]
unsafe fn quantise_by<S: Simd>(
    (x, bytes): (*mut f32, *mut u8),
    width: usize,
    activation: Option<Activation>,
    smooth: impl Fn(S::Floats, usize, usize) -> S::Floats,
) -> QuantizationParameters {
    // SAFETY: the caller's.
    unsafe {
        let (mut least, mut greatest) = (S::splat(0.0), S::splat(0.0));
        // Zero times a number is zero, unless the number isn't finite: then it is NaN, and so is the sum.
        let mut trouble = S::splat(0.0);
        each_vector!(width, |at, count| {
            let mut value = load::<S>(x.add(at), count);
            if let Some(activation) = activation {
                value = activate_for_bytes::<S>(activation, value);
                store::<S>(x.add(at), value, count);
            }
            let value = smooth(value, at, count);
            least = S::min(value, least);
            greatest = S::max(value, greatest);
            trouble = S::mul_add(value, S::splat(0.0), trouble);
        });
        let range = S::greatest(greatest) - S::least(least);
        let steps = f32::from(S::LIMITS.byte);
        let scale = (range / steps).max(f32::MIN_POSITIVE);
        let zero = (-S::least(least) / scale).round_ties_even().clamp(0.0, steps);
        let (per_step, offset) = (S::splat(1.0 / scale), S::splat(zero));
        each_vector!(width, |at, count| {
            let value = smooth(load::<S>(x.add(at), count), at, count);
            S::store_bytes(bytes.add(at), S::mul_add(value, per_step, offset), count);
        });
        QuantizationParameters { scale: scale + S::sum(trouble), zero: zero as i32 }
    }
}
