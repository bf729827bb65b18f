//! How the sales that a model knows respond to prices.
//!
//! It must not know how that is learned. Invariant: keys are asked for some at a time, so that no answer of the engine grows with their
//! number.

use ecommerce_ml_protocol::{Column, Rows, Table, Values};
use serde_json::Value;

use crate::error::Error;
use crate::inference::{TableRow, model_of, tables};

/// Keys of one answer of the engine: some megabytes.
const KEYS_AT_ONCE: usize = 20_000;

/// What is said of all, of a category, or of a key.
pub struct PriceResponse {
    pub keys: Value,
    pub elasticity: Option<f64>,
    pub std_error: Option<f64>,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub observations: i64,
    pub warning: Option<String>,
}

/// All, then categories, then keys, each in their order.
///
/// # Errors
/// Those of [`tables`], and the engine's.
pub fn find(model: &str) -> Result<Vec<PriceResponse>, Error> {
    let model = model_of(Some(model))?;
    let mut found = Vec::new();
    for page in 0.. {
        pgrx::check_for_interrupts!();
        let answer =
            tables(&model, Table::PriceResponse, arguments(page * KEYS_AT_ONCE))?.pop().unwrap_or_default();
        for row in TableRow::all(&answer) {
            found.push(response(row).ok_or(Error::Unexpected("an elasticity without keys"))?);
        }
        if (answer.count as usize) < KEYS_AT_ONCE {
            break;
        }
    }
    Ok(found)
}

#[allow(clippy::cast_precision_loss)]
fn arguments(after: usize) -> Rows {
    let number =
        |name: &str, value: f64| Column { name: name.to_owned(), values: Values::Number(vec![Some(value)]) };
    Rows { count: 1, columns: vec![number("after", after as f64), number("count", KEYS_AT_ONCE as f64)] }
}

#[allow(clippy::cast_possible_truncation)]
fn response(row: TableRow<'_>) -> Option<PriceResponse> {
    Some(PriceResponse {
        keys: serde_json::from_str(row.text("keys")?).ok()?,
        elasticity: row.number("elasticity"),
        std_error: row.number("std_error"),
        lower: row.number("lower"),
        upper: row.number("upper"),
        observations: row.number("observations")? as i64,
        warning: row.text("warning").map(str::to_owned),
    })
}
