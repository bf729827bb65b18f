//! How much of a series is trend, season and remainder.
//!
//! It must not know methods. Invariant: parts are at least 0 and sum to 1.

use serde::{Deserialize, Serialize};

use crate::methods::season::Season;

/// Fewest values of a series that can be told apart into parts.
const LEAST: usize = 8;
/// Periods of the moving mean that is the trend, where there is no season.
const WINDOW: usize = 9;

/// Parts of what a series varies by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Components {
    /// Of the slow change of its level.
    pub trend: f64,
    /// Of what comes again each season.
    pub season: f64,
    /// Of all else.
    pub remainder: f64,
}

impl Components {
    /// Those of a series, `[time]`, by classical decomposition: variances of the season, of a centred moving mean of what it leaves, and of
    /// the rest, over their sum. None of a series that is short or doesn't change.
    pub fn of(values: &[f64], season: usize) -> Option<Self> {
        let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        if values.len() < LEAST || largest <= 0.0 {
            return None;
        }
        let values: Vec<f64> = values.iter().map(|value| value / largest).collect();
        let season = if 2 * season <= values.len() { season.max(1) } else { 1 };
        let effects = Season::of(&values, season);
        let adjusted: Vec<f64> =
            values.iter().enumerate().map(|(time, value)| effects.remove(time, *value)).collect();
        let level = moving_mean(&adjusted, if season > 1 { season } else { WINDOW });
        let trend = variance(&level);
        let seasonal: Vec<f64> = values.iter().zip(&adjusted).map(|(value, rest)| value - rest).collect();
        let seasonal = variance(&seasonal);
        let rest: Vec<f64> = adjusted.iter().zip(&level).map(|(value, level)| value - level).collect();
        let remainder = variance(&rest);
        let sum = trend + seasonal + remainder;
        (sum > 0.0 && sum.is_finite()).then(|| Self {
            trend: trend / sum,
            season: seasonal / sum,
            remainder: remainder / sum,
        })
    }

    /// The mean of those of several series; none of none.
    #[allow(clippy::cast_precision_loss)]
    pub fn mean(all: impl Iterator<Item = Self>) -> Option<Self> {
        let (mut sum, mut count) = (Self::default(), 0_usize);
        for one in all {
            sum.trend += one.trend;
            sum.season += one.season;
            sum.remainder += one.remainder;
            count += 1;
        }
        let mean = |sum: f64| sum / count as f64;
        let Self { trend, season, remainder } = sum;
        (count > 0).then(|| Self { trend: mean(trend), season: mean(season), remainder: mean(remainder) })
    }
}

/// The mean of up to so many values around each, `[time]`; fewer at both ends.
#[allow(clippy::cast_precision_loss)]
fn moving_mean(values: &[f64], window: usize) -> Vec<f64> {
    let half = window / 2;
    let mean = |time: usize| {
        // As many on both sides.
        let reach = half.min(time).min(values.len() - 1 - time);
        let around = values.get(time - reach..=time + reach).unwrap_or_default();
        around.iter().sum::<f64>() / around.len().max(1) as f64
    };
    (0..values.len()).map(mean).collect()
}

#[allow(clippy::cast_precision_loss)]
fn variance(values: &[f64]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n
}
