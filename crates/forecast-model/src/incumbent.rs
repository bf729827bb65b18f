//! A new model beside the live one.
//!
//! Both forecast the latest periods: the live one from the end of what it learned from, as it does now; the new one, made without
//! them, from where they begin. So a new version is worth what it says better, and what it knows of the time between. It must not know
//! files. Invariant: neither model knows a value that it is compared by.

use std::collections::BTreeMap;

use ecommerce_ml_forecast::accuracy::Accuracy;
use ecommerce_ml_forecast::forecaster::{HeldOut, MOST_HORIZON, Options, hold_out, point};
use ecommerce_ml_forecast::series::Panel;
use ecommerce_ml_protocol::Field;
use ecommerce_ml_protocol::training::Comparison;
use ecommerce_ml_training::comparison::compare_means;

use crate::model::ForecastModel;

/// Of no consequence to what is compared.
const LEVEL: f64 = 0.8;

/// New series, with what tells them apart.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// The key columns.
    pub columns: &'a [Field],
    /// `[series][column]`, by the numbers in the panel.
    pub keys: &'a [Vec<String>],
    /// The series.
    pub panel: &'a Panel,
}

/// How models of the new series compare with the incumbent by this metric, series by series; none if that has other keys or periods, or
/// knows all periods.
pub fn compare(
    new: New<'_>,
    incumbent: &ForecastModel,
    options: Options,
    metric: &str,
    seed: u64,
) -> Option<Comparison> {
    let New { columns, keys, panel } = new;
    let since = usize::try_from(panel.end.checked_sub(incumbent.end)?).ok()?;
    let alike = incumbent.columns == columns && incumbent.calendar == panel.calendar;
    if !alike || since == 0 || since > MOST_HORIZON {
        return None;
    }
    // Half of the new periods at most: of the others the new model has learned.
    let horizon = since.div_ceil(2).min(options.horizon);
    let all = hold_out(&panel.series, Options { horizon, ..options }, LEVEL).ok()?;
    let places: BTreeMap<&[String], usize> =
        incumbent.keys.iter().enumerate().map(|(place, keys)| (keys.as_slice(), place)).collect();
    let errors = |one: &HeldOut| {
        let key = keys.get(usize::try_from(one.key).ok()?)?;
        let place = *places.get(key.as_slice())?;
        let forecasts = incumbent.forecaster.forecast(place, since, LEVEL).ok()?;
        // A series that ends before the others holds out earlier periods.
        let ends_with_all = one.actual.len() == horizon;
        let latest = forecasts.get(since - horizon..).filter(|_| ends_with_all)?;
        let latest: Vec<_> = latest.iter().map(|forecast| point(forecast.value)).collect();
        let mut unused = Accuracy::default();
        Some((one.add_to(&mut unused, &one.forecasts, LEVEL)?, one.add_to(&mut unused, &latest, LEVEL)?))
    };
    let (own, others): (Vec<f64>, Vec<f64>) = all.iter().filter_map(errors).unzip();
    (!own.is_empty()).then(|| compare_means(metric, false, (&own, &others), seed))
}
