//! Columns known ahead, from the rows of a training or of a question.
//!
//! It must not know series. Invariant: the columns of a period are the same in whatever order its rows come: the mean of numbers, the part that
//! is true, the most frequent text.

use std::collections::BTreeMap;

use ecommerce_ml_protocol::{EngineError, Field, Rows, ValueType, Values as Cells};

use super::known::Values;
use super::layout::ColumnScheme;
use crate::refused;

/// Most kinds of text of a column that are told apart: the most frequent ones.
const MOST_CATEGORIES: usize = 20;

/// The columns of these fields; the last number of a tuple is that of a row.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for a column that isn't there.
pub fn schemes(rows: &Rows, fields: &[Field]) -> Result<Vec<ColumnScheme>, EngineError> {
    let scheme = |field: &Field| {
        let categories = match cells(rows, field)? {
            Cells::Text { dictionary, codes } => categories(dictionary, codes),
            _ => Vec::new(),
        };
        Ok(ColumnScheme { field: field.clone(), categories })
    };
    fields.iter().map(scheme).collect()
}

/// The most frequent texts, in their order.
fn categories(dictionary: &[String], codes: &[Option<u32>]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for code in codes.iter().flatten() {
        if let Some(text) = dictionary.get(*code as usize) {
            *counts.entry(text).or_default() += 1;
        }
    }
    let mut kinds: Vec<(&str, usize)> = counts.into_iter().collect();
    kinds.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
    let mut kinds: Vec<String> =
        kinds.into_iter().take(MOST_CATEGORIES).map(|(text, _)| text.to_owned()).collect();
    kinds.sort();
    kinds
}

/// What the columns are in each period of each series: `place` tells both of a row, or none of one that doesn't count.
///
/// # Errors
/// As [`schemes`], and for a number that is not finite.
pub fn known(
    rows: &Rows,
    schemes: &[ColumnScheme],
    place: impl Fn(usize) -> Option<(u32, i64)>,
) -> Result<BTreeMap<u32, BTreeMap<i64, Values>>, EngineError> {
    let mut found: BTreeMap<u32, BTreeMap<i64, Values>> = BTreeMap::new();
    let mut order: Vec<(u32, i64, usize)> = (0..rows.count as usize)
        .filter_map(|row| place(row).map(|(series, period)| (series, period, row)))
        .collect();
    order.sort_unstable();
    for (at, scheme) in schemes.iter().enumerate() {
        let column = Column::new(cells(rows, &scheme.field)?, scheme)?;
        for period in order.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
            let Some((series, index, _)) = period.first() else { continue };
            let value = column.of_period(period.iter().map(|(.., row)| *row));
            let values = found.entry(*series).or_default().entry(*index).or_default();
            values.resize(schemes.len(), f32::NAN);
            values[at] = value;
        }
    }
    Ok(found)
}

fn cells<'a>(rows: &'a Rows, field: &Field) -> Result<&'a Cells, EngineError> {
    rows.column(&field.name).ok_or_else(|| refused(format!("column \"{}\" did not come", field.name)))
}

/// A column of rows.
enum Column<'a> {
    Numbers(&'a [Option<f64>]),
    Truths(&'a [Option<bool>]),
    /// The category of each text of the dictionary, and the texts of rows.
    Texts(Vec<Option<usize>>, &'a [Option<u32>]),
}

impl<'a> Column<'a> {
    fn new(cells: &'a Cells, scheme: &ColumnScheme) -> Result<Self, EngineError> {
        match (cells, scheme.field.value_type) {
            (Cells::Number(numbers), ValueType::Number) => {
                if numbers.iter().flatten().any(|number| !number.is_finite()) {
                    let name = &scheme.field.name;
                    return Err(refused(format!("column \"{name}\" has a number that is not finite")));
                }
                Ok(Self::Numbers(numbers))
            }
            (Cells::Boolean(truths), ValueType::Boolean) => Ok(Self::Truths(truths)),
            (Cells::Text { dictionary, codes }, ValueType::Text) => {
                let category = |text: &String| scheme.categories.binary_search(text).ok();
                Ok(Self::Texts(dictionary.iter().map(category).collect(), codes))
            }
            _ => Err(refused(format!("column \"{}\" is of another type", scheme.field.name))),
        }
    }

    fn of_period(&self, rows: impl Iterator<Item = usize>) -> f32 {
        match self {
            Self::Numbers(numbers) => mean(rows.filter_map(|row| numbers.get(row).copied().flatten())),
            Self::Truths(truths) => {
                let truths = rows.filter_map(|row| truths.get(row).copied().flatten());
                mean(truths.map(|is_true| f64::from(u8::from(is_true))))
            }
            Self::Texts(categories, codes) => {
                let code = |row: usize| codes.get(row).copied().flatten();
                let category = |code: u32| categories.get(code as usize).copied().flatten();
                most_frequent(rows.filter_map(code).filter_map(category))
            }
        }
    }
}

/// The mean of numbers in any order.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn mean(numbers: impl Iterator<Item = f64>) -> f32 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let count = numbers.len() as f64;
    if numbers.is_empty() { f32::NAN } else { numbers.iter().map(|one| one / count).sum::<f64>() as f32 }
}

#[allow(clippy::cast_precision_loss)]
fn most_frequent(categories: impl Iterator<Item = usize>) -> f32 {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    categories.for_each(|category| *counts.entry(category).or_default() += 1);
    let most = counts.iter().max_by_key(|(category, count)| (**count, usize::MAX - **category));
    most.map_or(f32::NAN, |(category, _)| *category as f32)
}
