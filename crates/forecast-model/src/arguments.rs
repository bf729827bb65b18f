//! The arguments of a question, by their names.
//!
//! It must not know what is asked. Invariant: what is missing, or of another type, is none.

use ecommerce_ml_protocol::{Rows, Values};

/// Part of the values that an interval covers, unless a call says otherwise.
pub(crate) const LEVEL: f64 = 0.8;

pub(crate) fn number(rows: &Rows, name: &str, row: usize) -> Option<f64> {
    let Values::Number(values) = rows.column(name)? else { return None };
    values.get(row).copied().flatten()
}

pub(crate) fn text(rows: &Rows, name: &str, row: usize) -> Option<String> {
    let Values::Text { dictionary, codes } = rows.column(name)? else { return None };
    dictionary.get(usize::try_from(codes.get(row).copied().flatten()?).ok()?).cloned()
}
