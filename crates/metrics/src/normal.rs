//! The standard normal distribution: density, both tails, quantiles.
//!
//! It must not know what is distributed so. Invariant: relative errors stay below 1e-12 wherever the result is a normal number, in
//! the tails too, and `tail(z)` is `cdf(-z)` to the bit.

use std::f64::consts::TAU;

/// Where the series ends and the continued fraction begins. Below, half of the digits that matter are in the constant 1/2.
const FAR: f64 = 2.0;

/// exp(-z^2 / 2) / sqrt(2 pi).
pub fn density(z: f64) -> f64 {
    (-z * z / 2.0).exp() / TAU.sqrt()
}

/// P(Z <= z).
pub fn cdf(z: f64) -> f64 {
    tail(-z)
}

/// P(Z > z), NaN for NaN.
///
/// Near 0 by the series of 1 / 2 - P(0 < Z <= z) whose terms are all of one sign (Marsaglia, "Evaluating the normal distribution",
/// Journal of Statistical Software 11, 2004), beyond by Laplace's continued fraction 1 / (z + 1 / (z + 2 / (z + ...))).
pub fn tail(z: f64) -> f64 {
    if z.is_nan() {
        return f64::NAN;
    }
    if z < -FAR {
        return 1.0 - far_tail(-z);
    }
    if z > FAR { far_tail(z) } else { 0.5 - density(z) * series(z) }
}

/// z + z^3 / 3 + z^5 / (3 * 5) + ...
fn series(z: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (z, 0.0, 1.0);
    while sum + term != sum {
        sum += term;
        odd += 2.0;
        term *= z * z / odd;
    }
    sum
}

/// The continued fraction from its end, long enough for z = [`FAR`].
fn far_tail(z: f64) -> f64 {
    const TERMS: u32 = 200;
    if z.is_infinite() {
        return 0.0;
    }
    density(z) / (1..=TERMS).rev().fold(z, |rest, term| z + f64::from(term) / rest)
}

/// The z with P(Z <= z) = p; infinite for 0 and 1, NaN outside of them.
///
/// A rough value (Abramowitz and Stegun, "Handbook of mathematical functions", 26.2.23, within 4.5e-4) and steps of Halley's
/// method, each of which triples the digits.
pub fn quantile(p: f64) -> f64 {
    if p.is_nan() || !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    // 1 - p is exact there.
    if p > 0.5 {
        return -quantile(1.0 - p);
    }
    if p == 0.0 {
        return f64::NEG_INFINITY;
    }
    -upper_quantile(p)
}

/// The z with P(Z > z) = p for p of at most 1/2.
fn upper_quantile(p: f64) -> f64 {
    let t = (-2.0 * p.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut z = t - above / below;
    for _ in 0..3 {
        // In units of the density, so that nothing vanishes in the tail.
        let off = (tail(z) - p) / density(z);
        z += off / (1.0 - off * z / 2.0);
    }
    z
}

/// P(|Z| >= |z|).
pub fn two_sided(z: f64) -> f64 {
    (2.0 * tail(z.abs())).min(1.0)
}
