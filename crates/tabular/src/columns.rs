//! The columns that a model reads, found among those that came.
//!
//! It must not know features. Invariant: what is found has the type that was asked for, and no infinite number is taken for one.

use ecommerce_ml_protocol::{EngineError, ErrorKind, Field, Rows, Values};

/// Microseconds in a second.
const MICROS: f64 = 1e6;

/// The values of a column.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cells<'a> {
    Numbers(&'a [Option<f64>]),
    Booleans(&'a [Option<bool>]),
    Times(&'a [Option<i64>]),
    Texts { dictionary: &'a [String], codes: &'a [Option<u32>] },
}

impl<'a> From<&'a Values> for Cells<'a> {
    fn from(values: &'a Values) -> Self {
        match values {
            Values::Text { dictionary, codes } => Cells::Texts { dictionary, codes },
            Values::Number(values) => Cells::Numbers(values),
            Values::Boolean(values) => Cells::Booleans(values),
            Values::Timestamp(values) => Cells::Times(values),
        }
    }
}

/// The columns of these fields, in their order.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] if one is missing or of another type, or if the rows contradict themselves.
pub(crate) fn find<'a>(rows: &'a Rows, fields: &[Field]) -> Result<Vec<Cells<'a>>, EngineError> {
    if !rows.check() {
        return Err(refused("malformed rows: a column has too few values, or one that it does not know"));
    }
    let find = |field: &Field| {
        let values = rows.column(&field.name).ok_or_else(|| {
            refused(format!("column \"{}\" is missing", field.name)).with_detail(reads(fields))
        })?;
        let found = values.value_type();
        if found == field.value_type {
            return Ok(values.into());
        }
        let message = format!("column \"{}\" is of type {found}, not {}", field.name, field.value_type);
        Err(refused(message).with_detail(reads(fields)))
    };
    fields.iter().map(find).collect()
}

/// A sentence that says what a model reads.
pub(crate) fn reads(fields: &[Field]) -> String {
    let names: Vec<String> =
        fields.iter().map(|field| format!("\"{}\" ({})", field.name, field.value_type)).collect();
    format!("The model reads columns {}.", names.join(", "))
}

/// A number as it counts: none if it is NULL or no number.
pub(crate) fn number(value: Option<f64>) -> Option<f64> {
    value.filter(|value| !value.is_nan())
}

/// A truth value as a number.
pub(crate) fn boolean(value: Option<bool>) -> Option<f64> {
    value.map(|value| f64::from(u8::from(value)))
}

/// A moment in seconds since 1970 began in UTC. The ends of time are infinite, as PostgreSQL writes them.
pub(crate) fn seconds(value: Option<i64>) -> Option<f64> {
    value.map(|micros| match micros {
        i64::MIN => f64::NEG_INFINITY,
        i64::MAX => f64::INFINITY,
        micros => micros as f64 / MICROS,
    })
}

/// The error for a column with an infinite number.
pub(crate) fn infinite(name: &str) -> EngineError {
    refused(format!("column \"{name}\" has an infinite value"))
        .with_hint("Use NULL where a value is not known, and a large number where it is large.")
}

/// Something wrong with the input.
pub(crate) fn refused(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}
