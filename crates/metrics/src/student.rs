//! Student's t distribution.
//!
//! It must not know what is distributed so. Invariant: `tail(t, degrees)` is `1 - tail(-t, degrees)`, and relative errors stay below
//! 1e-10 for degrees of freedom up to a million, in the tails too.

use std::f64::consts::PI;

use crate::gamma::ln_gamma;

/// Terms of the continued fraction, at most: far more than it takes.
const MOST_TERMS: usize = 10_000;

/// P(T > t); NaN for NaN, and for degrees of freedom that aren't above 0.
pub fn tail(t: f64, degrees: f64) -> f64 {
    if t.is_nan() || degrees.is_nan() || degrees <= 0.0 {
        return f64::NAN;
    }
    if t < 0.0 {
        return 1.0 - tail(-t, degrees);
    }
    match t * t {
        square if square.is_infinite() => 0.0,
        square => 0.5 * incomplete_beta(degrees / 2.0, square / degrees),
    }
}

/// P(|T| >= |t|).
pub fn two_sided(t: f64, degrees: f64) -> f64 {
    (2.0 * tail(t.abs(), degrees)).min(1.0)
}

/// The t that is passed with this probability, which is between 0 and 1/2; by bisection.
pub fn upper_quantile(p: f64, degrees: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while tail(high, degrees) > p && high < 1e150 {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if tail(middle, degrees) > p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// I_x(a, 1/2), the regularised incomplete beta function at x = 1 / (1 + odds), which is twice the tail (Abramowitz and Stegun 26.7.1):
/// by the continued fraction of 26.5.8, on the side where it converges quickly.
fn incomplete_beta(a: f64, odds: f64) -> f64 {
    if odds <= 0.0 {
        return 1.0;
    }
    let (x, rest) = (1.0 / (1.0 + odds), odds / (1.0 + odds));
    let front = (half_step(a) - 0.5 * PI.ln() - a * odds.ln_1p() + 0.5 * rest.ln()).exp();
    match x < (a + 1.0) / (a + 2.5) {
        true => front * continued_fraction(a, 0.5, x) / a,
        false => 1.0 - front * continued_fraction(0.5, a, rest) / 0.5,
    }
}

/// ln(gamma(a + 1/2) / gamma(a)): for large a by its series, because the logarithms themselves would lose the digits that matter.
fn half_step(a: f64) -> f64 {
    const SERIES: [f64; 4] = [-1.0 / 8.0, 1.0 / 192.0, -1.0 / 640.0, 17.0 / 14_336.0];
    if a < 20.0 {
        return ln_gamma(a + 0.5) - ln_gamma(a);
    }
    let square = 1.0 / (a * a);
    0.5 * a.ln() + SERIES.iter().rev().fold(0.0, |sum, term| sum * square + term) / a
}

/// By Lentz's method, as Thompson and Barnett changed it (1986).
fn continued_fraction(a: f64, b: f64, x: f64) -> f64 {
    let away = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for term in 1..MOST_TERMS {
        let m = term as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut factor = 1.0;
        for coefficient in [even, odd] {
            d = 1.0 / away(1.0 + coefficient * d);
            c = away(1.0 + coefficient / c);
            factor = c * d;
            fraction *= factor;
        }
        if (factor - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    fraction
}
