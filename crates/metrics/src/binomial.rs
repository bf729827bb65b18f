//! How often a fair coin falls on one side so rarely.
//!
//! Logarithms of factorials would lose the digits that a probability needs once counts are in the thousands; the saddle
//! point expansion of Loader, "Fast and accurate computation of binomial probabilities" (2000), keeps them. It must not
//! know what is counted. Invariant: relative errors stay below 1e-12 wherever the result is a normal number.

use std::f64::consts::{LN_2, TAU};

/// P(X <= k) of a binomial X of n throws of a fair coin, for k below half of n.
///
/// The likeliest term is computed, and all others from it by their ratio, until they no longer matter: after at most
/// some 6 sqrt(n) of them, and far sooner in the tail.
pub(crate) fn lower_tail(k: f64, n: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    let (mut below, mut above) = (k, n - k + 1.0);
    while below > 0.0 && term > sum * f64::EPSILON / 8.0 {
        term *= below / above;
        sum += term;
        below -= 1.0;
        above += 1.0;
    }
    sum * probability(k, n)
}

/// P(X = k) = n! / (k! (n - k)!) / 2^n.
fn probability(k: f64, n: f64) -> f64 {
    if k <= 0.0 {
        return (-n * LN_2).exp();
    }
    let rest = n - k;
    let exponent = beyond_stirling(n) - beyond_stirling(k) - beyond_stirling(rest) - deviance(k, rest);
    (n / (TAU * k * rest)).sqrt() * exponent.exp()
}

/// k ln(2k / n) + (n - k) ln(2 (n - k) / n).
fn deviance(k: f64, rest: f64) -> f64 {
    let n = k + rest;
    // Of k = (1 - d) n / 2, so that what nearly cancels out near the middle isn't computed at all.
    let d = (rest - k) / n;
    match d < 0.5 {
        true => n / 2.0 * ((-d * d).ln_1p() + 2.0 * d * d.atanh()),
        false => k * (2.0 * k / n).ln() + rest * (2.0 * rest / n).ln(),
    }
}

/// ln(n!) less Stirling's formula, (n + 1/2) ln n - n + ln(2 pi) / 2.
fn beyond_stirling(n: f64) -> f64 {
    const SERIES: [f64; 6] =
        [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0];
    if n < 16.0 {
        let (mut factorial, mut factor) = (1.0, 2.0);
        while factor <= n {
            factorial *= factor;
            factor += 1.0;
        }
        return f64::ln(factorial) - (n + 0.5) * n.ln() + n - TAU.ln() / 2.0;
    }
    let square = 1.0 / (n * n);
    SERIES.iter().rev().fold(0.0, |sum, coefficient| sum * square + coefficient) / n
}
