//! The gamma distribution of scale 1: both tails, and quantiles of the upper one. Chi-squared and Poisson are read off it.
//!
//! It must not know what is distributed so. Invariant: a tail is computed by itself and not as 1 minus the other where it is small.

use ecommerce_ml_metrics::gamma::ln_gamma;

/// Terms after which a series or a continued fraction has long converged.
const TERMS: u32 = 10_000;
/// Steps of a bisection, more than a number has bits.
const HALVINGS: u32 = 200;

/// P(X < x) of shape `a`.
pub fn lower(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        0.0
    } else if x < a + 1.0 {
        series(a, x)
    } else {
        1.0 - fraction(a, x)
    }
}

/// P(X > x) of shape `a`.
pub fn upper(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        1.0
    } else if x < a + 1.0 {
        1.0 - series(a, x)
    } else {
        fraction(a, x)
    }
}

/// Abramowitz and Stegun, "Handbook of mathematical functions", 6.5.29.
fn series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum) = (1.0 / a, 1.0 / a);
    for n in 1..TERMS {
        term *= x / (a + f64::from(n));
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    sum * (a * x.ln() - x - ln_gamma(a)).exp()
}

/// The same, 6.5.31, by Lentz's method.
fn fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut product = d;
    for n in 1..TERMS {
        let n = f64::from(n);
        let numerator = -n * (n - a);
        b += 2.0;
        let not_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
        d = 1.0 / not_zero(numerator * d + b);
        c = not_zero(b + numerator / c);
        product *= d * c;
        if (d * c - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    product * (a * x.ln() - x - ln_gamma(a)).exp()
}

/// The x with P(X > x) = p of shape `a`; infinite for a p of 0.
pub fn upper_quantile(a: f64, p: f64) -> f64 {
    if p <= 0.0 {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (0.0, a + 1.0);
    while upper(a, high) > p {
        low = high;
        high *= 2.0;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if upper(a, middle) > p { low = middle } else { high = middle }
    }
    high
}
