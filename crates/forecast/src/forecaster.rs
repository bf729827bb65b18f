//! Many series forecast, each by its own method, with intervals that they share.
//!
//! It must not know where series come from. Invariant: the same series give the same forecasts with any number of threads, and what
//! is measured was not known when it was forecast.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::accuracy::{Accuracy, Forecast, Scale};
use crate::backtest::cumulated;
use crate::intervals::{Distribution, MOST_COVERAGE, Scores, distributions};
use crate::methods::Model;
use crate::methods::naive::SeasonalNaive;
use crate::parallel::map;
use crate::selection::{self, Fitted, Selection, select};
use crate::series::{MOST_PERIODS, Series};
use crate::{Invalid, require};

/// Most periods ahead.
pub const MOST_HORIZON: usize = 1_000;

/// How series are forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Periods of a season; 1 for none.
    pub season: usize,
    /// Periods ahead for which methods are chosen and intervals are measured.
    pub horizon: usize,
    /// Threads to use.
    pub threads: usize,
}

/// Fitted methods of many series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecaster {
    series: Vec<Member>,
    /// Of errors, by groups of series.
    distributions: BTreeMap<u8, Distribution>,
    /// Of errors of sums from the first step on.
    totals: BTreeMap<u8, Distribution>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Member {
    fitted: Fitted,
    /// Periods between its end and that of all series.
    behind: usize,
    /// The season before that end.
    naive: SeasonalNaive,
    /// The unit of errors; none for a series in which nothing changed.
    scale: Option<Scale>,
}

/// Forecasts of values that were held out, measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Those of the chosen methods.
    pub own: Accuracy,
    /// Those of the seasonal naive; its intervals have no width.
    pub naive: Accuracy,
    /// Series that were long enough.
    pub series: usize,
    /// Root mean squared scaled error of the chosen method and of the naive, of each series that has one.
    pub pairs: Vec<(f64, f64)>,
}

impl Forecaster {
    /// Chooses and fits the method of each series; `end` is the number of the first period to come.
    ///
    /// # Errors
    /// [`Invalid::Argument`] without series, and for a horizon other than 1 to [`MOST_HORIZON`].
    pub fn fit(series: &[Series], end: i64, options: Options) -> Result<Self, Invalid> {
        require("series", !series.is_empty(), "at least one")?;
        check_horizon(options.horizon)?;
        let choose = selection::Options { season: options.season, horizon: options.horizon };
        let selections = map(series, options.threads, |one| select(&one.values, &one.missing, choose));
        let selections: Vec<Selection> = selections.into_iter().collect::<Result<_, _>>()?;
        let (mut scores, mut sums): (BTreeMap<u8, Scores>, BTreeMap<u8, Scores>) = Default::default();
        for Selection { fitted, errors, earlier, .. } in &selections {
            scores.entry(fitted.group).or_default().add(errors, |step| earlier.step(step));
            sums.entry(fitted.group).or_default().add(&cumulated(errors), |_| earlier.spread());
        }
        let (distributions, totals) = (distributions(&scores), distributions(&sums));
        let member = |(selection, one): (Selection, &Series)| Member {
            fitted: selection.fitted,
            behind: behind(one, end),
            naive: naive(&one.values, options.season),
            // Where each season is as the one before, errors are compared with changes from one period to the next.
            scale: Scale::of(&one.values, options.season).or_else(|| Scale::of(&one.values, 1)),
        };
        let series = selections.into_iter().zip(series).map(member).collect();
        Ok(Self { series, distributions, totals })
    }

    /// Whether all can be forecast, which those out of a damaged file may not.
    pub fn is_sound(&self) -> bool {
        let near = |member: &Member| i64::try_from(member.behind).is_ok_and(|behind| behind <= MOST_PERIODS);
        self.series.iter().all(|member| member.fitted.is_sound() && near(member))
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The method of a series; none beyond the last one.
    pub fn method(&self, place: usize) -> Option<String> {
        self.series.get(place).map(|member| member.fitted.method())
    }

    /// What the season before says of the next values of a series, `[horizon]`; none for a series beyond the last.
    pub fn naive(&self, place: usize, horizon: usize) -> Vec<f64> {
        let Some(Member { naive, behind, .. }) = self.series.get(place) else { return Vec::new() };
        let naive = Model::SeasonalNaive(naive.clone());
        naive.forecast(behind + horizon).into_iter().skip(*behind).collect()
    }

    /// The unit of the errors of a series; none for one in which nothing changed, and beyond the last.
    pub fn scale(&self, place: usize) -> Option<Scale> {
        self.series.get(place)?.scale
    }

    /// Periods of a season.
    pub(crate) fn season(&self, place: usize) -> usize {
        self.series.get(place).map_or(1, |member| member.naive.season())
    }

    /// The method of a series.
    pub(crate) fn fitted(&self, place: usize) -> Option<&Fitted> {
        Some(&self.series.get(place)?.fitted)
    }

    /// The period from which on a series is unknown to a method that forecasts from `end` on.
    pub(crate) fn known_until(&self, place: usize, end: i64) -> i64 {
        let behind = self.series.get(place).map_or(0, |member| member.behind);
        end.saturating_sub(i64::try_from(behind).unwrap_or(i64::MAX))
    }

    /// The quantile of the error of a series at the first step.
    pub(crate) fn first_error(&self, place: usize, level: f64) -> f64 {
        let Some(Member { fitted, .. }) = self.series.get(place) else { return 0.0 };
        self.distributions.get(&fitted.group).map_or(0.0, |errors| errors.quantile(0, level))
            * fitted.typical.step(0)
    }

    /// One series with its method in another state, which is behind all others by so many periods.
    pub(crate) fn with_state(&self, fitted: Fitted, behind: usize) -> Self {
        let group = |all: &BTreeMap<u8, Distribution>| {
            all.get(&fitted.group).map(|errors| (fitted.group, errors.clone())).into_iter().collect()
        };
        let (distributions, totals) = (group(&self.distributions), group(&self.totals));
        let naive = SeasonalNaive::new(&[], 1);
        Self { series: vec![Member { fitted, behind, naive, scale: None }], distributions, totals }
    }

    /// The next values of a series, `[horizon]`, with intervals that cover a part `level` of them; none for a series beyond the last.
    ///
    /// # Errors
    /// [`Invalid::Argument`] for a horizon other than 1 to [`MOST_HORIZON`], and a level that is not above 0 and at most
    /// [`MOST_COVERAGE`].
    pub fn forecast(&self, place: usize, horizon: usize, level: f64) -> Result<Vec<Forecast>, Invalid> {
        check_level(level)?;
        let ends = [(1.0 - level) / 2.0, (1.0 + level) / 2.0];
        let quantiles = self.quantiles(place, horizon, &ends)?;
        let forecast = |(value, ends): (f64, Vec<f64>)| match ends.as_slice() {
            // A method that has erred to one side has its interval there; what it forecasts is in it all the same.
            [lower, upper] => Forecast { value, lower: lower.min(value), upper: upper.max(value) },
            _ => Forecast { value, lower: value, upper: value },
        };
        Ok(quantiles.into_iter().map(forecast).collect())
    }

    /// The next values of a series, `[horizon]`, each with its quantiles at these levels.
    ///
    /// # Errors
    /// [`Invalid::Argument`] for a horizon other than 1 to [`MOST_HORIZON`].
    pub fn quantiles(
        &self,
        place: usize,
        horizon: usize,
        levels: &[f64],
    ) -> Result<Vec<(f64, Vec<f64>)>, Invalid> {
        check_horizon(horizon)?;
        let Some(Member { fitted, behind, .. }) = self.series.get(place) else { return Ok(Vec::new()) };
        let distribution = self.distributions.get(&fitted.group);
        let at = |(step, value): (usize, f64)| {
            let error = |level: &f64| {
                distribution.map_or(0.0, |errors| errors.quantile(step, *level)) * fitted.typical.step(step)
            };
            (value, levels.iter().map(|level| fitted.clamp(value + error(level))).collect())
        };
        Ok(fitted.forecast(behind + horizon).into_iter().enumerate().skip(*behind).map(at).collect())
    }

    /// The sum of the next values of a series, with its quantiles at these levels; none for a series beyond the last.
    ///
    /// How much sums vary is what sums of errors of the past varied by, whichever way the errors of successive periods go together; of a series
    /// that ended before the others, as of all periods since.
    ///
    /// # Errors
    /// [`Invalid::Argument`] for a horizon other than 1 to [`MOST_HORIZON`].
    #[allow(clippy::cast_precision_loss)]
    pub fn total(
        &self,
        place: usize,
        horizon: usize,
        levels: &[f64],
    ) -> Result<Option<(f64, Vec<f64>)>, Invalid> {
        check_horizon(horizon)?;
        let Some(Member { fitted, behind, .. }) = self.series.get(place) else { return Ok(None) };
        let sum: f64 = fitted.forecast(behind + horizon).iter().skip(*behind).sum();
        let errors = self.totals.get(&fitted.group);
        let periods = horizon as f64;
        let quantile = |level: &f64| {
            let last = behind + horizon - 1;
            let error = errors.map_or(0.0, |errors| errors.growing_quantile(last, *level));
            fitted.clamp((sum + error * fitted.typical.spread()) / periods) * periods
        };
        Ok(Some((sum, levels.iter().map(quantile).collect())))
    }
}

/// The last values of a series, forecast from those before them.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOut {
    /// Its key.
    pub key: u32,
    /// What came, `[time]`; what is missing was filled in.
    pub actual: Vec<f64>,
    /// Which of them are known.
    pub known: Vec<bool>,
    /// What was forecast.
    pub forecasts: Vec<Forecast>,
    /// What the season before says.
    pub naive: Vec<f64>,
    /// The unit of errors; none for a series in which nothing changed.
    pub scale: Option<Scale>,
}

impl HeldOut {
    /// Measures forecasts of it, `[time]`, beside others: the root mean squared scaled error.
    pub fn add_to(&self, accuracy: &mut Accuracy, forecasts: &[Forecast], level: f64) -> Option<f64> {
        fn keep<T: Copy>(values: &[T], known: &[bool]) -> Vec<T> {
            values.iter().zip(known).filter_map(|(value, known)| known.then_some(*value)).collect()
        }
        let (actual, forecasts) = (keep(&self.actual, &self.known), keep(forecasts, &self.known));
        accuracy.add(&actual, &forecasts, self.scale, level)
    }
}

/// A forecast without an interval.
pub fn point(value: f64) -> Forecast {
    Forecast { value, lower: value, upper: value }
}

/// Forecasts the last values of each series, as many as the horizon and at most half of it, from those before them, with intervals of
/// this level. Series of fewer than four values are passed over.
///
/// # Errors
/// As [`Forecaster::fit`], and if no series is long enough.
pub fn hold_out(series: &[Series], options: Options, level: f64) -> Result<Vec<HeldOut>, Invalid> {
    check_horizon(options.horizon)?;
    check_level(level)?;
    let parts: Vec<(Series, Vec<f64>, Vec<bool>)> =
        series.iter().filter_map(|one| without_last(one, options.horizon)).collect();
    let training: Vec<Series> = parts.iter().map(|(training, ..)| training.clone()).collect();
    require("series", !training.is_empty(), "at least one of four periods or more")?;
    // Each ends where its own held-out values begin.
    let forecaster = Forecaster::fit(&training, i64::MIN, options)?;
    let held_out = |(place, (training, actual, known)): (usize, (Series, Vec<f64>, Vec<bool>))| {
        Ok(HeldOut {
            key: training.key,
            forecasts: forecaster.forecast(place, actual.len(), level)?,
            naive: forecaster.naive(place, actual.len()),
            scale: forecaster.scale(place),
            actual,
            known,
        })
    };
    parts.into_iter().enumerate().map(held_out).collect()
}

/// Measures what [`hold_out`] forecasts.
///
/// # Errors
/// As there.
pub fn evaluate(series: &[Series], options: Options, level: f64) -> Result<Evaluation, Invalid> {
    let all = hold_out(series, options, level)?;
    let (mut own, mut naive, mut pairs) = (Accuracy::default(), Accuracy::default(), Vec::new());
    for one in &all {
        let of_own = one.add_to(&mut own, &one.forecasts, level);
        let simple: Vec<Forecast> = one.naive.iter().copied().map(point).collect();
        let of_naive = one.add_to(&mut naive, &simple, level);
        pairs.extend(of_own.zip(of_naive));
    }
    Ok(Evaluation { own, naive, series: all.len(), pairs })
}

/// A series without its last values, those, and which of them are known.
fn without_last(series: &Series, horizon: usize) -> Option<(Series, Vec<f64>, Vec<bool>)> {
    let count = series.values.len();
    let from = count - horizon.min(count / 2);
    if count < 4 {
        return None;
    }
    let is_before = |place: &&u32| usize::try_from(**place).is_ok_and(|place| place < from);
    let training = Series {
        key: series.key,
        first: series.first,
        values: series.values.get(..from)?.to_vec(),
        missing: series.missing.iter().filter(is_before).copied().collect(),
    };
    let known =
        |place: usize| u32::try_from(place).is_ok_and(|place| series.missing.binary_search(&place).is_err());
    Some((training, series.values.get(from..)?.to_vec(), (from..count).map(known).collect()))
}

/// The season before the end of a series; of one no longer than a season the value before.
fn naive(values: &[f64], season: usize) -> SeasonalNaive {
    SeasonalNaive::new(values, if season < values.len() { season } else { 1 })
}

/// Periods from the end of a series to that of all.
fn behind(series: &Series, end: i64) -> usize {
    let own = series.first.saturating_add(i64::try_from(series.values.len()).unwrap_or(i64::MAX));
    usize::try_from(end.saturating_sub(own)).unwrap_or(0)
}

fn check_horizon(horizon: usize) -> Result<(), Invalid> {
    require("horizon", (1..=MOST_HORIZON).contains(&horizon), "from 1 to 1000")
}

fn check_level(level: f64) -> Result<(), Invalid> {
    require("level", level > 0.0 && level <= MOST_COVERAGE, "above 0 and at most 0.99")
}
