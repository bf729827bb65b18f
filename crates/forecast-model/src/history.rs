//! A series as it is now, from the arguments of a question.
//!
//! It must not know what is asked of it. Invariant: its periods are those that a training on the same rows would make.

use ecommerce_ml_forecast::series::Series;
use ecommerce_ml_protocol::{EngineError, Rows, Values};

use crate::arguments::text;
use crate::model::ForecastModel;
use crate::{invalid, refused};

/// What is known of a series now.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Its place in the model; none if that doesn't have it.
    pub place: Option<usize>,
    /// None without a row before the end.
    pub series: Option<Series>,
    /// The first period that nothing is known of.
    pub end: i64,
}

/// That of a row of arguments, as [`ecommerce_ml_protocol::Table::ForecastErrors`] has them; none without `history`.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for what is no history, and for one with too many periods.
pub fn history(model: &ForecastModel, arguments: &Rows, row: usize) -> Result<Option<History>, EngineError> {
    let Some(json) = text(arguments, "history", row) else { return Ok(None) };
    let rows: Vec<(i64, f64)> =
        serde_json::from_str(&json).map_err(|_| refused("\"history\" must be moments with quantities"))?;
    let Some(Values::Timestamp(moments)) = arguments.column("latest") else { return Err(no_moment()) };
    let latest = moments.get(row).copied().flatten().ok_or_else(no_moment)?;
    let keys: Option<Vec<String>> =
        model.columns.iter().map(|column| text(arguments, &column.name, row)).collect();
    let place = keys.and_then(|keys| model.keys.binary_search(&keys).ok());
    let end = model.calendar.end(latest, model.whole_periods);
    let series = model.calendar.series(&rows, model.gaps, end).map_err(invalid)?;
    Ok(Some(History { place, series, end }))
}

fn no_moment() -> EngineError {
    refused("\"latest\" must be a moment")
}
