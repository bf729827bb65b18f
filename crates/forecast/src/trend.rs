//! Whether a series rises or falls, and by how much a period.
//!
//! With a season, periods are compared with those of the same season only (Hirsch, Slack and Smith, "Techniques of trend analysis for
//! monthly water quality data", 1982), so a season is no trend. It must not know calendars. Invariant: multiplying values by a
//! positive number multiplies slopes and changes nothing else, and adding one to all changes nothing at all, but for rounding.

use std::collections::BTreeMap;

use ecommerce_ml_metrics::normal;

use crate::autocorrelation::{is_seasonal, variance_inflation};
use crate::{Invalid, finite, require};

/// Most periods of a series: its pairs then take 100 MB.
pub const MOST_PERIODS: usize = 5_000;

/// Observations that a test takes.
pub const LEAST_OBSERVATIONS: usize = 4;

/// How a series changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Median change a period (Theil 1950, Sen 1968).
    pub slope: f64,
    /// The interval that holds it with the level asked for.
    pub lower: f64,
    /// Its upper end.
    pub upper: f64,
    /// Pairs that rise less those that fall: Mann and Kendall's S.
    pub score: i64,
    /// Variance of S without trend: ties counted, and serial correlation where there is no season.
    pub variance: f64,
    /// Two-sided probability of such an S without trend.
    pub p_value: f64,
    /// The season within which periods were compared; 1 for none.
    pub season: usize,
}

/// A series in the order of time: numbers of periods, ascending, with their values.
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    times: &'a [i64],
    values: &'a [f64],
}

impl<'a> Series<'a> {
    /// # Errors
    /// [`Invalid::Argument`] for other than as many ascending times as finite values.
    pub fn new(times: &'a [i64], values: &'a [f64]) -> Result<Self, Invalid> {
        let ascend = times.windows(2).all(|pair| pair[0] < pair[1]);
        require("times", ascend && times.len() == values.len(), "ascending and as many as values")?;
        require("values", values.iter().all(|value| value.is_finite()), "finite numbers")?;
        Ok(Self { times, values })
    }

    /// Its trend, with an interval of this level; `None` of fewer than [`LEAST_OBSERVATIONS`] values, or if no two values can be
    /// compared.
    ///
    /// # Errors
    /// [`Invalid::OutOfRange`] if a difference is larger than any number, [`Invalid::Argument`] for more than [`MOST_PERIODS`].
    pub fn trend(&self, season: usize, level: f64) -> Result<Option<Trend>, Invalid> {
        require("values", self.values.len() <= MOST_PERIODS, "at most 5000")?;
        require("level", level > 0.0 && level < 1.0, "between 0 and 1, both excluded")?;
        let (mut slopes, score) = self.slopes(season.max(1));
        if self.values.len() < LEAST_OBSERVATIONS || slopes.is_empty() {
            return Ok(None);
        }
        let independent = self.variance(season.max(1));
        let slope = median(&mut slopes);
        let variance = match season {
            0 | 1 => independent * variance_inflation(&ranks(&self.without(slope))),
            _ => independent,
        };
        let (lower, upper) = interval(&mut slopes, variance, level);
        Ok(Some(Trend {
            slope: finite(slope)?,
            lower: finite(lower)?,
            upper: finite(upper)?,
            score,
            variance,
            p_value: p_value(score, variance),
            season: season.max(1),
        }))
    }

    /// The season to compare within: the given one if the series, without its trend, repeats itself so; else 1. Periods that are
    /// missing are taken for the median.
    ///
    /// # Errors
    /// [`Invalid::Argument`] for more than [`MOST_PERIODS`].
    pub fn season(&self, season: usize) -> Result<usize, Invalid> {
        require("values", self.values.len() <= MOST_PERIODS, "at most 5000")?;
        let (Some(first), Some(last)) = (self.times.first(), self.times.last()) else { return Ok(1) };
        let length = usize::try_from(last.saturating_sub(*first)).unwrap_or(usize::MAX).saturating_add(1);
        if season < 2 || length > MOST_PERIODS || length < season.saturating_mul(2) {
            return Ok(1);
        }
        let (mut slopes, _) = self.slopes(1);
        let mut rest = self.without(median(&mut slopes));
        let middle = median(&mut rest.clone());
        rest.iter_mut().for_each(|value| *value -= middle);
        let mut dense = vec![0.0; length];
        for (time, value) in self.times.iter().zip(rest) {
            if let Some(place) = usize::try_from(time - first).ok().and_then(|at| dense.get_mut(at)) {
                *place = value;
            }
        }
        Ok(if is_seasonal(&dense, season) { season } else { 1 })
    }

    /// The changes a period of all pairs that can be compared, and S.
    #[allow(clippy::cast_precision_loss)]
    fn slopes(&self, season: usize) -> (Vec<f64>, i64) {
        let step = i64::try_from(season).unwrap_or(i64::MAX);
        let (mut slopes, mut score) = (Vec::new(), 0);
        for (place, (time, value)) in self.times.iter().zip(self.values).enumerate() {
            let later = self.times.iter().zip(self.values).skip(place + 1);
            for (later_time, later_value) in later.filter(|(later, _)| (*later - time) % step == 0) {
                score += i64::from(later_value > value) - i64::from(later_value < value);
                slopes.push((later_value - value) / (later_time - time) as f64);
            }
        }
        (slopes, score)
    }

    /// Variance of S if each order is as likely: over the seasons, (n (n - 1) (2 n + 5) less the same of each tie) / 18.
    fn variance(&self, season: usize) -> f64 {
        let step = i64::try_from(season).unwrap_or(i64::MAX);
        let mut seasons: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for (time, value) in self.times.iter().zip(self.values) {
            seasons.entry(time.rem_euclid(step)).or_default().push(*value);
        }
        let of = |mut values: Vec<f64>| {
            // So that -0 ties with 0.
            values.iter_mut().for_each(|value| *value += 0.0);
            values.sort_by(f64::total_cmp);
            let ties = values.chunk_by(|one, other| one == other).map(|tie| orders(tie.len())).sum::<f64>();
            (orders(values.len()) - ties) / 18.0
        };
        seasons.into_values().map(of).sum()
    }

    /// Its values without a slope.
    #[allow(clippy::cast_precision_loss)]
    fn without(&self, slope: f64) -> Vec<f64> {
        let first = self.times.first().copied().unwrap_or_default();
        self.times
            .iter()
            .zip(self.values)
            .map(|(time, value)| value - slope * (time - first) as f64)
            .collect()
    }
}

#[allow(clippy::cast_precision_loss)]
fn orders(count: usize) -> f64 {
    let n = count as f64;
    n * (n - 1.0) * (2.0 * n + 5.0)
}

/// Mann and Kendall's test: S is normal, corrected for continuity (Kendall, "Rank correlation methods", 1975).
#[allow(clippy::cast_precision_loss)]
fn p_value(score: i64, variance: f64) -> f64 {
    if score == 0 || variance <= 0.0 {
        return 1.0;
    }
    normal::two_sided((score.unsigned_abs() - 1) as f64 / variance.sqrt())
}

/// Sen's interval: the slopes as many places from the middle as S may be from 0.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn interval(slopes: &mut [f64], variance: f64, level: f64) -> (f64, f64) {
    let count = slopes.len() as f64;
    let reach = normal::quantile(0.5 + level / 2.0) * variance.sqrt();
    let last = slopes.len() - 1;
    let upper = ((count + reach) / 2.0).round_ties_even().min(last as f64) as usize;
    let lower = (((count - reach) / 2.0).round_ties_even() - 1.0).max(0.0) as usize;
    (nth(slopes, lower), nth(slopes, upper))
}

/// The middle one, or the mean of the two in the middle; 0 of none.
pub fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => nth(values, middle),
        _ => nth(values, middle - 1) / 2.0 + nth(values, middle) / 2.0,
    }
}

fn nth(values: &mut [f64], place: usize) -> f64 {
    *values.select_nth_unstable_by(place, f64::total_cmp).1
}

/// The place of each value in order, from 1; of equal ones the mean of their places.
#[allow(clippy::cast_precision_loss)]
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&one, &other| values[one].total_cmp(&values[other]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for tie in order.chunk_by(|&one, &other| values[one] == values[other]) {
        let rank = before as f64 + (tie.len() + 1) as f64 / 2.0;
        tie.iter().for_each(|&place| ranks[place] = rank);
        before += tie.len();
    }
    ranks
}
