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
    /// That of a series, `[time]`, if it is seasonal: factors where all values are above 0 and they leave less of the series
    /// unexplained than additions do.
    pub fn of(values: &[f64], season: usize) -> Self {
        if !is_seasonal(&without_line(values), season) {
            return Self::None;
        }
        let levels = levels(values, season);
        let additions = additions(&levels, season);
        match Self::factors(values, season) {
            Some(factors) if unexplained(&levels, &factors) <= unexplained(&levels, &additions) => factors,
            _ => additions,
        }
    }

    /// By what each period of a season is multiplied, on average; none if a value or a factor is next to 0 or below.
    #[allow(clippy::cast_precision_loss)]
    pub fn factors(values: &[f64], season: usize) -> Option<Self> {
        if values.iter().any(|value| *value <= 0.0) {
            return None;
        }
        let mut factors = averages(&levels(values, season), season, |value, level| value / level);
        let mean = factors.iter().sum::<f64>() / season as f64;
        factors.iter_mut().for_each(|factor| *factor /= mean);
        let sound = factors.iter().all(|factor| *factor >= LEAST_FACTOR && factor.is_finite());
        sound.then_some(Self::Multiplicative(factors))
    }

    /// What is added to each period of a season, on average.
    pub fn additions(values: &[f64], season: usize) -> Self {
        additions(&levels(values, season), season)
    }

    /// Whether it can be removed and added: there is a number for each period.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            Self::None => true,
            Self::Additive(season) | Self::Multiplicative(season) => !season.is_empty(),
        }
    }

    /// The same of a series that begins so many periods later.
    pub(super) fn shifted(&self, shift: i64) -> Self {
        match self {
            Self::None => Self::None,
            Self::Additive(season) => Self::Additive(rotated(season, shift)),
            Self::Multiplicative(season) => Self::Multiplicative(rotated(season, shift)),
        }
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

/// What a season holds from so many periods after its first one.
pub(super) fn rotated(season: &[f64], shift: i64) -> Vec<f64> {
    let length = i64::try_from(season.len()).unwrap_or(i64::MAX);
    let by = if length > 0 { usize::try_from(shift.rem_euclid(length)).unwrap_or(0) } else { 0 };
    let mut season = season.to_vec();
    season.rotate_left(by);
    season
}

/// The middle one of values; 0 of none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
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

/// A value beside the centred moving mean of a season around it.
struct Level {
    time: usize,
    value: f64,
    level: f64,
}

#[allow(clippy::cast_precision_loss)]
fn additions(levels: &[Level], season: usize) -> Season {
    let mut additions = averages(levels, season, |value, level| value - level);
    let mean = additions.iter().sum::<f64>() / season as f64;
    additions.iter_mut().for_each(|addition| *addition -= mean);
    Season::Additive(additions)
}

/// Sum of squares of what level and season leave.
fn unexplained(levels: &[Level], season: &Season) -> f64 {
    levels.iter().map(|one| (one.value - season.add(one.time, one.level)).powi(2)).sum()
}

/// All values that have a season around them.
#[allow(clippy::cast_precision_loss)]
fn levels(values: &[f64], season: usize) -> Vec<Level> {
    let mut levels = Vec::new();
    let mut window: f64 = values.iter().take(season).sum();
    for start in 0..values.len().saturating_sub(season - 1) {
        if start > 0 {
            window += values[start + season - 1] - values[start - 1];
        }
        let time = start + season / 2;
        // An even season has no middle: half of a period at each end.
        let sum = match (season % 2, values.get(start + season)) {
            (1, _) => window,
            (_, Some(next)) => window + (next - values[start]) / 2.0,
            (_, None) => break,
        };
        levels.push(Level { time, value: values[time], level: sum / season as f64 });
    }
    levels
}

/// How each period of a season compares with its levels, on average.
fn averages(levels: &[Level], season: usize, compare: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let (mut sums, mut counts) = (vec![0.0; season], vec![0.0_f64; season]);
    for one in levels {
        sums[one.time % season] += compare(one.value, one.level);
        counts[one.time % season] += 1.0;
    }
    sums.iter().zip(&counts).map(|(sum, count)| sum / count.max(1.0)).collect()
}
