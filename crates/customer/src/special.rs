//! Functions that the standard library lacks.
//!
//! Invariant: relative errors stay below 1e-12 over the arguments that models come to.

/// From here on the asymptotic series have all digits.
const ASYMPTOTIC: f64 = 12.0;

/// B(2k) / (2k): Abramowitz and Stegun 6.3.18.
const DIGAMMA: [f64; 8] = [
    1.0 / 12.0,
    -1.0 / 120.0,
    1.0 / 252.0,
    -1.0 / 240.0,
    1.0 / 132.0,
    -691.0 / 32_760.0,
    1.0 / 12.0,
    -3617.0 / 8_160.0,
];

/// The derivative of the logarithm of the gamma function, of a number above 0.
#[must_use]
pub fn digamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < ASYMPTOTIC {
        below += 1.0 / x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = DIGAMMA.iter().rev().fold(0.0, |sum, term| sum * square + term) * square;
    x.ln() - 0.5 / x - series - below
}

/// Terms of a hypergeometric series, at most: at z = 0.99 some 3000 are needed.
const MAX_TERMS: u32 = 200_000;

/// Gauss's hypergeometric function 2F1(a, b; c; z) for z from 0 to below 1 by its series; none if that doesn't converge.
#[must_use]
pub fn hypergeometric(a: f64, b: f64, c: f64, z: f64) -> Option<f64> {
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 0..MAX_TERMS {
        let n = f64::from(n);
        term *= (a + n) * (b + n) / ((c + n) * (n + 1.0)) * z;
        sum += term;
        // The rest is less than a geometric series.
        if term.abs() <= 1e-15 * f64::abs(sum) * (1.0 - z) && n > -c {
            return Some(sum).filter(|sum| sum.is_finite());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use ecommerce_ml_metrics::gamma::ln_gamma;

    use super::*;

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() <= 1e-12 * other.abs().max(1.0)
    }

    /// scipy 1.17.1: `psi`, `hyp2f1`.
    #[test]
    fn values_are_those_of_scipy() {
        for (x, expected) in [
            (0.1, -10.423754940411076),
            (1.0, -0.5772156649015329),
            (7.5, 1.9467574842460866),
            (1e5, 11.512920464961896),
        ] {
            assert!(near(digamma(x), expected), "{x}: {}", digamma(x));
        }
        let found = hypergeometric(0.5, -0.2, 3.1, 0.7).unwrap_or(f64::NAN);
        assert!(near(found, 0.974_420_611_181_175_6), "{found}");
        assert!(near(hypergeometric(1.0, 1.0, 2.0, 0.5).unwrap_or(f64::NAN), 2.0 * 2.0_f64.ln()));
        assert!(near(hypergeometric(3.0, 0.0, 2.0, 0.9).unwrap_or(f64::NAN), 1.0));
    }

    #[test]
    fn the_derivative_is_that_of_the_logarithm() {
        for x in [0.03, 0.4, 1.7, 11.9, 12.1, 400.0] {
            let step = 1e-5 * x;
            let slope = (ln_gamma(x + step) - ln_gamma(x - step)) / (2.0 * step);
            assert!((slope - digamma(x)).abs() < 1e-6 * digamma(x).abs().max(1.0), "{x}");
        }
    }
}
