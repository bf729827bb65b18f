//! How the values of rows to learn from become features.
//!
//! It must not know labels. Invariant: the rows decide, not their order in dictionaries.

use ecommerce_ml_protocol::{EngineError, Field, Rows};

use crate::columns::{Cells, find, infinite, refused};
use crate::linear::encoding::{EncodedColumn, Encoding, Scheme};

/// Largest number to learn from: the square of a larger one overflows.
const LARGEST: f64 = 1e150;

/// The encoding that these rows suggest. Of a column with more than `most` categories, those that occur most often have a
/// feature of their own, and all others one together.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] if a column is missing or has a number that is infinite or too large.
pub(super) fn fit(
    rows: &Rows,
    fields: &[Field],
    learned: &[usize],
    most: usize,
) -> Result<Encoding, EngineError> {
    let cells = find(rows, fields)?;
    let count = rows.count as usize;
    let column = |(field, cells): (&Field, &Cells<'_>)| {
        let scheme = match cells {
            Cells::Texts { dictionary, codes } => categories(dictionary, codes, learned, most),
            _ => numbers(&field.name, cells, count, learned)?,
        };
        Ok(EncodedColumn { field: field.clone(), scheme })
    };
    let columns = fields.iter().zip(&cells).map(column).collect::<Result<_, EngineError>>()?;
    Ok(Encoding { columns })
}

fn numbers(name: &str, cells: &Cells<'_>, rows: usize, learned: &[usize]) -> Result<Scheme, EngineError> {
    let all = || (0..rows).filter_map(|row| cells.number(row));
    if all().any(f64::is_infinite) {
        return Err(infinite(name));
    }
    if let Some(large) = all().find(|value| value.abs() > LARGEST) {
        return Err(refused(format!("column \"{name}\" has a value that is too large: {large:e}"))
            .with_detail(format!("The largest is {LARGEST:e}.")));
    }
    let values = || learned.iter().filter_map(|&row| cells.number(row));
    let count = values().count() as f64;
    let missing = values().count() < learned.len();
    let Some(first) = values().next() else { return Ok(Scheme::Number { mean: 0.0, scale: 1.0, missing }) };
    // Counted from one of them, a small spread far from 0 keeps its digits.
    let mean = first + values().map(|value| (value - first) / count).sum::<f64>();
    let off = values().map(|value| (value - mean) / count).sum::<f64>();
    let variance = (values().map(|value| (value - mean).powi(2) / count).sum::<f64>() - off * off).max(0.0);
    // What scikit-learn calls constant: rounding makes no column vary.
    let least = count * f64::EPSILON * variance + (count * mean * f64::EPSILON).powi(2);
    let scale = if variance <= least { 1.0 } else { variance.sqrt() };
    Ok(Scheme::Number { mean, scale, missing })
}

fn categories(dictionary: &[String], codes: &[Option<u32>], learned: &[usize], most: usize) -> Scheme {
    let mut counts = vec![0_u64; dictionary.len()];
    let mut missing = false;
    for &row in learned {
        match codes.get(row).copied().flatten().and_then(|code| counts.get_mut(code as usize)) {
            Some(count) => *count += 1,
            None => missing = true,
        }
    }
    let mut found: Vec<(u64, &String)> =
        counts.into_iter().zip(dictionary).filter(|(count, _)| *count > 0).collect();
    // Of those as frequent, the first ones are left out, as scikit-learn has it.
    found.sort_unstable();
    let other = found.len() > most;
    let rare = if other { found.len() + 1 - most } else { 0 };
    let mut categories: Vec<String> =
        found.split_off(rare).into_iter().map(|(_, text)| text.clone()).collect();
    categories.sort_unstable();
    Scheme::Categories { categories, missing, other }
}
