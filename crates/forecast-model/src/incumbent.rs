//! A new model beside the live one.
//!
//! Both forecast the latest periods: the live one from the end of what it learned from, as it does now; the new one, made without
//! them, from where they begin. So a new version is worth what it says better, and what it knows of the time between. It must not know
//! files. Invariant: neither model knows a value that it is compared by.

use std::collections::BTreeMap;

use ecommerce_ml_forecast::accuracy::Accuracy;
use ecommerce_ml_forecast::forecaster::MOST_HORIZON;
use ecommerce_ml_forecast::held_out::{HeldOut, point};
use ecommerce_ml_forecast::series::Panel;
use ecommerce_ml_protocol::training::Comparison;
use ecommerce_ml_protocol::{EngineError, Field};
use ecommerce_ml_training::comparison::compare_means;

use crate::global::known::Known;
use crate::global::layout::ColumnScheme;
use crate::model::ForecastModel;
use crate::outlook::{Periods, ahead, recoded};
use crate::sums::agreed;

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
    /// What is known of their columns, with what those are.
    pub known: Option<(&'a [ColumnScheme], &'a [Known])>,
}

/// How models of the new series compare with the incumbent by this metric, series by series; none if that has other keys or periods, or
/// knows all periods. `held_out` forecasts so many last periods, at most as many as `most`.
///
/// # Errors
/// Those of `held_out`.
pub fn compare(
    new: New<'_>,
    incumbent: &ForecastModel,
    most: usize,
    held_out: impl FnOnce(usize) -> Result<Option<Vec<HeldOut>>, EngineError>,
    (metric, seed): (&str, u64),
) -> Result<Option<Comparison>, EngineError> {
    let New { columns, keys, panel, known } = new;
    let Some(since) = panel.end.checked_sub(incumbent.end).and_then(|since| usize::try_from(since).ok())
    else {
        return Ok(None);
    };
    let alike = incumbent.columns == columns && incumbent.calendar == panel.calendar;
    if !alike || since == 0 || since > MOST_HORIZON {
        return Ok(None);
    }
    // Half of the new periods at most: of the others the new model has learned.
    let horizon = since.div_ceil(2).min(most);
    let Some(all) = held_out(horizon)? else { return Ok(None) };
    let places: BTreeMap<&[String], usize> =
        incumbent.keys.iter().enumerate().map(|(place, keys)| (keys.as_slice(), place)).collect();
    let agreed = if incumbent.reconciled { agreed(incumbent, since)? } else { Vec::new() };
    let errors = |one: &HeldOut| {
        let key = keys.get(usize::try_from(one.key).ok()?)?;
        let place = *places.get(key.as_slice())?;
        let known =
            known.and_then(|(schemes, known)| Some((schemes, known.get(usize::try_from(one.key).ok()?)?)));
        let known = known.map_or_else(Periods::new, |(schemes, known)| {
            recoded(incumbent, (schemes, known), incumbent.end..panel.end)
        });
        let shared = ahead(incumbent, place, None, &known, since);
        let forecasts = incumbent.forecaster.forecast_beside(place, since, LEVEL, &shared).ok()?;
        // A series that ends before the others holds out earlier periods.
        let ends_with_all = one.actual.len() == horizon;
        let latest = forecasts.get(since - horizon..).filter(|_| ends_with_all)?;
        let latest: Vec<_> = match agreed.get(place).and_then(|agreed| agreed.get(since - horizon..)) {
            Some(agreed) => agreed.iter().copied().map(point).collect(),
            None => latest.iter().map(|forecast| point(forecast.value)).collect(),
        };
        let mut unused = Accuracy::default();
        Some((one.add_to(&mut unused, &one.forecasts, LEVEL)?, one.add_to(&mut unused, &latest, LEVEL)?))
    };
    let (own, others): (Vec<f64>, Vec<f64>) = all.iter().filter_map(errors).unzip();
    Ok((!own.is_empty()).then(|| compare_means(metric, false, (&own, &others), seed)))
}
