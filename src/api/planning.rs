//! What to order, at what price; what changed, and why. No model is asked.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{Array, pg_extern};

use ecommerce_ml_forecast::inventory::{Costs, LeadTimeDemand, newsvendor_normal, newsvendor_quantiles};
use ecommerce_ml_forecast::price;

use crate::error::Error;

/// Stock beyond mean demand, for a normally distributed demand.
#[pg_extern]
fn safety_stock(
    demand_mean: f64,
    demand_sd: f64,
    lead_time: f64,
    lead_time_sd: f64,
    service_level: f64,
    review_period: f64,
) -> Result<f64, ErrorReport> {
    let demand = LeadTimeDemand { demand_mean, demand_sd, lead_time, lead_time_sd, review_period };
    Ok(demand.safety_stock(service_level).map_err(Error::from)?)
}

/// The stock at which to order.
#[pg_extern]
fn reorder_point(
    demand_mean: f64,
    demand_sd: f64,
    lead_time: f64,
    lead_time_sd: f64,
    service_level: f64,
    review_period: f64,
) -> Result<f64, ErrorReport> {
    let demand = LeadTimeDemand { demand_mean, demand_sd, lead_time, lead_time_sd, review_period };
    Ok(demand.reorder_point(service_level).map_err(Error::from)?)
}

/// What to order once, for a normally distributed demand.
#[pg_extern]
fn newsvendor_quantity(
    demand_mean: f64,
    demand_sd: f64,
    underage_cost: f64,
    overage_cost: f64,
) -> Result<f64, ErrorReport> {
    let costs = Costs { underage: underage_cost, overage: overage_cost };
    Ok(newsvendor_normal(demand_mean, demand_sd, costs).map_err(Error::from)?)
}

/// The same for a demand of which some quantiles are known.
#[pg_extern]
fn newsvendor_quantity_of_quantiles(
    levels: Array<'_, f64>,
    quantiles: Array<'_, f64>,
    underage_cost: f64,
    overage_cost: f64,
) -> Result<f64, ErrorReport> {
    let costs = Costs { underage: underage_cost, overage: overage_cost };
    let (levels, quantiles) = (numbers("levels", levels)?, numbers("quantiles", quantiles)?);
    Ok(newsvendor_quantiles(&levels, &quantiles, costs).map_err(Error::from)?)
}

fn numbers(argument: &'static str, values: Array<'_, f64>) -> Result<Vec<f64>, Error> {
    values.iter().map(|value| value.ok_or(Error::ArgumentHasNull(argument))).collect()
}

/// The price of most profit, where elasticity is constant.
#[pg_extern]
fn optimal_price(elasticity: f64, unit_cost: f64, lower: f64, upper: f64) -> Result<f64, ErrorReport> {
    Ok(price::optimal_price(elasticity, unit_cost, lower, upper).map_err(Error::from)?)
}
