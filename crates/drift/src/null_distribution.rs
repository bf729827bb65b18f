//! What a measure is where nothing has changed, and from where on that is hard to believe.
//!
//! It must not know what is measured. Invariant: a lower probability never gives a lower threshold.

use ecommerce_ml_metrics::normal;

use crate::gamma;

/// How a measure is distributed where nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NullDistribution {
    /// Its size, to this power and divided by `scale`, is chi-squared with so many degrees of freedom.
    ChiSquared {
        /// At least 1.
        degrees: f64,
        /// What to divide by.
        scale: f64,
        /// 1, or 2 for the root of such a number.
        power: i32,
    },
    /// A difference, normal around 0 with this standard error, which was estimated with so many degrees of freedom.
    Normal {
        /// 0 if nothing varies.
        error: f64,
        /// At least 1.
        degrees: f64,
    },
    /// Its square is gamma distributed, shifted: Pearson's type III, by three moments.
    PearsonSquare {
        /// Of the square.
        mean: f64,
        /// Its standard deviation.
        deviation: f64,
        /// Its skewness.
        skewness: f64,
    },
    /// A sum around `mean` of unlikely parts, none above `largest`, by Bernstein's inequality.
    Bernstein {
        /// Where nothing has changed.
        mean: f64,
        /// At most.
        variance: f64,
        /// The largest part that is not all but impossible.
        largest: f64,
    },
}

/// Skewness below which a gamma distribution is as good as normal.
const LEAST_SKEWNESS: f64 = 1e-3;

impl NullDistribution {
    /// What the size of the measure exceeds with this probability.
    pub fn threshold(self, probability: f64) -> f64 {
        match self {
            Self::ChiSquared { degrees, scale, power } => {
                let x = 2.0 * gamma::upper_quantile(degrees / 2.0, probability) * scale;
                if power == 2 { x.sqrt() } else { x }
            }
            Self::Normal { error, degrees } => {
                let z = -normal::quantile(probability / 2.0);
                // Student's quantile, to the first order (Abramowitz and Stegun, 26.7.5).
                error * (z + (z.powi(3) + z) / (4.0 * degrees))
            }
            Self::PearsonSquare { mean, deviation, skewness } => {
                let standard = if skewness < LEAST_SKEWNESS {
                    -normal::quantile(probability)
                } else {
                    let shape = 4.0 / (skewness * skewness);
                    (gamma::upper_quantile(shape, probability) - shape) / shape.sqrt()
                };
                (mean + deviation * standard).max(0.0).sqrt()
            }
            Self::Bernstein { mean, variance, largest } => {
                let bits = -probability.ln();
                let linear = largest * bits / 3.0;
                mean + linear + (linear * linear + 2.0 * variance * bits).sqrt()
            }
        }
    }

    /// The probability of a measure of at least this size.
    pub fn p_value(self, value: f64) -> f64 {
        let p = match self {
            Self::ChiSquared { degrees, scale, power } => {
                gamma::upper(degrees / 2.0, value.abs().powi(power) / scale / 2.0)
            }
            Self::Normal { error, .. } if error > 0.0 => normal::two_sided(value / error),
            Self::Normal { .. } => f64::from(u8::from(value == 0.0)),
            Self::PearsonSquare { mean, deviation, skewness } => {
                let standard = (value * value - mean) / deviation;
                if skewness < LEAST_SKEWNESS {
                    normal::tail(standard)
                } else {
                    let shape = 4.0 / (skewness * skewness);
                    gamma::upper(shape, shape + standard * shape.sqrt())
                }
            }
            Self::Bernstein { mean, variance, largest } => {
                let above = (value - mean).max(0.0);
                let spread = 2.0 * (variance + largest * above / 3.0);
                if above == 0.0 { 1.0 } else { (-above * above / spread.max(f64::MIN_POSITIVE)).exp() }
            }
        };
        p.clamp(0.0, 1.0)
    }
}
