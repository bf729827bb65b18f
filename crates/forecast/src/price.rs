//! The price of most profit.
//!
//! It must not know how an elasticity is estimated. Invariant: the price is within its bounds.

use crate::{Invalid, finite, require, require_size};

/// The price that makes (price - unit_cost) * demand largest, where demand is proportional to price^elasticity.
///
/// Below -1 it is unit_cost * elasticity / (1 + elasticity), at which (price - cost) / price is -1 / elasticity (Lerner, "The concept
/// of monopoly and the measurement of monopoly power", 1934); profit rises up to there and falls beyond, so a bound is the best price
/// on its side. From -1 on profit rises for ever, so it is the upper bound.
///
/// # Errors
/// [`Invalid::Argument`] for an elasticity above 0, a negative cost, bounds out of order; [`Invalid::NoOptimum`] where profit has
/// no end to rise to; [`Invalid::OutOfRange`].
pub fn optimal_price(elasticity: f64, unit_cost: f64, lower: f64, upper: f64) -> Result<f64, Invalid> {
    require("elasticity", elasticity.is_finite() && elasticity <= 0.0, "a finite number of at most 0")?;
    require_size("unit_cost", unit_cost)?;
    require_size("lower", lower)?;
    require("upper", upper >= lower, "a number of at least lower")?;
    if elasticity >= -1.0 {
        return if upper.is_finite() { Ok(upper) } else { Err(Invalid::NoOptimum { elasticity }) };
    }
    // The less a unit costs, the lower the price; of what costs nothing, none is low enough.
    require("lower", unit_cost > 0.0 || lower > 0.0, "above 0 where unit_cost is 0")?;
    finite((unit_cost * (elasticity / (1.0 + elasticity))).clamp(lower, upper))
}

/// (price - cost) / price of the best price, for an elasticity below -1.
pub fn lerner_index(elasticity: f64) -> Option<f64> {
    (elasticity < -1.0).then(|| -1.0 / elasticity)
}
