//! The kind of models that forecast many series.
//!
//! # Layout
//! - [`kind`]: the kind `forecast`: which files are its own, how they become a model, how one is trained.
//! - [`model`]: fitted series with their keys and their calendar; [`files`]: as `signature.json` and `model.json`.
//! - [`predictor`]: a loaded model that answers; [`table`]: the forecasts of some series as columns; [`demand`]: what each comes to in all.
//! - `arguments`: of a question, by their names.
//! - [`history`]: a series as it is now, from arguments; [`past`]: its forecasts beside what came, and what in it is unlike the rest.
//! - [`global`]: one model of all series, over columns that are known ahead too; [`outlook`]: what it says of a series.
//! - [`trainer`]: rows to a model, measured beside the seasonal naive; [`setup`]: a job, read and checked; [`fitting`]: series, held out and fitted;
//!   [`incumbent`]: and compared with the live version; [`measures`]: what forecasts are worth.
//! - [`sums`]: series of sums, and forecasts that agree with their parts.
//! - [`options`]: what the user may choose; [`keys`]: rows that belong together.
//!
//! It must not know how a series is forecast, which is `crates/forecast`'s, nor PostgreSQL or clients. Invariant: that of all trainers:
//! the same rows and options give the same model, bit by bit, in whatever order the rows came, with any number of threads.

#![forbid(unsafe_code)]

mod arguments;
pub mod demand;
pub mod files;
pub mod fitting;
pub mod global;
pub mod history;
pub mod incumbent;
pub mod keys;
pub mod kind;
mod measures;
pub mod model;
pub mod options;
pub mod outlook;
pub mod past;
pub mod predictor;
mod setup;
pub mod sums;
pub mod table;
pub mod trainer;

pub use kind::Forecasts;

use ecommerce_ml_forecast::Invalid;
use ecommerce_ml_protocol::{EngineError, ErrorKind};

/// The error for what can't be done as it was asked.
fn refused(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message.into())
}

/// The error for series that are none.
fn invalid(error: Invalid) -> EngineError {
    match error {
        Invalid::Argument { name, expected } => {
            refused(format!("\"{name}\" of a forecast must be {expected}"))
        }
        Invalid::OutOfRange | Invalid::NoOptimum { .. } => {
            refused("the sum of the quantities of a period is larger than any number")
        }
    }
}
