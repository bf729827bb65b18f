//! What a measure is where nothing has changed, and from where on that is hard to believe.
//!
//! It must not know what is measured. Invariant: a lower probability never gives a lower threshold.

use ecommerce_ml_metrics::normal;

use crate::gamma;

/// How a measure is distributed where nothing has changed.
#[derive(Debug, Clone, PartialEq)]
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
    /// A share of rows: the probability that at least so many have it, from none to all.
    Rows(Vec<f64>),
}

/// Skewness below which a gamma distribution is as good as normal.
const LEAST_SKEWNESS: f64 = 1e-3;

impl NullDistribution {
    /// What the size of the measure exceeds with this probability.
    pub fn threshold(&self, probability: f64) -> f64 {
        match *self {
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
            Self::Rows(ref tail) => {
                let exceeded = tail.iter().skip(1).take_while(|above| **above > probability).count();
                exceeded as f64 / rows_of(tail)
            }
        }
    }

    /// The probability of a measure of at least this size.
    pub fn p_value(&self, value: f64) -> f64 {
        let p = match *self {
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
            Self::Rows(ref tail) => {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let rows = (value * rows_of(tail)).round().max(0.0) as usize;
                tail.get(rows).copied().unwrap_or_default()
            }
        };
        p.clamp(0.0, 1.0)
    }
}

/// All rows, where the tail begins with that of none.
#[allow(clippy::cast_precision_loss)]
fn rows_of(tail: &[f64]) -> f64 {
    tail.len().saturating_sub(1).max(1) as f64
}
