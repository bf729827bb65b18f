//! Conformal intervals: how far values were from what was forecast of them, of many series at once.
//!
//! Errors are divided by a size of their series, so that series share what is typical of a step (split conformal prediction: Lei et
//! al., "Distribution-free predictive inference for regression", 2018). It must not know methods. Invariant: a higher level never gives a narrower interval.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::backtest::Errors;

/// Levels of the quantiles that are kept: each percent, and half a percent at both ends.
const LEVELS: usize = 101;
/// Errors of a step from which its own quantiles are taken; of fewer, those of all steps.
const ENOUGH: usize = 200;
/// The largest part of values that an interval can be asked to cover.
pub const MOST_COVERAGE: f64 = 0.99;

/// Quantiles of standardised errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// `[step][level]`.
    steps: Vec<Vec<f64>>,
    /// By which power of time errors grow, from 1/2 to 1.
    growth: f64,
}

/// Standardised errors of many series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// `[step][error]`.
    steps: Vec<Vec<f64>>,
}

fn sums<'a>(errors: impl Iterator<Item = &'a f64>) -> (f64, f64) {
    errors.fold((0.0, 0.0), |(sum, count), error| (sum + error.abs(), count + 1.0))
}

impl Scores {
    /// Takes in the errors of one series, and its size before the first of them. A size that knew the errors would make them look
    /// smaller than those to come.
    pub fn add(&mut self, errors: &Errors, size: impl Fn(usize) -> f64) {
        for (step, error) in errors.iter().flat_map(|origin| origin.iter().enumerate()) {
            let size = size(step);
            let Some(error) = error.filter(|_| size > 0.0) else { continue };
            if self.steps.len() <= step {
                self.steps.resize(step + 1, Vec::new());
            }
            self.steps[step].push(error / size);
        }
    }

    /// Takes in those of others.
    pub fn merge(&mut self, other: &Self) {
        if self.steps.len() < other.steps.len() {
            self.steps.resize(other.steps.len(), Vec::new());
        }
        self.steps.iter_mut().zip(&other.steps).for_each(|(own, others)| own.extend(others));
    }

    /// Of how many errors the first step knows.
    pub fn count(&self) -> usize {
        self.steps.first().map_or(0, Vec::len)
    }

    /// Their quantiles at each step.
    pub fn distribution(&self) -> Distribution {
        let typical: Vec<f64> = self.typical();
        let mut shape: Vec<f64> = Vec::new();
        for (errors, typical) in self.steps.iter().zip(&typical) {
            shape.extend(errors.iter().map(|error| error / typical));
        }
        shape.sort_by(f64::total_cmp);
        let common = quantiles(&shape);
        let of_step = |(errors, typical): (&Vec<f64>, &f64)| {
            if errors.len() < ENOUGH {
                return common.iter().map(|quantile| quantile * typical).collect();
            }
            let mut errors = errors.clone();
            errors.sort_by(f64::total_cmp);
            quantiles(&errors)
        };
        Distribution {
            steps: self.steps.iter().zip(&typical).map(of_step).collect(),
            growth: growth(&typical),
        }
    }

    /// The size of the errors of each step, which never falls.
    fn typical(&self) -> Vec<f64> {
        let mut least = f64::MIN_POSITIVE;
        let mut before = 0.0;
        let size = |errors: &Vec<f64>| {
            let (sum, count) = sums(errors.iter());
            // Few errors at the last steps say little: they count with those of the step before.
            let weight = count / (count + 10.0);
            let own = if count > 0.0 { sum / count } else { before };
            let size = if before > 0.0 { weight * own + (1.0 - weight) * before } else { own };
            least = size.max(least);
            before = least;
            least
        };
        self.steps.iter().map(size).collect()
    }
}

impl Distribution {
    /// The standardised error that a part `level` of errors at a step, from 0, is below. Steps beyond those that were seen are those
    /// of the last one.
    pub fn quantile(&self, step: usize, level: f64) -> f64 {
        let last = self.steps.len().saturating_sub(1);
        let Some(quantiles) = self.steps.get(step.min(last)) else { return 0.0 };
        between(quantiles, level)
    }

    /// The same of errors whose unit is one for all steps: wider by a power of time beyond the steps that were seen.
    #[allow(clippy::cast_precision_loss)]
    pub fn growing_quantile(&self, step: usize, level: f64) -> f64 {
        let last = self.steps.len().saturating_sub(1);
        let wider = if step > last { ((step + 1) as f64 / (last + 1) as f64).powf(self.growth) } else { 1.0 };
        wider * self.quantile(step, level)
    }
}

/// The power of time by which errors of these sizes, `[step]`, grow: 1/2 is that of a random walk, 1 that of a wrong slope.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn growth(sizes: &[f64]) -> f64 {
    match sizes {
        [first, .., last] if *first > 0.0 => {
            ((last / first).ln() / (sizes.len() as f64).ln()).clamp(0.5, 1.0)
        }
        _ => 0.5,
    }
}

/// The level of a place among the kept quantiles.
#[allow(clippy::cast_precision_loss)]
fn level_at(place: usize) -> f64 {
    match place {
        0 => 0.005,
        place if place == LEVELS - 1 => 0.995,
        place => place as f64 / 100.0,
    }
}

/// Quantiles of sorted numbers, at places that leave as much beyond both ends as between two (Vovk, Gammerman and Shafer,
/// "Algorithmic learning in a random world", 2005); of none all are 0.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn quantiles(sorted: &[f64]) -> Vec<f64> {
    let at = |place: usize| {
        let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
        let position = (level_at(place) * (sorted.len() + 1) as f64 - 1.0).clamp(0.0, last as f64);
        let (below, part) = (position.floor() as usize, position.fract());
        sorted[below] * (1.0 - part) + sorted[(below + 1).min(last)] * part
    };
    (0..LEVELS).map(at).collect()
}

/// A quantile between two that are kept.
fn between(quantiles: &[f64], level: f64) -> f64 {
    let after = (1..quantiles.len()).find(|place| level_at(*place) >= level).unwrap_or(LEVELS - 1);
    let (low, high) = (level_at(after - 1), level_at(after));
    let part = ((level - low) / (high - low)).clamp(0.0, 1.0);
    match (quantiles.get(after - 1), quantiles.get(after)) {
        (Some(below), Some(above)) => below * (1.0 - part) + above * part,
        _ => 0.0,
    }
}

/// The distribution of each group of series, and of all series for groups with few errors.
pub fn distributions(scores: &BTreeMap<u8, Scores>) -> BTreeMap<u8, Distribution> {
    let mut all = Scores::default();
    scores.values().for_each(|group| all.merge(group));
    let of_all = all.distribution();
    let of_group = |scores: &Scores| {
        if scores.count() < ENOUGH { of_all.clone() } else { scores.distribution() }
    };
    scores.iter().map(|(group, scores)| (*group, of_group(scores))).collect()
}
