//! What to order, of a model's forecasts.

use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, name, pg_extern, pg_sys};

use crate::error::Error;
use crate::planning::orders::{PlannedOrder, Question, plan};
use crate::relation::Relation;

/// What to order now of each series of a model, given what is in stock.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn plan_orders(
    model: Option<&str>,
    stock: Option<pg_sys::Oid>,
    lead_time: Option<f64>,
    service_level: Option<f64>,
    underage_cost: Option<f64>,
    overage_cost: Option<f64>,
    review_period: Option<f64>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(keys, JsonB),
            name!(order_quantity, Option<f64>),
            name!(reorder_point, Option<f64>),
            name!(stockout_risk, Option<f64>),
            name!(expected_cost, Option<f64>),
            name!(why, String),
        ),
    >,
    ErrorReport,
> {
    let Some((model, stock)) = model.zip(stock) else { return Ok(TableIterator::empty()) };
    let service_level = service_level.unwrap_or(0.95);
    if !(service_level > 0.0 && service_level <= 0.995) {
        let expected = "above 0 and at most 0.995";
        return Err(Error::ArgumentValue { argument: "service_level", expected }.into());
    }
    let size = |argument: &'static str, value: f64| {
        let refused = || Error::ArgumentValue { argument, expected: "a finite number of at least 0" };
        (value.is_finite() && value >= 0.0).then_some(value).ok_or_else(refused)
    };
    let costs = match (underage_cost, overage_cost) {
        (None, None) => None,
        (Some(underage), Some(overage)) => {
            Some((size("underage_cost", underage)?, size("overage_cost", overage)?))
        }
        (None, Some(_)) => return Err(Error::ArgumentNull("underage_cost").into()),
        (Some(_), None) => return Err(Error::ArgumentNull("overage_cost").into()),
    };
    let question = Question {
        model,
        stock: &Relation::open(stock)?,
        lead_time: lead_time.map(|time| size("lead_time", time)).transpose()?,
        review_period: size("review_period", review_period.unwrap_or(1.0))?,
        service_level,
        costs,
    };
    let row = |order: PlannedOrder| {
        let PlannedOrder { keys, quantity, reorder_point, stockout_risk, expected_cost, why } = order;
        (JsonB(keys), quantity, reorder_point, stockout_risk, expected_cost, why)
    };
    Ok(TableIterator::new(plan(&question)?.into_iter().map(row)))
}
