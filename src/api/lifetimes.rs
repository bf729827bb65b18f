//! What customers will do.

use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{name, pg_extern};

use crate::error::Error;
use crate::planning::lifetimes::{Lifetime, find};

const DAY: f64 = 86_400.0;
/// That of a year of 365.25 days, as a month's has no one length.
const MONTH: f64 = 365.25 / 12.0 * DAY;
/// Longest time ahead: a century.
const LONGEST: f64 = 1200.0 * MONTH;

/// What each customer of a model is expected to do in the time after the last purchase that it knows.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn predict_lifetime(
    model: &str,
    horizon: Interval,
) -> Result<
    TableIterator<
        'static,
        (
            name!(customer, String),
            name!(alive, f64),
            name!(purchases, Option<f64>),
            name!(value, Option<f64>),
            name!(lower, f64),
            name!(upper, f64),
        ),
    >,
    ErrorReport,
> {
    let seconds = seconds(&horizon);
    if !(seconds > 0.0 && seconds <= LONGEST) {
        let expected = "longer than nothing and at most 100 years";
        return Err(Error::ArgumentValue { argument: "horizon", expected }.into());
    }
    let row = |Lifetime { customer, alive, purchases, value, lower, upper, .. }: Lifetime| {
        (customer, alive, purchases, value, lower, upper)
    };
    Ok(TableIterator::new(find(model, seconds)?.into_iter().map(row)))
}

#[allow(clippy::cast_precision_loss)]
fn seconds(interval: &Interval) -> f64 {
    let (months, days) = (f64::from(interval.months()), f64::from(interval.days()));
    months * MONTH + days * DAY + interval.micros() as f64 / 1e6
}
