//! How sales respond to prices.

use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, name, pg_extern};

use crate::planning::prices::{PriceResponse, find};

/// The elasticities of a model: of all, of each category, of each key.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn price_response(
    model: &str,
) -> Result<
    TableIterator<
        'static,
        (
            name!(keys, JsonB),
            name!(elasticity, Option<f64>),
            name!(std_error, Option<f64>),
            name!(lower, Option<f64>),
            name!(upper, Option<f64>),
            name!(observations, i64),
            name!(warning, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let row = |PriceResponse { keys, elasticity, std_error, lower, upper, observations, warning }: PriceResponse| {
        (JsonB(keys), elasticity, std_error, lower, upper, observations, warning)
    };
    Ok(TableIterator::new(find(model)?.into_iter().map(row)))
}
