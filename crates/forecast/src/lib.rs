//! The arithmetic of what sells when, how much to order, and at what price.
//!
//! # Layout
//! - [`calendar`]: regular periods from days.
//! - [`trend`]: whether a series rises or falls, and by how much a period.
//! - [`autocorrelation`]: how a series resembles itself some periods before.
//! - [`series`]: regular series from rows; [`methods`]: what forecasts one; [`backtest`]: forecasts of the past.
//! - [`selection`]: the method of a series; [`shared`]: a model of all series beside it; [`intervals`]: how far values are from forecasts;
//!   [`forecaster`]: many series forecast; [`held_out`]: and measured by their last values.
//! - [`history`]: fitted methods on later values; [`anomalies`]: values that are unlike what was expected of them; [`components`]: how much of a
//!   series is trend, season and remainder.
//! - [`reconcile`]: forecasts of parts and of their sums, made to agree.
//! - [`accuracy`]: how good forecasts are; [`parallel`]: work on several threads.
//! - [`inventory`]: safety stock, reorder point, newsvendor quantity; [`orders`]: what to order now, by the quantiles of demand.
//! - [`price`]: the price of most profit where elasticity is constant.
//!
//! It must not know where numbers come from: no PostgreSQL, no models, no I/O. Invariant: what has no value is `None` or an error,
//! never NaN.

#![forbid(unsafe_code)]

pub mod accuracy;
pub mod anomalies;
pub mod autocorrelation;
pub mod backtest;
pub mod calendar;
pub mod components;
pub mod forecaster;
pub mod held_out;
pub mod history;
pub mod intervals;
pub mod inventory;
pub mod methods;
pub mod orders;
pub mod parallel;
pub mod price;
pub mod reconcile;
pub mod selection;
pub mod series;
pub mod shared;
pub mod trend;
pub mod typical;

/// Why something can't be computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Invalid {
    /// An argument is not what it has to be.
    Argument {
        /// Its name.
        name: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// Profit grows with the price without end.
    NoOptimum {
        /// Elasticity of demand.
        elasticity: f64,
    },
    /// The result is larger than any number.
    OutOfRange,
}

/// Refuses what is not a finite number of at least 0.
///
/// # Errors
/// [`Invalid::Argument`].
fn require_size(name: &'static str, value: f64) -> Result<(), Invalid> {
    require(name, value.is_finite() && value >= 0.0, "a finite number of at least 0")
}

fn require(name: &'static str, holds: bool, expected: &'static str) -> Result<(), Invalid> {
    if holds { Ok(()) } else { Err(Invalid::Argument { name, expected }) }
}

fn finite(value: f64) -> Result<f64, Invalid> {
    if value.is_finite() { Ok(value) } else { Err(Invalid::OutOfRange) }
}
