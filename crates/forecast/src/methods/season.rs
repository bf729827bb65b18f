//! Classical decomposition: how much each period of a season is above or below the others.
//!
//! It must not know trends beyond a moving mean. Invariant: factors are 1 on average, and what is added is 0.

use serde::{Deserialize, Serialize};

use crate::autocorrelation::is_seasonal;

/// Smallest factor: less would make the values of one season arbitrarily important.
const LEAST_FACTOR: f64 = 0.01;

/// What a season does to each of its periods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Season {
    /// No season.
    None,
    /// What is added, `[season]`, from the period at which the series begins.
    Additive(Vec<f64>),
    /// By what is multiplied, `[season]`.
    Multiplicative(Vec<f64>),
}

impl Season {
    /// That of a series, `[time]`, if it is seasonal: factors where all values are above 0, else what is added.
    pub fn of(values: &[f64], season: usize) -> Self {
        if !is_seasonal(&without_line(values), season) {
            return Self::None;
        }
        let positive = values.iter().all(|value| *value > 0.0);
        if positive {
            if let Some(factors) = factors(values, season) {
                return factors;
            }
        }
        additions(values, season)
    }

    /// The value at a time without its season.
    pub fn remove(&self, time: usize, value: f64) -> f64 {
        match self {
            Self::None => value,
            Self::Additive(season) => value - season[time % season.len()],
            Self::Multiplicative(season) => value / season[time % season.len()],
        }
    }

    /// The value at a time with its season.
    pub fn add(&self, time: usize, value: f64) -> f64 {
        match self {
            Self::None => value,
            Self::Additive(season) => value + season[time % season.len()],
            Self::Multiplicative(season) => value * season[time % season.len()],
        }
    }
}

/// Values less the straight line through them: where they rise, all are like those of a season ago.
#[allow(clippy::cast_precision_loss)]
fn without_line(values: &[f64]) -> Vec<f64> {
    let (mean, slope) = line(values).unwrap_or_default();
    let middle = (values.len() as f64 - 1.0) / 2.0;
    values.iter().enumerate().map(|(time, value)| value - mean - slope * (time as f64 - middle)).collect()
}

/// Mean and slope of the straight line through values, by least squares; none of fewer than two.
#[allow(clippy::cast_precision_loss)]
pub(super) fn line(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let middle = (n - 1.0) / 2.0;
    let (mut product, mut squares) = (0.0, 0.0);
    for (time, value) in values.iter().enumerate() {
        let from_middle = time as f64 - middle;
        product += from_middle * (value - mean);
        squares += from_middle * from_middle;
    }
    (squares > 0.0).then(|| (mean, product / squares))
}

/// Factors by ratio to the moving mean; none if one would be next to 0.
fn factors(values: &[f64], season: usize) -> Option<Season> {
    let mut factors = averages(values, season, |value, level| value / level);
    let mean = factors.iter().sum::<f64>() / season as f64;
    factors.iter_mut().for_each(|factor| *factor /= mean);
    let sound = factors.iter().all(|factor| *factor >= LEAST_FACTOR && factor.is_finite());
    sound.then_some(Season::Multiplicative(factors))
}

/// What is added, by difference from the moving mean.
pub(super) fn additions(values: &[f64], season: usize) -> Season {
    let mut additions = averages(values, season, |value, level| value - level);
    let mean = additions.iter().sum::<f64>() / season as f64;
    additions.iter_mut().for_each(|addition| *addition -= mean);
    Season::Additive(additions)
}

pub(super) fn multiplicative(values: &[f64], season: usize) -> Option<Season> {
    factors(values, season)
}

/// How each period of a season compares with the centred moving mean of a season, on average.
#[allow(clippy::cast_precision_loss)]
fn averages(values: &[f64], season: usize, compare: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let (mut sums, mut counts) = (vec![0.0; season], vec![0.0_f64; season]);
    let half = season / 2;
    let mut window: f64 = values.iter().take(season).sum();
    for start in 0..values.len().saturating_sub(season - 1) {
        if start > 0 {
            window += values[start + season - 1] - values[start - 1];
        }
        let centre = start + half;
        // An even season has no middle: half of a period at each end.
        let level = match (season % 2, values.get(start + season)) {
            (1, _) => window,
            (_, Some(next)) => window + (next - values[start]) / 2.0,
            (_, None) => break,
        } / season as f64;
        sums[centre % season] += compare(values[centre], level);
        counts[centre % season] += 1.0;
    }
    sums.iter().zip(&counts).map(|(sum, count)| sum / count.max(1.0)).collect()
}
