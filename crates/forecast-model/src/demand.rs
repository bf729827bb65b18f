//! What a series comes to in all over its next periods, as quantiles.
//!
//! It must not know who asks, or what for. Invariant: a table for each row of arguments, with all levels or none.

use ecommerce_ml_protocol::{Column, EngineError, Rows, Values};

use crate::arguments::{number, text};
use crate::model::ForecastModel;
use crate::outlook::{ahead, known};
use crate::{invalid, refused};

/// Levels: each percent, and half a percent at both ends.
fn levels() -> Vec<f64> {
    let percents = (1..100).map(|percent| f64::from(percent) / 100.0);
    [0.005].into_iter().chain(percents).chain([0.995]).collect()
}

/// The answers to [`ecommerce_ml_protocol::Table::TotalDemand`].
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for a horizon that can't be.
pub fn totals(model: &ForecastModel, arguments: &Rows) -> Result<Vec<Rows>, EngineError> {
    let levels = levels();
    (0..arguments.count as usize).map(|row| total(model, arguments, row, &levels)).collect()
}

fn total(model: &ForecastModel, arguments: &Rows, row: usize, levels: &[f64]) -> Result<Rows, EngineError> {
    let horizon = match number(arguments, "horizon", row) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(horizon) if horizon.fract() == 0.0 && (0.0..=1e9).contains(&horizon) => horizon as usize,
        _ => return Err(refused("\"horizon\" must be a whole number")),
    };
    let keys: Option<Vec<String>> =
        model.columns.iter().map(|column| text(arguments, &column.name, row)).collect();
    let place = keys.and_then(|keys| model.keys.binary_search(&keys).ok());
    let found = match place {
        Some(place) => {
            let shared = ahead(model, place, None, &known(model, arguments, row)?, horizon);
            model.forecaster.total(place, horizon, levels, &shared).map_err(invalid)?
        }
        None => None,
    };
    let (levels, quantities) = found.map_or_else(Default::default, |(_, found)| (levels.to_vec(), found));
    let column = |name: &str, values: Vec<f64>| Column {
        name: name.to_owned(),
        values: Values::Number(values.into_iter().map(Some).collect()),
    };
    Ok(Rows {
        count: u32::try_from(quantities.len()).unwrap_or(u32::MAX),
        columns: vec![column("level", levels), column("quantity", quantities)],
    })
}
