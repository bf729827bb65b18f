//! The gamma function.
//!
//! It must not know what it is for. Invariant: relative errors stay below 1e-12, and absolute ones where the logarithm is near 0.

/// From here on the asymptotic series has all digits.
const ASYMPTOTIC: f64 = 12.0;

/// Bernoulli numbers B(2k) / (2k (2k - 1)): Abramowitz and Stegun 6.1.41.
const LN_GAMMA: [f64; 8] = [
    1.0 / 12.0,
    -1.0 / 360.0,
    1.0 / 1260.0,
    -1.0 / 1680.0,
    1.0 / 1188.0,
    -691.0 / 360_360.0,
    1.0 / 156.0,
    -3617.0 / 122_400.0,
];

/// The logarithm of the gamma function of a number above 0.
#[must_use]
pub fn ln_gamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    let mut product = 1.0;
    while x < ASYMPTOTIC {
        product *= x;
        x += 1.0;
        if product > 1e250 {
            below += product.ln();
            product = 1.0;
        }
    }
    below += product.ln();
    let square = 1.0 / (x * x);
    let series = LN_GAMMA.iter().rev().fold(0.0, |sum, term| sum * square + term) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - below
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy 1.17.1: `gammaln`.
    #[test]
    fn values_are_those_of_scipy() {
        let near = |one: f64, other: f64| (one - other).abs() <= 1e-12 * other.abs().max(1.0);
        for (x, expected) in
            [(0.1, 2.252712651734206), (1.0, 0.0), (2.5, 0.2846828704729192), (1e5, 1051287.7089736569)]
        {
            assert!(near(ln_gamma(x), expected), "{x}: {}", ln_gamma(x));
        }
    }
}
