//! How often a customer buys, and whether he still does: BG/NBD (Fader, Hardie and Lee, "Counting Your Customers the Easy Way", 2005) and
//! MBG/NBD (Batislam, Denizel and Filiztekin, "Empirical Validation and Comparison of Models for Customer Base Analysis", 2007).
//!
//! While alive a customer buys at a rate of his own, gamma distributed, and after each purchase is lost with a probability of his own,
//! beta distributed. By BG/NBD the first purchase loses nobody, so who has never bought again is alive; by MBG/NBD it may. Invariant: what
//! is computed is finite.

use serde::{Deserialize, Serialize};

use crate::fit::{self, FitError, MIN_CUSTOMERS, Parameter};
use crate::history::History;
use crate::minimize::Objective;
use crate::special::{digamma, hypergeometric};
use ecommerce_ml_metrics::gamma::ln_gamma;

/// After which purchases a customer may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// After those that follow the first: BG/NBD.
    AfterRepeats,
    /// After each: MBG/NBD.
    AfterAny,
}

impl Loss {
    /// All.
    pub const ALL: [Self; 2] = [Self::AfterRepeats, Self::AfterAny];

    /// Purchases of a customer that may have lost him.
    pub(crate) fn chances(self, repeats: f64) -> f64 {
        match self {
            Self::AfterRepeats => repeats,
            Self::AfterAny => repeats + 1.0,
        }
    }
}

/// The parameters: shape `r` and inverse scale `alpha` of rates, in purchases a unit of time; `a` and `b` of the probability to be lost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purchases {
    /// When that may be.
    pub loss: Loss,
    /// Shape of the rates.
    pub r: f64,
    /// Inverse scale of the rates.
    pub alpha: f64,
    /// The more, the sooner customers are lost.
    pub a: f64,
    /// The more, the later.
    pub b: f64,
}

/// Histories in one order, equal ones together, with how many there are of each.
#[derive(Debug, Clone)]
struct Grouped {
    histories: Vec<(History, f64)>,
    customers: f64,
    loss: Loss,
}

/// Between about 1/1000 and 50: with more, customers are alike for all purposes, and the series of [`Purchases::expected`] would overflow.
const BOUNDS: Option<(f64, f64)> = Some((-7.0, 4.0));
const PARAMETERS: [Parameter; 4] = [
    Parameter { name: "r", bounds: BOUNDS },
    Parameter { name: "alpha", bounds: None },
    Parameter { name: "a", bounds: BOUNDS },
    Parameter { name: "b", bounds: BOUNDS },
];

/// Different histories from which a maximum is looked for from several starts; of more, a part of so many first.
const MOST_HISTORIES: usize = 20_000;

impl Purchases {
    /// Those under which the histories are likeliest, by the model under which they are likelier: both have as many parameters.
    ///
    /// # Errors
    /// [`FitError`], if neither can be learned that of BG/NBD.
    pub fn choose(histories: &[History]) -> Result<Self, FitError> {
        let all = Loss::ALL.map(|loss| Self::fit(histories, loss));
        match all {
            [Ok(one), Ok(other)] => {
                let is_likelier = other.log_likelihood(histories) > one.log_likelihood(histories);
                Ok(if is_likelier { other } else { one })
            }
            [Ok(only), Err(_)] | [Err(_), Ok(only)] => Ok(only),
            [Err(error), Err(_)] => Err(error),
        }
    }

    /// Those under which the histories are likeliest.
    ///
    /// # Errors
    /// [`FitError`].
    pub fn fit(histories: &[History], loss: Loss) -> Result<Self, FitError> {
        let fits = |one: &History| one.recency >= 0.0 && one.recency <= one.age && one.age.is_finite();
        if !histories.iter().all(fits) {
            return Err(FitError::Times);
        }
        if histories.len() < MIN_CUSTOMERS {
            return Err(FitError::TooFew { customers: histories.len() });
        }
        if histories.iter().all(|one| one.repeats == 0) {
            return Err(FitError::NoRepeats);
        }
        let [r, alpha, a, b] = Grouped::of(histories, loss).likeliest()?;
        Ok(Self { loss, r, alpha, a, b })
    }

    /// The log likelihood of histories.
    #[must_use]
    pub fn log_likelihood(&self, histories: &[History]) -> f64 {
        let grouped = Grouped::of(histories, self.loss);
        let (value, _) = grouped.at(&[self.r, self.alpha, self.a, self.b].map(f64::ln));
        -value * grouped.customers
    }

    /// The probability that a customer still buys.
    #[must_use]
    pub fn alive(&self, history: &History) -> f64 {
        let x = f64::from(history.repeats);
        let chances = self.loss.chances(x);
        if chances <= 0.0 {
            return 1.0;
        }
        let longer = ((self.alpha + history.age) / (self.alpha + history.recency)).ln();
        let odds = self.a.ln() - (self.b + chances - 1.0).ln() + (self.r + x) * longer;
        1.0 / (1.0 + odds.exp())
    }

    /// Purchases to be expected of a customer within a time from the end of the history on; none where the series of the formula
    /// doesn't converge.
    #[must_use]
    pub fn expected(&self, history: &History, horizon: f64) -> Option<f64> {
        if horizon <= 0.0 {
            return Some(0.0);
        }
        // At 1 the formula is 0 / 0, but smooth.
        const NEAR: f64 = 1e-5;
        if (self.a - 1.0).abs() < NEAR {
            let of = |a: f64| Self { a, ..*self }.expected_while_alive(history, horizon);
            let between = 0.5 * (of(1.0 - NEAR)? + of(1.0 + NEAR)?);
            return Some(between * self.alive(history));
        }
        Some(self.expected_while_alive(history, horizon)? * self.alive(history))
    }

    /// Equation 10 of the paper without its denominator, with n chances to be lost, by Euler's transformation of the hypergeometric function:
    /// with z as below, (1 - z)^(r + x) 2F1(r + x, b + n; c; z) is (1 - z)^(a - 1) 2F1(c - r - x, a - 1; c; z).
    fn expected_while_alive(&self, history: &History, horizon: f64) -> Option<f64> {
        let x = f64::from(history.repeats);
        let mut c = self.a + self.b + self.loss.chances(x) - 1.0;
        if c.abs() < 1e-9 {
            c = 1e-9;
        }
        let whole = self.alpha + history.age + horizon;
        let (z, left) = (horizon / whole, (self.alpha + history.age) / whole);
        let series = hypergeometric(c - self.r - x, self.a - 1.0, c, z)?;
        let expected = c / (self.a - 1.0) * (1.0 - left.powf(self.a - 1.0) * series);
        Some(expected).filter(|expected| expected.is_finite()).map(|expected| expected.max(0.0))
    }
}

impl Grouped {
    fn of(histories: &[History], loss: Loss) -> Self {
        let mut sorted: Vec<History> =
            histories.iter().map(|one| History { mean_spend: None, ..*one }).collect();
        sorted.sort_by(|one, other| {
            let times = one.recency.total_cmp(&other.recency).then(one.age.total_cmp(&other.age));
            one.repeats.cmp(&other.repeats).then(times)
        });
        let mut grouped: Vec<(History, f64)> = Vec::new();
        for history in sorted {
            match grouped.last_mut() {
                Some((same, count)) if *same == history => *count += 1.0,
                _ => grouped.push((history, 1.0)),
            }
        }
        Self::new(grouped, loss)
    }

    fn new(histories: Vec<(History, f64)>, loss: Loss) -> Self {
        let customers = histories.iter().map(|(_, count)| count).sum();
        Self { histories, customers, loss }
    }

    fn likeliest(&self) -> Result<[f64; 4], FitError> {
        if self.histories.len() > 2 * MOST_HISTORIES {
            let step = self.histories.len() / MOST_HISTORIES;
            let part = self.histories.iter().step_by(step).copied().collect();
            let start = Self::new(part, self.loss).likeliest()?;
            return fit::best(self, &[start], &PARAMETERS);
        }
        let ages: f64 = self.histories.iter().map(|(one, count)| one.age * count).sum();
        let mean_age = ages / self.customers;
        let starts = [(1.0, 1.0, 1.0), (0.3, 0.5, 2.0), (3.0, 1.0, 5.0), (0.3, 2.0, 1.0)]
            .map(|(r, a, b)| [r, r * mean_age.max(f64::MIN_POSITIVE), a, b]);
        fit::best(self, &starts, &PARAMETERS)
    }
}

/// What depends on the number of repeats, and of chances to be lost, alone: the value, and its derivatives by `r`, `a` and `b`.
fn of_repeats((x, n): (f64, f64), r: f64, a: f64, b: f64) -> (f64, [f64; 3]) {
    let value =
        ln_gamma(r + x) - ln_gamma(r) + ln_gamma(a + b) + ln_gamma(b + n) - ln_gamma(b) - ln_gamma(a + b + n);
    let lost = digamma(a + b) - digamma(a + b + n);
    (value, [digamma(r + x) - digamma(r), lost, lost + digamma(b + n) - digamma(b)])
}

impl Objective<4> for Grouped {
    /// The negative mean log likelihood of a customer by the logarithms of the parameters: equation 6 of the paper.
    fn at(&self, point: &[f64; 4]) -> (f64, [f64; 4]) {
        let [r, alpha, a, b] = point.map(f64::exp);
        let (mut sum, mut slopes) = (0.0, [0.0; 4]);
        let mut repeats = (None, (0.0, [0.0; 3]));
        for (history, count) in &self.histories {
            let x = f64::from(history.repeats);
            let n = self.loss.chances(x);
            if repeats.0 != Some(history.repeats) {
                repeats = (Some(history.repeats), of_repeats((x, n), r, a, b));
            }
            let (common, [by_r, by_a, by_b]) = repeats.1;
            let (until_end, until_last) = (alpha + history.age, alpha + history.recency);
            let still = -(r + x) * until_end.ln();
            let (either, lost) = if n <= 0.0 {
                (still, 0.0)
            } else {
                let gone = a.ln() - (b + n - 1.0).ln() - (r + x) * until_last.ln();
                let either = still.max(gone) + (-(still - gone).abs()).exp().ln_1p();
                (either, (gone - either).exp())
            };
            sum += count * (common + r * alpha.ln() + either);
            let logarithm = (1.0 - lost) * until_end.ln() + lost * until_last.ln();
            let inverse = (1.0 - lost) / until_end + lost / until_last;
            slopes[0] += count * (by_r + alpha.ln() - logarithm);
            slopes[1] += count * (r / alpha - (r + x) * inverse);
            slopes[2] += count * (by_a + lost / a);
            slopes[3] += count * (by_b - if lost > 0.0 { lost / (b + n - 1.0) } else { 0.0 });
        }
        let by_logarithm = std::array::from_fn(|at| -slopes[at] * [r, alpha, a, b][at] / self.customers);
        (-sum / self.customers, by_logarithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<History> {
        let one = |(repeats, recency, age)| History { repeats, recency, age, mean_spend: None };
        [(0, 0.0, 38.9), (2, 30.4, 38.9), (1, 1.7, 38.9), (7, 29.4, 38.9), (1, 5.0, 35.4), (1, 5.0, 35.4)]
            .map(one)
            .to_vec()
    }

    #[test]
    fn the_gradient_is_that_of_the_likelihood() {
        for loss in [Loss::AfterRepeats, Loss::AfterAny] {
            let grouped = Grouped::of(&some(), loss);
            assert_eq!((grouped.histories.len(), grouped.customers), (5, 6.0));
            let point = [-1.4, 1.5, -0.2, 0.9];
            let (_, gradient) = grouped.at(&point);
            for at in 0..4 {
                let moved = |by: f64| {
                    let mut moved = point;
                    moved[at] += by;
                    grouped.at(&moved).0
                };
                let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!((slope - gradient[at]).abs() < 1e-7, "{at}: {slope} {gradient:?}");
            }
        }
    }

    #[test]
    fn where_the_formula_is_no_number_it_is_smooth() {
        let at = |a: f64, b: f64| Purchases { loss: Loss::AfterRepeats, r: 0.24, alpha: 4.4, a, b };
        let history = some()[1];
        let near = at(1.0 + 3e-5, 2.4).expected(&history, 39.0).unwrap_or(f64::NAN);
        let one = at(1.0, 2.4).expected(&history, 39.0).unwrap_or(f64::NAN);
        assert!((near - one).abs() < 1e-3 && one > 0.0, "{near} {one}");
        let once = some()[0];
        let sum = at(0.4, 0.6).expected(&once, 39.0).unwrap_or(f64::NAN);
        let beside = at(0.4, 0.6 + 1e-6).expected(&once, 39.0).unwrap_or(f64::NAN);
        assert!((sum - beside).abs() < 1e-3 && sum > 0.0, "{sum} {beside}");
    }

    #[test]
    fn what_cannot_be_learned_is_told() {
        let once: Vec<History> = (0..30)
            .map(|at| History { repeats: 0, recency: 0.0, age: f64::from(at), mean_spend: None })
            .collect();
        assert_eq!(Purchases::choose(&once), Err(FitError::NoRepeats));
        assert_eq!(Purchases::choose(&some()), Err(FitError::TooFew { customers: 6 }));
        let mut wrong = once.clone();
        wrong[3].recency = 1e9;
        assert_eq!(Purchases::choose(&wrong), Err(FitError::Times));
        // All alike: customers don't differ, and what is expected of them is what they did.
        let alike = vec![History { repeats: 5, recency: 30.0, age: 33.0, mean_spend: None }; 50];
        let fitted = Purchases::choose(&alike).unwrap();
        let expected = fitted.expected(&alike[0], 33.0).unwrap();
        assert!(fitted.r > 10.0 && fitted.r < 1e3 && (3.0..6.0).contains(&expected), "{fitted:?} {expected}");
    }
}
