//! Forecasts of the last values of series, from those before them.
//!
//! It must not know methods. Invariant: what is measured was known to nothing that it is measured by.

use crate::accuracy::{Accuracy, Forecast, Scale};
use crate::forecaster::{Forecaster, Options, check_horizon, check_level};
use crate::parallel::map;
use crate::series::Series;
use crate::shared::{Beside, Shared, ahead};
use crate::{Invalid, require};

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

/// Models of all series for values that are held out.
#[derive(Clone, Copy)]
pub struct Models<'a> {
    /// It ends where the longest of the series that are held out begin, or before.
    pub now: &'a dyn Shared,
    /// It ends some periods before that: how much the other one counts is chosen by it.
    pub past: Beside<'a>,
}

/// Forecasts the last values of each series, as many as the horizon and at most half of it, from those before them, with intervals of
/// this level. Series of fewer than four values are passed over.
///
/// # Errors
/// As [`Forecaster::fit`], and if no series is long enough.
pub fn hold_out(series: &[Series], options: Options, level: f64) -> Result<Vec<HeldOut>, Invalid> {
    hold_out_beside(series, options, level, None)
}

/// The same with models of all series.
///
/// # Errors
/// As [`hold_out`].
pub fn hold_out_beside(
    series: &[Series],
    options: Options,
    level: f64,
    models: Option<Models<'_>>,
) -> Result<Vec<HeldOut>, Invalid> {
    check_horizon(options.horizon)?;
    check_level(level)?;
    let parts: Vec<Parts> = series.iter().filter_map(|one| Parts::of(one, options.horizon)).collect();
    let training: Vec<Series> = parts.iter().map(|parts| parts.training.clone()).collect();
    require("series", !training.is_empty(), "at least one of four periods or more")?;
    // Each ends where its own held-out values begin.
    let forecaster = Forecaster::fit_beside(&training, i64::MIN, options, models.map(|models| models.past))?;
    let places: Vec<usize> = (0..parts.len()).collect();
    let ahead = map(&places, options.threads, |place| match (models, parts.get(*place)) {
        (Some(models), Some(parts)) if forecaster.weight(*place) > 0.0 => {
            ahead(models.now, &parts.training, parts.actual.len())
        }
        _ => Vec::new(),
    });
    let held_out = |((place, parts), ahead): ((usize, Parts), Vec<f64>)| {
        Ok(HeldOut {
            key: parts.training.key,
            forecasts: forecaster.forecast_beside(place, parts.actual.len(), level, &ahead)?,
            naive: forecaster.naive(place, parts.actual.len()),
            scale: forecaster.scale(place),
            actual: parts.actual,
            known: parts.known,
        })
    };
    parts.into_iter().enumerate().zip(ahead).map(held_out).collect()
}

/// Measures what [`hold_out`] forecasts.
///
/// # Errors
/// As there.
pub fn evaluate(series: &[Series], options: Options, level: f64) -> Result<Evaluation, Invalid> {
    Ok(Evaluation::of(&hold_out(series, options, level)?, level))
}

impl Evaluation {
    /// That of forecasts with intervals of this level.
    pub fn of(all: &[HeldOut], level: f64) -> Self {
        let (mut own, mut naive, mut pairs) = (Accuracy::default(), Accuracy::default(), Vec::new());
        for one in all {
            let of_own = one.add_to(&mut own, &one.forecasts, level);
            let simple: Vec<Forecast> = one.naive.iter().copied().map(point).collect();
            let of_naive = one.add_to(&mut naive, &simple, level);
            pairs.extend(of_own.zip(of_naive));
        }
        Self { own, naive, series: all.len(), pairs }
    }
}

/// A series, cut in two.
struct Parts {
    /// Without its last values.
    training: Series,
    /// These.
    actual: Vec<f64>,
    /// Which of them are known.
    known: Vec<bool>,
}

impl Parts {
    /// Held out are as many values as the horizon and at most half; of fewer than four none.
    fn of(series: &Series, horizon: usize) -> Option<Self> {
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
        let known = |place: usize| {
            u32::try_from(place).is_ok_and(|place| series.missing.binary_search(&place).is_err())
        };
        let actual = series.values.get(from..)?.to_vec();
        Some(Self { training, actual, known: (from..count).map(known).collect() })
    }
}
