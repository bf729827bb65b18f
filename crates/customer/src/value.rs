//! What a customer will do and spend within a time, with an interval.
//!
//! The mean is by the formulas, the interval by simulation of the customer: rate, loss and worths are drawn from what his history
//! leaves open. Parameters are taken to be known. Invariant: a customer's interval depends on his history and the seed alone.

use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::purchases::Purchases;
use crate::random::Random;
use crate::spend::Spend;

/// Simulated futures of a customer.
const FUTURES: usize = 500;
/// Purchases of one future, at most.
const MOST: u32 = 10_000;

/// What is expected of a customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Probability that he still buys.
    pub alive: f64,
    /// Purchases; none where they can't be computed.
    pub purchases: Option<f64>,
    /// What they are worth; none without amounts, or where a mean doesn't exist.
    pub value: Option<f64>,
    /// Where the worth, or without amounts the number, of purchases lies with the probability asked for.
    pub interval: (f64, f64),
}

/// How customers buy and, where amounts are known, what for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// How often.
    pub purchases: Purchases,
    /// What for.
    pub spend: Option<Spend>,
}

impl Model {
    /// What is expected of a customer within a time, with an interval of a level between 0 and 1.
    #[must_use]
    pub fn expect(&self, history: &History, horizon: f64, level: f64, seed: u64) -> Expected {
        let purchases = self.purchases.expected(history, horizon);
        let each = self.spend.and_then(|spend| spend.expected(history));
        Expected {
            alive: self.purchases.alive(history),
            purchases,
            value: purchases.zip(each).map(|(purchases, each)| purchases * each),
            interval: self.interval(history, horizon, level, seed),
        }
    }

    fn interval(&self, history: &History, horizon: f64, level: f64, seed: u64) -> (f64, f64) {
        let bits = [history.recency.to_bits(), history.age.to_bits(), u64::from(history.repeats)];
        let mixed = bits
            .iter()
            .fold(seed, |sum, one| (sum ^ one).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29));
        let mut random = Random::of(mixed);
        let mut futures: Vec<f64> =
            (0..FUTURES).map(|_| self.future(history, horizon, &mut random)).collect();
        futures.sort_by(f64::total_cmp);
        (quantile(&futures, (1.0 - level) / 2.0), quantile(&futures, (1.0 + level) / 2.0))
    }

    /// What a customer comes to in one simulated future.
    fn future(&self, history: &History, horizon: f64, random: &mut Random) -> f64 {
        let Purchases { loss, r, alpha, a, b } = self.purchases;
        let x = f64::from(history.repeats);
        if random.uniform() > self.purchases.alive(history) {
            return 0.0;
        }
        let (rate, loss) = (random.gamma(r + x) / (alpha + history.age), random.beta(a, b + loss.chances(x)));
        let (mut time, mut bought) = (0.0, 0);
        while bought < MOST {
            time += random.exponential() / rate;
            if time > horizon {
                break;
            }
            bought += 1;
            if random.uniform() < loss {
                break;
            }
        }
        match self.spend {
            Some(spend) if bought > 0 => {
                let (shape, inverse_scale) = spend.posterior(history);
                let scale = inverse_scale / random.gamma(shape);
                random.gamma(spend.p * f64::from(bought)) * scale
            }
            Some(_) => 0.0,
            None => f64::from(bought),
        }
    }
}

/// A quantile of sorted values, none of which is missing.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let place = (p.clamp(0.0, 1.0) * (sorted.len().saturating_sub(1)) as f64).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purchases::Loss;

    const MODEL: Model = Model {
        purchases: Purchases { loss: Loss::AfterRepeats, r: 0.8, alpha: 6.0, a: 0.7, b: 2.5 },
        spend: Some(Spend { p: 6.0, q: 4.0, v: 15.0 }),
    };

    /// The means of many simulated futures are those of the formulas, which are derived independently.
    #[test]
    fn the_simulation_agrees_with_the_formulas() {
        for (repeats, recency) in [(0, 0.0), (3, 20.0), (6, 35.0)] {
            let mean_spend = (repeats > 0).then_some(30.0);
            let history = History { repeats, recency, age: 39.0, mean_spend };
            let modified = Purchases { loss: Loss::AfterAny, ..MODEL.purchases };
            for model in [MODEL, Model { spend: None, ..MODEL }, Model { purchases: modified, ..MODEL }] {
                let expected = model.expect(&history, 52.0, 0.8, 1);
                let mean = if model.spend.is_some() { expected.value } else { expected.purchases };
                let mut random = Random::of(7);
                let sum: f64 = (0..200_000).map(|_| model.future(&history, 52.0, &mut random)).sum();
                let (mean, simulated) = (mean.unwrap_or(f64::NAN), sum / 200_000.0);
                assert!((mean - simulated).abs() < 0.03 * mean, "{repeats}: {mean} {simulated}");
            }
        }
    }

    #[test]
    fn intervals_widen_with_their_level_and_hold_no_matter_who_asks() {
        let history = History { repeats: 6, recency: 35.0, age: 39.0, mean_spend: Some(30.0) };
        let (narrow, wide) = (MODEL.expect(&history, 52.0, 0.5, 1), MODEL.expect(&history, 52.0, 0.9, 1));
        assert!(
            wide.interval.0 <= narrow.interval.0
                && narrow.interval.0 < narrow.interval.1
                && narrow.interval.1 < wide.interval.1
        );
        assert_eq!(MODEL.expect(&history, 52.0, 0.9, 1), wide);
        let none = MODEL.expect(&history, 0.0, 0.9, 1);
        assert_eq!((none.purchases, none.value, none.interval), (Some(0.0), Some(0.0), (0.0, 0.0)));
    }
}
