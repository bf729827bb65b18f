//! What the rows of a relation say of time, segments and customers.
//!
//! # Layout
//! - [`trends`]: what rises and what falls.
//! - [`history`]: the series of a relation, as a model is asked about them; [`known_ahead`]: with what is known of the time to come.
//! - [`forecasts`]: what a model's series come to.
//! - [`orders`]: what to order of them now.
//! - [`lifetimes`]: what a model's customers will do.
//! - [`prices`]: how the sales that a model knows respond to prices.
//! - [`plot`]: one of them as a picture.
//! - [`drivers`]: which segments explain that a metric changed.
//! - [`rfm`]: customers by recency, frequency and money.
//!
//! It must not know how these are computed: that is `ecommerce_ml_forecast`'s and `ecommerce_ml_metrics`', and models' own. Invariant: a relation is
//! read by statements of the calling role, so privileges and row security hold, and the server groups and sorts the rows, so memory
//! here grows with what is returned, not with the number of rows.

pub mod drivers;
pub mod forecasts;
pub mod history;
mod known_ahead;
pub mod lifetimes;
pub mod orders;
pub mod plot;
pub mod prices;
pub mod rfm;
pub mod trends;

use crate::error::Error;
use crate::relation::{Column, Kind};

/// A name in messages and a value of an argument that has to be between 0 and 1, both excluded.
///
/// # Errors
/// [`Error::ArgumentValue`].
fn require_rate(argument: &'static str, value: f64) -> Result<(), Error> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(Error::ArgumentValue { argument, expected: "between 0 and 1, both excluded" })
}

/// Values of any type as texts of one form each, compared byte by byte.
fn as_key(column: &Column) -> String {
    match column.kind() {
        Ok(Kind::Text | Kind::Decimal) => column.as_label().unwrap_or_else(|_| as_text(column)),
        _ => as_text(column),
    }
}

fn as_text(column: &Column) -> String {
    format!("{}::pg_catalog.text COLLATE pg_catalog.\"C\"", column.as_it_is())
}

/// A count that the server returned.
fn count(value: Option<i64>) -> u64 {
    value.and_then(|count| u64::try_from(count).ok()).unwrap_or_default()
}

/// A count as the server takes it.
fn bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
