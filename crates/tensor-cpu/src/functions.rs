//! The functions of a number that a transformer needs, for all lanes of a vector.
//!
//! They must not know rows or layers. Invariant: NaN in, NaN out.

#![allow(clippy::excessive_precision, reason = "coefficients as they were fitted or published")]

use super::simd::Simd;

/// Nonlinearity of the feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x Φ(x)` by the error function.
    GeluErf,
    /// The approximation by the hyperbolic tangent.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

/// `erf(x / √2) / 2 = x P(x²) / Q(x²)` for `|x| <= 5.4`, to within 6e-9, by descending powers of `x²`.
/// `fit/gelu.py` makes the coefficients.
const HALF_ERF_BOUND: f32 = 5.4;
const HALF_ERF_P: [f32; 6] =
    [2.338_677e-8, 6.360_022_8e-6, 1.643_216_1e-4, 4.650_850_8e-3, 3.337_221_6e-2, 3.989_422_3e-1];
const HALF_ERF_Q: [f32; 6] =
    [1.216_592_2e-6, 7.240_017_3e-5, 1.858_981_1e-3, 2.837_868_1e-2, 2.503_178_4e-1, 1.0];

/// As above for `|x| <= 4.6`, to within 9e-7, with fewer terms: `fit/gelu.py` with `C = 4.6` and degrees of 3.
const SHORT_HALF_ERF_BOUND: f32 = 4.6;
const SHORT_HALF_ERF_P: [f32; 4] = [3.319_611_3e-5, 3.822_425_4e-3, 2.728_783_2e-2, 3.989_408e-1];
const SHORT_HALF_ERF_Q: [f32; 4] = [1.163_337_6e-3, 2.373_124_1e-2, 2.350_751_6e-1, 1.0];

/// `2ˣ` for `|x| <= 1/2`, to within 8e-8, by descending powers. `fit/exp2.py` makes the coefficients.
const EXP2: [f32; 6] =
    [1.327_647_1e-3, 9.675_541e-3, 5.550_713_1e-2, 2.402_212e-1, 6.931_469_4e-1, 1.000_000_1];

/// Natural logarithm of 2 in two parts, the first with few enough bits that its multiples are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `(eˣ - 1 - x) / x²` for `|x| <= ln 2 / 2`, by descending powers (Cephes, `expf`).
const EXP: [f32; 6] =
    [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.000_000_1e-1];

/// Below this, `eˣ` is less than the least normal number.
const EXP_LEAST: f32 = -87.3;
/// Above this, `eˣ` is infinite, or nearly so.
const EXP_MOST: f32 = 88.0;

/// A polynomial by its coefficients in descending powers.
#[inline(always)]
unsafe fn polynomial<S: Simd, const N: usize>(coefficients: [f32; N], x: S::Floats) -> S::Floats {
    // SAFETY: the caller's.
    unsafe {
        let mut sum = S::splat(coefficients[0]);
        let mut index = 1;
        while index < N {
            sum = S::mul_add(sum, x, S::splat(coefficients[index]));
            index += 1;
        }
        sum
    }
}

/// `eˣ` to within two units in the last place, for `x` clamped to what has a normal result.
///
/// # Safety
/// The machine has the instruction set.
#[inline(always)]
pub(super) unsafe fn exp<S: Simd>(x: S::Floats) -> S::Floats {
    // SAFETY: the caller's.
    unsafe {
        // In this order of arguments NaN passes.
        let x = S::max(S::splat(EXP_LEAST), S::min(S::splat(EXP_MOST), x));
        let n = S::round(S::mul(x, S::splat(std::f32::consts::LOG2_E)));
        let rest = S::mul_add(n, S::splat(-LN_2_HIGH), x);
        let rest = S::mul_add(n, S::splat(-LN_2_LOW), rest);
        let tail = polynomial::<S, 6>(EXP, rest);
        let power = S::mul_add(S::mul(rest, rest), tail, S::add(rest, S::splat(1.0)));
        S::scale(power, n)
    }
}

/// `2ˣ` to within two units in the last place, for `x <= 0`, and at least the least normal number.
///
/// # Safety
/// The machine has the instruction set.
#[inline(always)]
pub(super) unsafe fn exp2_at_most_zero<S: Simd>(x: S::Floats) -> S::Floats {
    // SAFETY: the caller's.
    unsafe {
        // In this order of arguments NaN passes.
        let x = S::max(S::splat(-126.0), x);
        let n = S::round(x);
        S::scale(polynomial::<S, 6>(EXP2, S::sub(x, n)), n)
    }
}

/// `Φ(x) - 1/2` with the normal distribution function `Φ`, to within 3e-7.
#[inline(always)]
unsafe fn half_erf<S: Simd>(x: S::Floats) -> S::Floats {
    // SAFETY: the caller's.
    unsafe {
        let bounded = S::max(S::splat(-HALF_ERF_BOUND), S::min(S::splat(HALF_ERF_BOUND), x));
        let square = S::mul(bounded, bounded);
        let p = polynomial::<S, 6>(HALF_ERF_P, square);
        let q = polynomial::<S, 6>(HALF_ERF_Q, square);
        S::mul(S::mul(bounded, p), S::reciprocal(q))
    }
}

/// `x Φ(x)`, to within 3e-7 `|x|`.
#[inline(always)]
unsafe fn gelu_erf<S: Simd>(x: S::Floats) -> S::Floats {
    // SAFETY: the caller's.
    unsafe { S::mul(x, S::add(half_erf::<S>(x), S::splat(0.5))) }
}

/// As [`gelu_erf`], to within 2e-6 `|x|`.
#[inline(always)]
unsafe fn short_gelu_erf<S: Simd>(x: S::Floats) -> S::Floats {
    // SAFETY: the caller's.
    unsafe {
        let bounded = S::max(S::splat(-SHORT_HALF_ERF_BOUND), S::min(S::splat(SHORT_HALF_ERF_BOUND), x));
        let square = S::mul(bounded, bounded);
        let p = polynomial::<S, 4>(SHORT_HALF_ERF_P, square);
        let q = polynomial::<S, 4>(SHORT_HALF_ERF_Q, square);
        S::mul(x, S::mul_add(S::mul(bounded, p), S::reciprocal(q), S::splat(0.5)))
    }
}

/// `Φ(x) + x φ(x)` with the density `φ`.
#[inline(always)]
unsafe fn gelu_erf_gradient<S: Simd>(x: S::Floats) -> S::Floats {
    // SAFETY: the caller's.
    unsafe {
        let factor = 0.5 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
        let density = exp::<S>(S::mul(S::mul(x, x), S::splat(-0.5)));
        let distribution = S::add(half_erf::<S>(x), S::splat(0.5));
        S::mul_add(S::mul(x, density), S::splat(factor), distribution)
    }
}

/// `x / (1 + exp(-2 √(2/π) (x + 0.044715 x³)))`, which equals the approximation of GELU by the hyperbolic tangent.
#[inline(always)]
unsafe fn gelu_tanh<S: Simd>(x: S::Floats) -> S::Floats {
    // SAFETY: the caller's.
    unsafe {
        let factor = -2.0 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
        let square = S::mul(x, x);
        let inner = S::mul(x, S::mul_add(square, S::splat(0.044_715 * factor), S::splat(factor)));
        S::mul(x, S::reciprocal(S::add(exp::<S>(inner), S::splat(1.0))))
    }
}

/// `s + x s (1 - s) u'` with the logistic function `s` of `u = 2 √(2/π) (x + 0.044715 x³)`.
#[inline(always)]
unsafe fn gelu_tanh_gradient<S: Simd>(x: S::Floats) -> S::Floats {
    // SAFETY: the caller's.
    unsafe {
        let factor = 2.0 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
        let square = S::mul(x, x);
        let inner = S::mul(x, S::mul_add(square, S::splat(-0.044_715 * factor), S::splat(-factor)));
        let logistic = S::reciprocal(S::add(exp::<S>(inner), S::splat(1.0)));
        let slope = S::mul_add(square, S::splat(3.0 * 0.044_715 * factor), S::splat(factor));
        let rest = S::mul(S::mul(x, slope), S::sub(S::splat(1.0), logistic));
        S::mul_add(logistic, rest, logistic)
    }
}

/// 1 above zero, 0 below.
#[inline(always)]
unsafe fn relu_gradient<S: Simd>(x: S::Floats) -> S::Floats {
    // In this order of arguments NaN passes.
    // SAFETY: the caller's.
    unsafe { S::min(S::splat(1.0), S::max(S::splat(0.0), S::mul(x, S::splat(f32::MAX)))) }
}

#[inline(always)]
unsafe fn relu<S: Simd>(x: S::Floats) -> S::Floats {
    // SAFETY: the caller's.
    unsafe { S::max(S::splat(0.0), x) }
}

/// The nonlinearity between the two dense layers of the feed-forward part.
///
/// # Safety
/// The machine has the instruction set.
#[inline(always)]
pub(super) unsafe fn activate<S: Simd>(activation: Activation, x: S::Floats) -> S::Floats {
    // SAFETY: the caller's.
    unsafe {
        match activation {
            Activation::GeluErf => gelu_erf::<S>(x),
            Activation::GeluTanh => gelu_tanh::<S>(x),
            Activation::Relu => relu::<S>(x),
        }
    }
}

/// As [`activate`] for what is about to be rounded to bytes, to within 2e-6 `|x|`: a thousandth of a step, in less time.
///
/// # Safety
/// The machine has the instruction set.
#[inline(always)]
pub(super) unsafe fn activate_for_bytes<S: Simd>(activation: Activation, x: S::Floats) -> S::Floats {
    // SAFETY: the caller's.
    unsafe {
        match activation {
            Activation::GeluErf => short_gelu_erf::<S>(x),
            exact => activate::<S>(exact, x),
        }
    }
}

/// The derivative of [`activate`].
///
/// # Safety
/// The machine has the instruction set.
#[inline(always)]
pub(super) unsafe fn activation_gradient<S: Simd>(activation: Activation, x: S::Floats) -> S::Floats {
    // SAFETY: the caller's.
    unsafe {
        match activation {
            Activation::GeluErf => gelu_erf_gradient::<S>(x),
            Activation::GeluTanh => gelu_tanh_gradient::<S>(x),
            Activation::Relu => relu_gradient::<S>(x),
        }
    }
}
