//! Rows that belong to one series.
//!
//! It must not know what they are read for. Invariant: series are numbered in the order of their keys, whatever the order of rows.

use std::collections::BTreeMap;

use ecommerce_ml_protocol::{EngineError, Field, Rows, Values};

use crate::refused;

/// The keys that there are, and which of them each row has.
#[derive(Debug, Clone, PartialEq)]
pub struct Keyed {
    /// `[series][column]`, ascending.
    pub keys: Vec<Vec<String>>,
    /// `[row]`, places in `keys`.
    pub series: Vec<u32>,
}

/// Brings rows together by these columns, which are texts without NULLs; without columns all rows are one series.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] if a column isn't there or isn't one of texts.
pub fn keyed(rows: &Rows, columns: &[Field]) -> Result<Keyed, EngineError> {
    let texts = columns.iter().map(|field| texts(rows, &field.name)).collect::<Result<Vec<_>, _>>()?;
    let mut places: BTreeMap<Vec<&str>, Vec<usize>> = BTreeMap::new();
    for row in 0..rows.count as usize {
        let key = texts.iter().map(|column| column.get(row).copied().unwrap_or_default()).collect();
        places.entry(key).or_default().push(row);
    }
    let mut series = vec![0; rows.count as usize];
    for (number, rows) in (0..).zip(places.values()) {
        rows.iter().for_each(|row| series[*row] = number);
    }
    let keys = places.into_keys().map(|key| key.into_iter().map(str::to_owned).collect()).collect();
    Ok(Keyed { keys, series })
}

/// The text of each row.
fn texts<'a>(rows: &'a Rows, name: &str) -> Result<Vec<&'a str>, EngineError> {
    let missing = || refused(format!("key column \"{name}\" did not come with a text for each row"));
    let Some(Values::Text { dictionary, codes }) = rows.column(name) else { return Err(missing()) };
    let text = |code: &Option<u32>| dictionary.get(usize::try_from((*code)?).ok()?).map(String::as_str);
    codes.iter().map(text).collect::<Option<_>>().ok_or_else(missing)
}
