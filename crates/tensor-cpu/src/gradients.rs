//! What training does to a row at a time: layer norm, softmax and activation in forms that keep what their gradients need,
//! and these gradients.
//!
//! It must not know layers or losses. Invariant: a row's result depends on that row alone.

use super::functions::Activation;
use super::functions::{activation_gradient, exp};
use super::rows::{each_vector, load, store};
use super::simd::Simd;

/// `x = (x - mean) / √(variance + eps)`, `y = x weight + bias`; returns what the deviations were multiplied by.
///
/// # Safety
/// The machine has the instruction set; all pointers are good for `width` numbers.
#[inline(always)]
pub(super) unsafe fn norm<S: Simd>(
    (x, y): (*mut f32, *mut f32),
    width: usize,
    (weight, bias): (*const f32, *const f32),
    eps: f32,
) -> f32 {
    // SAFETY: the caller's.
    unsafe {
        let mut sum = S::splat(0.0);
        each_vector!(width, |at, count| sum = S::add(sum, load::<S>(x.add(at), count)));
        let mean = S::splat(S::sum(sum) / width as f32);
        let mut squares = S::splat(0.0);
        each_vector!(width, |at, count| {
            let deviation = S::sub(load::<S>(x.add(at), count), mean);
            let square = S::mul(deviation, deviation);
            squares = S::add(squares, S::first(square, S::splat(0.0), count));
        });
        let factor = 1.0 / (S::sum(squares) / width as f32 + eps).sqrt();
        each_vector!(width, |at, count| {
            let normal = S::mul(S::sub(load::<S>(x.add(at), count), mean), S::splat(factor));
            store::<S>(x.add(at), normal, count);
            let value = S::mul_add(normal, load::<S>(weight.add(at), count), load::<S>(bias.add(at), count));
            store::<S>(y.add(at), value, count);
        });
        factor
    }
}

/// From the gradient `dy` of the output of [`norm`] to that of its input, in its place:
/// `factor (g - mean(g) - x mean(g x))` with `g = dy weight` and the normalised `x`. Adds `dy x` and `dy` to the gradients of
/// weight and bias.
///
/// # Safety
/// As [`norm`].
#[inline(always)]
pub(super) unsafe fn norm_gradient<S: Simd>(
    (dy, x): (*mut f32, *const f32),
    (width, factor): (usize, f32),
    weight: *const f32,
    (d_weight, d_bias): (*mut f32, *mut f32),
) {
    // SAFETY: the caller's.
    unsafe {
        let (mut sum, mut products) = (S::splat(0.0), S::splat(0.0));
        each_vector!(width, |at, count| {
            let (dy_here, x_here) = (load::<S>(dy.add(at), count), load::<S>(x.add(at), count));
            let to_weight = S::mul_add(dy_here, x_here, load::<S>(d_weight.add(at), count));
            store::<S>(d_weight.add(at), to_weight, count);
            store::<S>(d_bias.add(at), S::add(dy_here, load::<S>(d_bias.add(at), count)), count);
            let gradient = S::mul(dy_here, load::<S>(weight.add(at), count));
            store::<S>(dy.add(at), gradient, count);
            sum = S::add(sum, gradient);
            products = S::mul_add(gradient, x_here, products);
        });
        let mean = S::splat(S::sum(sum) / width as f32);
        let along = S::splat(-S::sum(products) / width as f32);
        each_vector!(width, |at, count| {
            let centred = S::sub(load::<S>(dy.add(at), count), mean);
            let gradient = S::mul_add(load::<S>(x.add(at), count), along, centred);
            store::<S>(dy.add(at), S::mul(gradient, S::splat(factor)), count);
        });
    }
}

/// `softmax(x)`, in its place.
///
/// # Safety
/// As [`norm`].
#[inline(always)]
pub(super) unsafe fn softmax<S: Simd>(x: *mut f32, width: usize) {
    // SAFETY: the caller's.
    unsafe {
        let least = S::splat(f32::NEG_INFINITY);
        let mut greatest = least;
        each_vector!(width, |at, count| {
            greatest = S::max(S::first(load::<S>(x.add(at), count), least, count), greatest);
        });
        let greatest = S::splat(S::greatest(greatest));
        let mut sum = S::splat(0.0);
        each_vector!(width, |at, count| {
            let power = exp::<S>(S::sub(load::<S>(x.add(at), count), greatest));
            store::<S>(x.add(at), power, count);
            sum = S::add(sum, S::first(power, S::splat(0.0), count));
        });
        let factor = S::splat(1.0 / S::sum(sum));
        each_vector!(width, |at, count| {
            store::<S>(x.add(at), S::mul(load::<S>(x.add(at), count), factor), count);
        });
    }
}

/// From the gradient `dp` of the probabilities `p` of a softmax to that of its input, in its place: `p (dp - Σ dp p)`.
///
/// # Safety
/// As [`norm`].
#[inline(always)]
pub(super) unsafe fn softmax_gradient<S: Simd>((dp, p): (*mut f32, *const f32), width: usize) {
    // SAFETY: the caller's.
    unsafe {
        let mut sum = S::splat(0.0);
        each_vector!(width, |at, count| {
            sum = S::mul_add(load::<S>(dp.add(at), count), load::<S>(p.add(at), count), sum);
        });
        let sum = S::splat(S::sum(sum));
        each_vector!(width, |at, count| {
            let gradient = S::sub(load::<S>(dp.add(at), count), sum);
            store::<S>(dp.add(at), S::mul(gradient, load::<S>(p.add(at), count)), count);
        });
    }
}

/// `dy = dy f'(x)` for the activation `f` of `x`.
///
/// # Safety
/// As [`norm`].
#[inline(always)]
pub(super) unsafe fn activate_gradient<S: Simd>(
    (dy, x): (*mut f32, *const f32),
    width: usize,
    activation: Activation,
) {
    // SAFETY: the caller's.
    unsafe {
        each_vector!(width, |at, count| {
            let slope = activation_gradient::<S>(activation, load::<S>(x.add(at), count));
            store::<S>(dy.add(at), S::mul(load::<S>(dy.add(at), count), slope), count);
        });
    }
}
