//! What to order, at what price; what changed, and why. No model is asked.

use std::ffi::CStr;

use ecommerce_ml_forecast::calendar::Period;
use ecommerce_ml_forecast::inventory::{Costs, LeadTimeDemand, newsvendor_normal, newsvendor_quantiles};
use ecommerce_ml_forecast::price;
use ecommerce_ml_metrics::drivers::Aggregate;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{Array, JsonB, name, pg_extern, pg_sys};

use super::arguments::size;
use super::columns::{column_name, column_names};
use crate::error::Error;
use crate::planning::{drivers, rfm, trends};
use crate::relation::Relation;

/// The rate of false discoveries, unless a call names one.
const ALPHA: f64 = 0.05;

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

/// What rises and what falls. Without a relation, a time or a value there is nothing to say.
#[pg_extern]
#[allow(clippy::type_complexity, clippy::too_many_arguments)]
fn trends(
    relation: Option<pg_sys::Oid>,
    key_column: Option<&CStr>,
    time_column: Option<&CStr>,
    value_column: Option<&CStr>,
    period: Option<&str>,
    aggregate: Option<&str>,
    season: Option<i32>,
    alpha: Option<f64>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(key, Option<String>),
            name!(observations, i64),
            name!(periods, i64),
            name!(period_unit, String),
            name!(season_length, Option<i32>),
            name!(median, f64),
            name!(slope, Option<f64>),
            name!(lower, Option<f64>),
            name!(upper, Option<f64>),
            name!(p_value, Option<f64>),
            name!(q_value, Option<f64>),
            name!(direction, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let Some(((relation, time), value)) = relation.zip(time_column).zip(value_column) else {
        return Ok(TableIterator::empty());
    };
    let expected = "\"hour\", \"day\", \"week\", \"month\", \"quarter\" or \"year\"";
    let unknown = Error::ArgumentValue { argument: "period", expected };
    let period = period.map(|name| Period::named(name).ok_or(unknown)).transpose()?;
    let aggregate = match aggregate {
        None | Some("sum") => trends::Aggregate::Sum,
        Some("mean") => trends::Aggregate::Mean,
        Some(_) => return Err(unknown_aggregate().into()),
    };
    let relation = Relation::open(relation)?;
    let column = |name: &CStr| relation.column_named(&column_name(name));
    let (key, time, value) = (key_column.map(column).transpose()?, column(time)?, column(value)?);
    let found = trends::find(&trends::Question {
        relation: &relation,
        key: key.as_ref(),
        time: &time,
        value: &value,
        period,
        aggregate,
        season: season.map(|season| size("season", season)).transpose()?,
        alpha: alpha.unwrap_or(ALPHA),
    })?;
    Ok(TableIterator::new(found.into_iter().map(|row| {
        let [slope, lower, upper] = row.slope.map_or([None; 3], |slope| slope.map(Some));
        (
            row.key,
            row.observations,
            row.periods,
            row.period.to_owned(),
            row.season,
            row.median,
            slope,
            lower,
            upper,
            row.p_value,
            row.q_value,
            row.direction.map(str::to_owned),
        )
    })))
}

/// Which segments explain that a metric differs. Without a relation, groups or dimensions there is nothing to say.
#[pg_extern]
#[allow(clippy::type_complexity, clippy::too_many_arguments)]
fn key_drivers(
    relation: Option<pg_sys::Oid>,
    metric: Option<&CStr>,
    is_test: Option<&CStr>,
    dimensions: Option<Array<'_, &CStr>>,
    aggregate: Option<&str>,
    max_dimensions: Option<i32>,
    min_support: Option<f64>,
    alpha: Option<f64>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(segment, JsonB),
            name!(test_rows, i64),
            name!(control_rows, i64),
            name!(test_value, Option<f64>),
            name!(control_value, Option<f64>),
            name!(contribution, f64),
            name!(share, Option<f64>),
            name!(expected, Option<f64>),
            name!(lift, Option<f64>),
            name!(p_value, Option<f64>),
            name!(q_value, Option<f64>),
            name!(significant, bool),
        ),
    >,
    ErrorReport,
> {
    let names = column_names("dimensions", dimensions)?;
    let Some(((relation, is_test), names)) = relation.zip(is_test).zip(names) else {
        return Ok(TableIterator::empty());
    };
    let aggregate = match aggregate {
        None | Some("sum") => Aggregate::Sum,
        Some("mean") => Aggregate::Mean,
        Some(_) => return Err(unknown_aggregate().into()),
    };
    let relation = Relation::open(relation)?;
    let column = |name: &CStr| relation.column_named(&column_name(name));
    let dimensions = names.iter().map(|name| relation.column_named(name)).collect::<Result<Vec<_>, _>>()?;
    let (metric, is_test) = (metric.map(column).transpose()?, column(is_test)?);
    let found = drivers::find(&drivers::Question {
        relation: &relation,
        metric: metric.as_ref(),
        is_test: &is_test,
        dimensions: &dimensions,
        aggregate,
        max_dimensions: size("max_dimensions", max_dimensions.unwrap_or(2))?,
        min_support: min_support.unwrap_or(0.01),
        alpha: alpha.unwrap_or(ALPHA),
    })?;
    Ok(TableIterator::new(found.into_iter().map(|row| {
        let ((test_rows, control_rows), driver) = (row.rows(), row.driver);
        (
            JsonB(row.segment),
            test_rows,
            control_rows,
            driver.test,
            driver.control,
            driver.contribution,
            row.share,
            driver.expected,
            driver.lift,
            driver.p_value,
            row.q_value,
            row.significant,
        )
    })))
}

/// Customers by recency, frequency and money. Without a relation, customers or times there is nothing to say.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn rfm(
    relation: Option<pg_sys::Oid>,
    customer_column: Option<&CStr>,
    time_column: Option<&CStr>,
    amount_column: Option<&CStr>,
    as_of: Option<TimestampWithTimeZone>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(customer, String),
            name!(last_purchase, Option<TimestampWithTimeZone>),
            name!(recency, f64),
            name!(frequency, i64),
            name!(monetary, Option<f64>),
            name!(recency_score, Option<i32>),
            name!(frequency_score, Option<i32>),
            name!(monetary_score, Option<i32>),
            name!(segment, String),
        ),
    >,
    ErrorReport,
> {
    let Some(((relation, customer), time)) = relation.zip(customer_column).zip(time_column) else {
        return Ok(TableIterator::empty());
    };
    let relation = Relation::open(relation)?;
    let column = |name: &CStr| relation.column_named(&column_name(name));
    let (customer, time) = (column(customer)?, column(time)?);
    let amount = amount_column.map(column).transpose()?;
    let question = rfm::Question {
        relation: &relation,
        customer: &customer,
        time: &time,
        amount: amount.as_ref(),
        as_of,
    };
    let found = rfm::find(question)?;
    Ok(TableIterator::new(found.into_iter().map(|row| {
        let [recency, frequency, monetary] = row.scores;
        (
            row.customer,
            row.last_purchase,
            row.recency,
            row.frequency,
            row.monetary,
            recency,
            frequency,
            monetary,
            row.segment.to_owned(),
        )
    })))
}

fn unknown_aggregate() -> Error {
    Error::ArgumentValue { argument: "aggregate", expected: "\"sum\" or \"mean\"" }
}
