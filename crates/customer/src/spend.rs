//! What a purchase is worth: Gamma-Gamma (Fader and Hardie, "The Gamma-Gamma Model of Monetary Value", 2013).
//!
//! Purchases of a customer are worth a gamma distributed amount around a mean of his own, and means vary between customers, whatever
//! how often they buy. Invariant: only customers who came again with a mean above 0 are learned from.

use serde::{Deserialize, Serialize};

use crate::fit::{self, FitError, MIN_CUSTOMERS, Parameter};
use crate::history::History;
use crate::minimize::Objective;
use crate::special::digamma;
use ecommerce_ml_metrics::gamma::ln_gamma;

/// The parameters: shape `p` of worths, shape `q` and inverse scale `v` of the inverse scales of worths.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spend {
    /// Shape of the worths of a customer's purchases.
    pub p: f64,
    /// Shape of their inverse scales over customers.
    pub q: f64,
    /// Inverse scale of these, in units of worth.
    pub v: f64,
}

/// Between about 1/1000 and 3000: with more, purchases, or customers, are alike for all purposes.
const BOUNDS: Option<(f64, f64)> = Some((-7.0, 8.0));
const PARAMETERS: [Parameter; 3] = [
    Parameter { name: "p", bounds: BOUNDS },
    Parameter { name: "q", bounds: BOUNDS },
    Parameter { name: "v", bounds: None },
];

/// Customers from whom a maximum is looked for from several starts; of more, a part of so many first.
const MOST_MEANS: usize = 20_000;

/// Repeats and mean worths.
struct Means(Vec<(f64, f64)>);

impl Spend {
    /// Those under which the mean worths are likeliest.
    ///
    /// # Errors
    /// [`FitError`].
    pub fn fit(histories: &[History]) -> Result<Self, FitError> {
        let means = Means::of(histories);
        if means.0.len() < MIN_CUSTOMERS {
            return Err(FitError::TooFew { customers: means.0.len() });
        }
        let [p, q, v] = means.likeliest()?;
        Ok(Self { p, q, v })
    }

    /// The log likelihood of mean worths.
    #[must_use]
    pub fn log_likelihood(&self, histories: &[History]) -> f64 {
        let means = Means::of(histories);
        -means.at(&[self.p, self.q, self.v].map(f64::ln)).0 * means.0.len() as f64
    }

    /// The mean worth of a customer's purchases to come; none where it has no mean, which is of customers without repeats if `q` is at
    /// most 1.
    #[must_use]
    pub fn expected(&self, history: &History) -> Option<f64> {
        let (x, mean) = known(history).unwrap_or((0.0, 0.0));
        let below = self.p * x + self.q - 1.0;
        (below > 0.0).then(|| self.p * (self.v + x * mean) / below)
    }

    /// Shape and inverse scale of the inverse scale of a customer's worths.
    pub(crate) fn posterior(&self, history: &History) -> (f64, f64) {
        let (x, mean) = known(history).unwrap_or((0.0, 0.0));
        (self.p * x + self.q, self.v + x * mean)
    }
}

/// Repeats and mean worth, where that is of use.
fn known(history: &History) -> Option<(f64, f64)> {
    let mean = history.mean_spend.filter(|mean| *mean > 0.0 && mean.is_finite())?;
    (history.repeats > 0).then(|| (f64::from(history.repeats), mean))
}

impl Means {
    fn of(histories: &[History]) -> Self {
        let mut means: Vec<(f64, f64)> = histories.iter().filter_map(known).collect();
        means.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
        Self(means)
    }

    fn likeliest(&self) -> Result<[f64; 3], FitError> {
        let count = self.0.len();
        if count > 2 * MOST_MEANS {
            let part = self.0.iter().step_by(count / MOST_MEANS).copied().collect();
            return fit::best(self, &[Self(part).likeliest()?], &PARAMETERS);
        }
        let typical = self.0.iter().map(|(_, mean)| mean).sum::<f64>() / count as f64;
        let starts = [(1.0, 2.0), (6.0, 4.0), (3.0, 10.0), (10.0, 1.5)]
            .map(|(p, q)| [p, q, typical * f64::max(q - 1.0, 0.5) / p]);
        fit::best(self, &starts, &PARAMETERS)
    }
}

impl Objective<3> for Means {
    /// The negative mean log likelihood of a customer by the logarithms of the parameters: equation 1a of the note.
    fn at(&self, point: &[f64; 3]) -> (f64, [f64; 3]) {
        let [p, q, v] = point.map(f64::exp);
        let (mut sum, mut slopes) = (0.0, [0.0; 3]);
        let (of_q, by_q) = (ln_gamma(q), digamma(q));
        // What depends on repeats alone; equal ones stand together.
        let mut repeats = (f64::NAN, [0.0; 3]);
        for (x, mean) in &self.0 {
            let (shape, whole) = (p * x, x * mean + v);
            if repeats.0.total_cmp(x).is_ne() {
                let value = ln_gamma(shape + q) - ln_gamma(shape) - of_q + q * v.ln() + shape * x.ln();
                repeats = (*x, [value, digamma(shape + q), digamma(shape) - x.ln()]);
            }
            let [value, joint, single] = repeats.1;
            let (of_mean, of_whole) = (mean.ln(), whole.ln());
            sum += value + (shape - 1.0) * of_mean - (shape + q) * of_whole;
            slopes[0] += x * (joint - single + of_mean - of_whole);
            slopes[1] += joint - by_q + v.ln() - of_whole;
            slopes[2] += q / v - (shape + q) / whole;
        }
        let customers = self.0.len() as f64;
        (-sum / customers, std::array::from_fn(|at| -slopes[at] * [p, q, v][at] / customers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_likelihood() {
        let means = Means(vec![(1.0, 20.0), (2.0, 35.5), (7.0, 3.25), (1.0, 80.0)]);
        let point = [1.1, 0.7, 2.9];
        let (_, gradient) = means.at(&point);
        for at in 0..3 {
            let moved = |by: f64| {
                let mut moved = point;
                moved[at] += by;
                means.at(&moved).0
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((slope - gradient[at]).abs() < 1e-7, "{at}: {slope} {gradient:?}");
        }
    }

    #[test]
    fn a_mean_that_is_none_is_not_told() {
        let once = History { repeats: 0, recency: 0.0, age: 3.0, mean_spend: None };
        let often = History { repeats: 4, recency: 2.0, age: 3.0, mean_spend: Some(10.0) };
        let heavy = Spend { p: 2.0, q: 0.8, v: 5.0 };
        assert_eq!(heavy.expected(&once), None);
        let expected = heavy.expected(&often).unwrap_or(f64::NAN);
        assert!((expected - 2.0 * 45.0 / 7.8).abs() < 1e-12, "{expected}");
        assert_eq!(Spend { q: 3.0, ..heavy }.expected(&once), Some(5.0));
        assert_eq!(Spend::fit(&[often; 19]), Err(FitError::TooFew { customers: 19 }));
    }
}
