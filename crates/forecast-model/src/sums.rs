//! Sums of series: the levels of a hierarchy, and forecasts that agree.
//!
//! The first key column has the broadest parts: a series for all rows, one for each of its values, and so on to all key columns. It must
//! not know how series are forecast. Invariant: what is forecast of a sum is the sum of what is forecast of its parts.

use std::collections::{BTreeMap, BTreeSet};

use ecommerce_ml_forecast::accuracy::Forecast;
use ecommerce_ml_forecast::held_out::HeldOut;
use ecommerce_ml_forecast::reconcile::Hierarchy;
use ecommerce_ml_forecast::series::{Panel, Row};
use ecommerce_ml_protocol::EngineError;

use crate::arguments::LEVEL;
use crate::invalid;
use crate::keys::Keyed;
use crate::model::ForecastModel;
use crate::outlook::{Periods, ahead};

/// Keys with those of all sums, ascending, and the series of each row on each level, the sums first.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    /// `[series]`, as many columns as tell of it.
    pub keys: Vec<Vec<String>>,
    /// `[key as it was][level]`.
    pub series: Vec<Vec<u32>>,
}

impl Levels {
    /// Those of keys that were told apart by all of their columns.
    pub fn of(keyed: &Keyed) -> Self {
        let begins = |key: &Vec<String>| -> Vec<Vec<String>> {
            (0..=key.len()).map(|length| key.iter().take(length).cloned().collect()).collect()
        };
        let all: BTreeSet<Vec<String>> = keyed.keys.iter().flat_map(begins).collect();
        let keys: Vec<Vec<String>> = all.into_iter().collect();
        let place =
            |key: Vec<String>| keys.binary_search(&key).ok().and_then(|place| u32::try_from(place).ok());
        let series =
            keyed.keys.iter().map(|key| begins(key).into_iter().filter_map(place).collect()).collect();
        Self { keys, series }
    }

    /// The series of a key as it was, on its own level.
    pub fn own(&self, key: u32) -> Option<u32> {
        self.series.get(usize::try_from(key).ok()?)?.last().copied()
    }

    /// Rows of keys as they were, each on all levels.
    pub fn rows(&self, rows: &[Row]) -> Vec<Row> {
        let of_row = |row: &Row| {
            let levels = usize::try_from(row.key).ok().and_then(|key| self.series.get(key));
            let (row, levels) = (*row, levels.map_or(&[][..], Vec::as_slice));
            levels.iter().map(move |key| Row { key: *key, ..row })
        };
        rows.iter().flat_map(of_row).collect()
    }
}

/// Forecasts of all series of a model, `[series][step]`, that agree. How sure each is, is told by how wide its interval is.
pub fn agree(hierarchy: &Hierarchy, all: &mut [Vec<Forecast>], least: f64) {
    let steps = all.iter().map(Vec::len).max().unwrap_or(0);
    for step in 0..steps {
        let of_step = |series: &Vec<Forecast>| series.get(step).copied();
        let Some(forecasts) = all.iter().map(of_step).collect::<Option<Vec<Forecast>>>() else { continue };
        let values: Vec<f64> = forecasts.iter().map(|one| one.value).collect();
        let variances: Vec<f64> = forecasts.iter().map(|one| (one.upper - one.lower).powi(2)).collect();
        let agreed = hierarchy.reconcile(&values, &variances, least);
        for ((series, value), before) in all.iter_mut().zip(agreed).zip(forecasts) {
            if let Some(forecast) = series.get_mut(step) {
                *forecast = moved(before, value, least);
            }
        }
    }
}

/// A forecast with its interval around another value.
pub fn moved(forecast: Forecast, value: f64, least: f64) -> Forecast {
    let by = value - forecast.value;
    Forecast { value, lower: (forecast.lower + by).max(least).min(value), upper: forecast.upper + by }
}

/// The same of what was held out of series that all end together, so many periods at most. Of periods that a series has not held out, what came
/// is known.
pub fn agree_held_out(hierarchy: &Hierarchy, panel: &Panel, all: &mut [HeldOut], horizon: usize, least: f64) {
    let places: BTreeMap<u32, usize> =
        panel.series.iter().zip(0..).map(|(one, place)| (one.key, place)).collect();
    let mut forecasts: Vec<Vec<Forecast>> =
        panel.series.iter().map(|one| came(&one.values, horizon)).collect();
    for one in all.iter() {
        let Some(forecasts) = places.get(&one.key).and_then(|place| forecasts.get_mut(*place)) else {
            continue;
        };
        let from = horizon - one.forecasts.len().min(horizon);
        forecasts.splice(from.., one.forecasts.iter().copied());
    }
    agree(hierarchy, &mut forecasts, least);
    for one in all {
        let Some(forecasts) = places.get(&one.key).and_then(|place| forecasts.get(*place)) else { continue };
        let from = horizon - one.forecasts.len().min(horizon);
        one.forecasts = forecasts.get(from..).unwrap_or_default().to_vec();
    }
}

/// The last values of a series as forecasts that are certain; 0 before it began.
fn came(values: &[f64], horizon: usize) -> Vec<Forecast> {
    let certain = |value: f64| Forecast { value, lower: value, upper: value };
    let missing = horizon.saturating_sub(values.len());
    let last = values.iter().skip(values.len().saturating_sub(horizon));
    (0..missing).map(|_| 0.0).chain(last.copied()).map(certain).collect()
}

/// The next values of all series of a model, `[series][step]`, that agree.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for a horizon that can't be.
pub fn agreed(model: &ForecastModel, horizon: usize) -> Result<Vec<Vec<f64>>, EngineError> {
    let forecast = |place: usize| {
        let shared = ahead(model, place, None, &Periods::new(), horizon);
        model.forecaster.forecast_beside(place, horizon, LEVEL, &shared).map_err(invalid)
    };
    let mut all = (0..model.keys.len()).map(forecast).collect::<Result<Vec<_>, _>>()?;
    agree(&Hierarchy::of_keys(&model.keys), &mut all, model.least());
    Ok(all.into_iter().map(|series| series.into_iter().map(|one| one.value).collect()).collect())
}
