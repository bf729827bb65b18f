//! What series come to.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, name, pg_extern, pg_sys};

use crate::error::Error;
use crate::planning::forecasts::{Forecast, Question, find};
use crate::planning::plot;
use crate::relation::Relation;

/// Part of the values that intervals cover, unless a call says otherwise.
const LEVEL: f64 = 0.8;

/// The forecasts of a model's series. Without a model there is nothing to say.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn forecast(
    model: Option<&str>,
    horizon: Option<i32>,
    level: Option<f64>,
    keys: Option<JsonB>,
    future: Option<pg_sys::Oid>,
    history: Option<pg_sys::Oid>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(keys, JsonB),
            name!(time, TimestampWithTimeZone),
            name!(value, f64),
            name!(lower, f64),
            name!(upper, f64),
            name!(method, String),
        ),
    >,
    ErrorReport,
> {
    let Some(model) = model else { return Ok(TableIterator::empty()) };
    let future = future.map(Relation::open).transpose()?;
    let history = history.map(Relation::open).transpose()?;
    let question = question(model, horizon, level, keys)?;
    let question = Question { history: history.as_ref(), future: future.as_ref(), ..question };
    let found = find(&question)?;
    let row = |Forecast { keys, time, value, lower, upper, method }: Forecast| {
        (JsonB(keys), time, value, lower, upper, method)
    };
    Ok(TableIterator::new(found.into_iter().map(row)))
}

fn question(
    model: &str,
    horizon: Option<i32>,
    level: Option<f64>,
    keys: Option<JsonB>,
) -> Result<Question<'_>, Error> {
    let expected = "from 1 to 1000";
    let refused = || Error::ArgumentValue { argument: "horizon", expected };
    let size = |horizon: i32| usize::try_from(horizon).ok().filter(|size| (1..=1000).contains(size));
    let horizon = horizon.map(|horizon| size(horizon).ok_or_else(refused)).transpose()?;
    let level = level.unwrap_or(LEVEL);
    if !(level > 0.0 && level <= 0.99) {
        return Err(Error::ArgumentValue { argument: "level", expected: "above 0 and at most 0.99" });
    }
    Ok(Question { model, horizon, level, keys: keys.map(|keys| keys.0), history: None, future: None })
}

/// One of a model's series as a picture. Without a model, or such a series, there is none.
#[pg_extern]
fn plot_forecast(
    model: Option<&str>,
    keys: Option<JsonB>,
    horizon: Option<i32>,
    level: Option<f64>,
) -> Result<Option<String>, ErrorReport> {
    let Some(model) = model else { return Ok(None) };
    Ok(plot::plot(&question(model, horizon, level, keys)?)?)
}
