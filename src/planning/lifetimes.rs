//! What a model's customers will do.
//!
//! It must not know how that is learned. Invariant: customers are asked for some at a time, so that no answer of the engine grows with
//! their number.

use std::rc::Rc;

use ecommerce_ml_protocol::{Column, Rows, Table, Values};

use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::inference::{TableRow, model_of, tables};

/// Customers of one answer of the engine, about: a few tenths of a second.
const CUSTOMERS_AT_ONCE: usize = 5_000;

/// What is expected of a customer.
pub struct Lifetime {
    pub customer: String,
    pub alive: f64,
    pub purchases: Option<f64>,
    pub value: Option<f64>,
    pub lower: f64,
    pub upper: f64,
    /// By carrying the past rate on.
    pub past_purchases: f64,
    /// The same; none where amounts aren't known.
    pub past_value: Option<f64>,
}

/// What all customers will do within so many seconds, by customer.
///
/// # Errors
/// Those of [`tables`], and the engine's.
pub fn find(model: &str, seconds: f64) -> Result<Vec<Lifetime>, Error> {
    of_model(&model_of(Some(model))?, seconds)
}

/// The same of a model that has been found.
///
/// # Errors
/// As [`find`].
pub fn of_model(model: &Rc<Resolved>, seconds: f64) -> Result<Vec<Lifetime>, Error> {
    let mut found = Vec::new();
    for page in 0.. {
        pgrx::check_for_interrupts!();
        let arguments = arguments(seconds, page * CUSTOMERS_AT_ONCE);
        let answer = tables(model, Table::Lifetimes, arguments)?.pop().unwrap_or_default();
        for row in TableRow::all(&answer) {
            found.push(lifetime(row).ok_or(Error::Unexpected("a lifetime without a customer"))?);
        }
        if (answer.count as usize) < CUSTOMERS_AT_ONCE {
            break;
        }
    }
    Ok(found)
}

#[allow(clippy::cast_precision_loss)]
fn arguments(seconds: f64, after: usize) -> Rows {
    let number =
        |name: &str, value: f64| Column { name: name.to_owned(), values: Values::Number(vec![Some(value)]) };
    let columns = [("horizon", seconds), ("after", after as f64), ("count", CUSTOMERS_AT_ONCE as f64)];
    Rows { count: 1, columns: columns.map(|(name, value)| number(name, value)).to_vec() }
}

fn lifetime(row: TableRow<'_>) -> Option<Lifetime> {
    Some(Lifetime {
        customer: row.text("customer")?.to_owned(),
        alive: row.number("alive")?,
        purchases: row.number("purchases"),
        value: row.number("value"),
        lower: row.number("lower")?,
        upper: row.number("upper")?,
        past_purchases: row.number("past_purchases")?,
        past_value: row.number("past_value"),
    })
}
