//! How much to have in stock, and how much to order once.
//!
//! It must not know where a demand's mean and deviation come from. Invariant: time is in one unit throughout, that of the period to
//! which mean and deviation of demand belong, and quantities are in the unit of demand.

use ecommerce_ml_metrics::normal;

use crate::{Invalid, finite, require, require_size};

/// Demand while an order is under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeadTimeDemand {
    /// Mean demand of a period.
    pub demand_mean: f64,
    /// Standard deviation of the demand of a period.
    pub demand_sd: f64,
    /// Periods between order and delivery, on average.
    pub lead_time: f64,
    /// Standard deviation of that time.
    pub lead_time_sd: f64,
    /// Periods between two looks at the stock; 0 if it is always known.
    pub review_period: f64,
}

impl LeadTimeDemand {
    /// Its mean and its standard deviation: of independent periods and an independent lead time, sqrt((L + R) s^2 + d^2 sL^2)
    /// (Silver, Pyke and Thomas, "Inventory and production management in supply chains", 4th edition, section 6.10).
    ///
    /// # Errors
    /// [`Invalid::Argument`] for what is negative or not finite.
    fn moments(&self) -> Result<(f64, f64), Invalid> {
        require_size("demand_mean", self.demand_mean)?;
        require_size("demand_sd", self.demand_sd)?;
        require_size("lead_time", self.lead_time)?;
        require_size("lead_time_sd", self.lead_time_sd)?;
        require_size("review_period", self.review_period)?;
        let time = self.lead_time + self.review_period;
        let deviation = (time.sqrt() * self.demand_sd).hypot(self.demand_mean * self.lead_time_sd);
        Ok((finite(self.demand_mean * time)?, finite(deviation)?))
    }

    /// What to have beyond mean demand, so that stock lasts until the delivery with probability `service_level`, if demand is
    /// normally distributed. Negative for a level below 1/2.
    ///
    /// # Errors
    /// [`Invalid::Argument`], [`Invalid::OutOfRange`].
    pub fn safety_stock(&self, service_level: f64) -> Result<f64, Invalid> {
        require(
            "service_level",
            service_level > 0.0 && service_level < 1.0,
            "between 0 and 1, both excluded",
        )?;
        let (_, deviation) = self.moments()?;
        finite(normal::quantile(service_level) * deviation)
    }

    /// The stock, on hand and on order, at which to order: mean demand and safety stock, and never below 0.
    ///
    /// # Errors
    /// As [`safety_stock`](Self::safety_stock).
    pub fn reorder_point(&self, service_level: f64) -> Result<f64, Invalid> {
        let safety = self.safety_stock(service_level)?;
        let (mean, _) = self.moments()?;
        finite((mean + safety).max(0.0))
    }
}

/// What a unit too few and a unit too many cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// A unit that was asked for and not there: margin, goodwill.
    pub underage: f64,
    /// A unit that is left over: cost less what it still brings.
    pub overage: f64,
}

impl Costs {
    /// The probability with which demand is to be met.
    ///
    /// # Errors
    /// [`Invalid::Argument`] for what is negative or not finite, and for two zeros.
    pub fn critical_ratio(self) -> Result<f64, Invalid> {
        require_size("underage_cost", self.underage)?;
        require_size("overage_cost", self.overage)?;
        let costs = self.underage > 0.0 || self.overage > 0.0;
        require("underage_cost", costs, "above 0 where overage_cost is 0")?;
        // Halved, since the sum of two large numbers is none.
        Ok(self.underage / 2.0 / (self.underage / 2.0 + self.overage / 2.0))
    }
}

/// What to order once for a demand that is normally distributed, at least 0 (Arrow, Harris and Marschak, "Optimal inventory
/// policy", 1951).
///
/// # Errors
/// [`Invalid::Argument`]; [`Invalid::OutOfRange`] if one of the costs is 0, since then no quantity is large or small enough.
pub fn newsvendor_normal(demand_mean: f64, demand_sd: f64, costs: Costs) -> Result<f64, Invalid> {
    require_size("demand_mean", demand_mean)?;
    require_size("demand_sd", demand_sd)?;
    let ratio = costs.critical_ratio()?;
    if demand_sd == 0.0 {
        return Ok(demand_mean);
    }
    if ratio <= 0.0 {
        return Ok(0.0);
    }
    finite((demand_mean + normal::quantile(ratio) * demand_sd).max(0.0))
}

/// The same for a demand whose quantiles at some levels are known: between two of them on the straight line, beyond them the outermost.
///
/// # Errors
/// [`Invalid::Argument`] if there are none, not as many levels as quantiles, or either does not ascend.
pub fn newsvendor_quantiles(levels: &[f64], quantiles: &[f64], costs: Costs) -> Result<f64, Invalid> {
    let ratio = costs.critical_ratio()?;
    let between = levels.iter().all(|level| *level > 0.0 && *level < 1.0);
    let ascend = levels.windows(2).all(|pair| pair[0] < pair[1]);
    require("levels", between && ascend, "ascending numbers between 0 and 1, both excluded")?;
    let finite = quantiles.iter().all(|quantile| quantile.is_finite());
    let ascend = quantiles.windows(2).all(|pair| pair[0] <= pair[1]);
    require("quantiles", finite && ascend, "finite numbers in ascending order")?;
    require(
        "quantiles",
        !levels.is_empty() && levels.len() == quantiles.len(),
        "as many as levels, and at least one",
    )?;
    let above = levels.partition_point(|level| *level < ratio);
    let quantity = match (above.checked_sub(1), quantiles.get(above)) {
        (None, Some(first)) => *first,
        (Some(last), None) => quantiles[last],
        (Some(below), Some(upper)) => {
            let part = (ratio - levels[below]) / (levels[above] - levels[below]);
            quantiles[below] * (1.0 - part) + upper * part
        }
        (None, None) => 0.0,
    };
    Ok(quantity.max(0.0))
}
