//! Many series forecast, each by its own method, with intervals that they share.
//!
//! It must not know where series come from. Invariant: the same series give the same forecasts with any number of threads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::accuracy::{Forecast, Scale};
use crate::backtest::{Errors, cumulated};
use crate::intervals::{Distribution, MOST_COVERAGE, Scores, distributions};
use crate::methods::Model;
use crate::methods::naive::SeasonalNaive;
use crate::parallel::map;
use crate::selection::{self, Fitted, Selection, select};
use crate::series::{MOST_PERIODS, Series};
use crate::shared::{Beside, blend};
use crate::{Invalid, require};

/// What a model of all series is called.
const SHARED: &str = "trees";
/// Added to the group of series for each half of a forecast that comes from a model of all series, since errors are others.
const SHARED_GROUP: u8 = 32;
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
    /// How much of a forecast comes from a model of all series, from 0 to 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    weight: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(weight: &f64) -> bool {
    *weight == 0.0
}

/// The group of errors of both together, where those of the method alone are of this one.
fn shared_group(group: u8, weight: f64) -> u8 {
    group.saturating_add(if weight < 1.0 { SHARED_GROUP } else { 2 * SHARED_GROUP })
}

impl Member {
    /// Its next values, `[horizon]`, as its method and a model of all series have them, and which errors they have.
    fn forecast(&self, horizon: usize, shared: &[f64]) -> (Vec<f64>, u8) {
        let Self { fitted, behind, weight, .. } = self;
        let mut own: Vec<f64> = fitted.forecast(behind + horizon).into_iter().skip(*behind).collect();
        if *weight <= 0.0 || shared.len() < horizon {
            return (own, fitted.group);
        }
        own.iter_mut().zip(shared).for_each(|(own, shared)| {
            *own = fitted.clamp((1.0 - weight) * *own + weight * shared);
        });
        (own, shared_group(fitted.group, *weight))
    }
}

impl Forecaster {
    /// Chooses and fits the method of each series; `end` is the number of the first period to come.
    ///
    /// # Errors
    /// [`Invalid::Argument`] without series, and for a horizon other than 1 to [`MOST_HORIZON`].
    pub fn fit(series: &[Series], end: i64, options: Options) -> Result<Self, Invalid> {
        Self::fit_beside(series, end, options, None)
    }

    /// The same, and how much a model of all series counts in each.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_beside(
        series: &[Series],
        end: i64,
        options: Options,
        beside: Option<Beside<'_>>,
    ) -> Result<Self, Invalid> {
        require("series", !series.is_empty(), "at least one")?;
        check_horizon(options.horizon)?;
        let Options { season, horizon, threads } = options;
        let choose = selection::Options { season, horizon };
        let selections = map(series, threads, |one| select(&one.values, &one.missing, choose));
        let selections: Vec<Selection> = selections.into_iter().collect::<Result<_, _>>()?;
        let blended = match beside {
            Some(beside) => blend(series, &selections, beside, season, (horizon, threads)),
            None => vec![(0.0, [Errors::new(), Errors::new()]); series.len()],
        };
        let (mut scores, mut sums): (BTreeMap<u8, Scores>, BTreeMap<u8, Scores>) = Default::default();
        for (Selection { fitted, errors, earlier, .. }, (_, of_both)) in selections.iter().zip(&blended) {
            let mut add = |group: u8, errors: &Errors| {
                scores.entry(group).or_default().add(errors, |step| earlier.step(step));
                sums.entry(group).or_default().add(&cumulated(errors), |_| earlier.spread());
            };
            add(fitted.group, errors);
            for (weight, errors) in
                [0.5, 1.0].into_iter().zip(of_both).filter(|(_, errors)| !errors.is_empty())
            {
                add(shared_group(fitted.group, weight), errors);
            }
        }
        let (distributions, totals) = (distributions(&scores), distributions(&sums));
        let member = |((selection, one), (weight, _)): ((Selection, &Series), (f64, [Errors; 2]))| Member {
            fitted: selection.fitted,
            behind: behind(one, end),
            naive: naive(&one.values, season),
            // Where each season is as the one before, errors are compared with changes from one period to the next.
            scale: Scale::of(&one.values, season).or_else(|| Scale::of(&one.values, 1)),
            weight,
        };
        let series = selections.into_iter().zip(series).zip(blended).map(member).collect();
        Ok(Self { series, distributions, totals })
    }

    /// Whether all can be forecast, which those out of a damaged file may not.
    pub fn is_sound(&self) -> bool {
        let near = |member: &Member| i64::try_from(member.behind).is_ok_and(|behind| behind <= MOST_PERIODS);
        let part = |member: &Member| (0.0..=1.0).contains(&member.weight);
        self.series.iter().all(|member| member.fitted.is_sound() && near(member) && part(member))
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
        let Member { fitted, weight, .. } = self.series.get(place)?;
        Some(match weight {
            0.0 => fitted.method(),
            1.0 => SHARED.to_owned(),
            _ => format!("{} + {SHARED}", fitted.method()),
        })
    }

    /// How much of the forecasts of a series comes from a model of all series, from 0 to 1.
    pub fn weight(&self, place: usize) -> f64 {
        self.series.get(place).map_or(0.0, |member| member.weight)
    }

    /// Periods from the end of a series to that of all.
    pub fn behind(&self, place: usize) -> usize {
        self.series.get(place).map_or(0, |member| member.behind)
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

    /// One of the series with its method in another state, which is behind all others by so many periods.
    pub(crate) fn with_state(&self, place: usize, fitted: Fitted, behind: usize) -> Self {
        let groups = [fitted.group, shared_group(fitted.group, self.weight(place))];
        let of_groups = |all: &BTreeMap<u8, Distribution>| {
            let some = groups.iter().filter_map(|group| Some((*group, all.get(group)?.clone())));
            some.collect::<BTreeMap<_, _>>()
        };
        let (distributions, totals) = (of_groups(&self.distributions), of_groups(&self.totals));
        let (naive, weight) = (SeasonalNaive::new(&[], 1), self.weight(place));
        Self { series: vec![Member { fitted, behind, naive, scale: None, weight }], distributions, totals }
    }

    /// The next values of a series, `[horizon]`, with intervals that cover a part `level` of them; none for a series beyond the last.
    ///
    /// # Errors
    /// [`Invalid::Argument`] for a horizon other than 1 to [`MOST_HORIZON`], and a level that is not above 0 and at most
    /// [`MOST_COVERAGE`].
    pub fn forecast(&self, place: usize, horizon: usize, level: f64) -> Result<Vec<Forecast>, Invalid> {
        self.forecast_beside(place, horizon, level, &[])
    }

    /// The same with what a model of all series says of these values, `[horizon]`; with nothing of it, what the method alone says.
    ///
    /// # Errors
    /// As [`forecast`](Self::forecast).
    pub fn forecast_beside(
        &self,
        place: usize,
        horizon: usize,
        level: f64,
        shared: &[f64],
    ) -> Result<Vec<Forecast>, Invalid> {
        check_level(level)?;
        let ends = [(1.0 - level) / 2.0, (1.0 + level) / 2.0];
        let quantiles = self.quantiles(place, horizon, &ends, shared)?;
        let forecast = |(value, ends): (f64, Vec<f64>)| match ends.as_slice() {
            // A method that has erred to one side has its interval there; what it forecasts is in it all the same.
            [lower, upper] => Forecast { value, lower: lower.min(value), upper: upper.max(value) },
            _ => Forecast { value, lower: value, upper: value },
        };
        Ok(quantiles.into_iter().map(forecast).collect())
    }

    /// The next values of a series, `[horizon]`, each with its quantiles at these levels; `shared` is as of [`forecast_beside`](Self::forecast_beside).
    ///
    /// # Errors
    /// [`Invalid::Argument`] for a horizon other than 1 to [`MOST_HORIZON`].
    pub fn quantiles(
        &self,
        place: usize,
        horizon: usize,
        levels: &[f64],
        shared: &[f64],
    ) -> Result<Vec<(f64, Vec<f64>)>, Invalid> {
        check_horizon(horizon)?;
        let Some(member) = self.series.get(place) else { return Ok(Vec::new()) };
        let Member { fitted, behind, .. } = member;
        let (values, group) = member.forecast(horizon, shared);
        let distribution = self.distributions.get(&group).or_else(|| self.distributions.get(&fitted.group));
        let at = |(step, value): (usize, f64)| {
            let error = |level: &f64| {
                distribution.map_or(0.0, |errors| errors.quantile(step, *level)) * fitted.typical.step(step)
            };
            (value, levels.iter().map(|level| fitted.clamp(value + error(level))).collect())
        };
        Ok((*behind..).zip(values).map(at).collect())
    }

    /// The sum of the next values of a series, with its quantiles at these levels; none for a series beyond the last.
    ///
    /// How much sums vary is what sums of errors of the past varied by, whichever way the errors of successive periods go together; of a series
    /// that ended before the others, as of all periods since. `shared` is as of [`forecast_beside`](Self::forecast_beside).
    ///
    /// # Errors
    /// [`Invalid::Argument`] for a horizon other than 1 to [`MOST_HORIZON`].
    #[allow(clippy::cast_precision_loss)]
    pub fn total(
        &self,
        place: usize,
        horizon: usize,
        levels: &[f64],
        shared: &[f64],
    ) -> Result<Option<(f64, Vec<f64>)>, Invalid> {
        check_horizon(horizon)?;
        let Some(member) = self.series.get(place) else { return Ok(None) };
        let Member { fitted, behind, .. } = member;
        let (values, group) = member.forecast(horizon, shared);
        let sum: f64 = values.iter().sum();
        let errors = self.totals.get(&group).or_else(|| self.totals.get(&fitted.group));
        let periods = horizon as f64;
        let quantile = |level: &f64| {
            let last = behind + horizon - 1;
            let error = errors.map_or(0.0, |errors| errors.growing_quantile(last, *level));
            fitted.clamp((sum + error * fitted.typical.spread()) / periods) * periods
        };
        Ok(Some((sum, levels.iter().map(quantile).collect())))
    }
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

pub(crate) fn check_horizon(horizon: usize) -> Result<(), Invalid> {
    require("horizon", (1..=MOST_HORIZON).contains(&horizon), "from 1 to 1000")
}

pub(crate) fn check_level(level: f64) -> Result<(), Invalid> {
    require("level", level > 0.0 && level <= MOST_COVERAGE, "above 0 and at most 0.99")
}
