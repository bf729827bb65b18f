//! Rows to answers.
//!
//! It must not know where rows come from. Invariant: the sums of a row are added in the same order whatever rows it comes with.

use std::ops::Range;

use ahash::AHashMap;
use ecommerce_ml_protocol::{Answers, EngineError, Field, Rows};

use crate::columns::{Cells, boolean, find, infinite, number, seconds};
use crate::linear::encoding::Scheme;
use crate::linear::model::LinearModel;
use crate::score::{Head, distribution, overflow};

/// Rows whose sums are computed at a time, so that they stay in the nearest cache.
const BLOCK: usize = 256;

/// A model, ready to be asked.
#[derive(Debug)]
pub(crate) struct Scorer {
    fields: Vec<Field>,
    pub(crate) columns: Vec<Column>,
    pub(crate) head: Head,
    /// `[equations]`.
    pub(crate) intercepts: Vec<f64>,
}

/// What the values of a column add to the sums.
#[derive(Debug)]
pub(crate) enum Column {
    /// `weights` for each unit above the mean; `missing` where there is no value. Both `[equations]`.
    Number { mean: f64, weights: Vec<f64>, missing: Vec<f64> },
    /// `[categories, equations]`: the last three categories are those of NULL, of all others, and of what adds nothing.
    Categories { category_indices: AHashMap<String, u32>, missing: u32, other: u32, table: Vec<f64> },
}

/// The values of a column, ready to be added.
enum Values<'a> {
    Numbers(&'a [Option<f64>]),
    Booleans(&'a [Option<bool>]),
    Times(&'a [Option<i64>]),
    /// The category of each text of the dictionary, and which of them each row has.
    CategoryIndices(Vec<u32>, &'a [Option<u32>]),
}

/// Rows whose columns were found.
pub(crate) struct Prepared<'a> {
    scorer: &'a Scorer,
    values: Vec<Values<'a>>,
}

impl Scorer {
    /// Gets a model ready.
    pub(crate) fn new(model: &LinearModel) -> Self {
        let equations = model.equations();
        let of_feature = |feature: usize| model.coefficients.iter().skip(feature * equations).take(equations);
        let numbers = |feature: usize| of_feature(feature).copied().collect::<Vec<f64>>();
        let column = |(start, column): (usize, &crate::linear::encoding::EncodedColumn)| match &column.scheme
        {
            Scheme::Number { mean, scale, missing } => Column::Number {
                mean: *mean,
                weights: of_feature(start).map(|weight| weight / scale).collect(),
                missing: if *missing { numbers(start + 1) } else { vec![0.0; equations] },
            },
            Scheme::Categories { categories, missing, other } => {
                let count = categories.len() as u32;
                let nothing = count + u32::from(*missing) + u32::from(*other);
                let mut table: Vec<f64> = (start..start + nothing as usize).flat_map(numbers).collect();
                table.resize(table.len() + equations, 0.0);
                Column::Categories {
                    category_indices: categories.iter().cloned().zip(0..).collect(),
                    missing: if *missing { count } else { nothing },
                    other: if *other { nothing - 1 } else { nothing },
                    table,
                }
            }
        };
        Self {
            fields: model.encoding.fields(),
            columns: model.encoding.offsets().map(column).collect(),
            head: model.head.clone(),
            intercepts: model.intercepts.clone(),
        }
    }

    /// Finds the columns of rows.
    ///
    /// # Errors
    /// If one is missing or of another type.
    pub(crate) fn prepare<'a>(&'a self, rows: &'a Rows) -> Result<Prepared<'a>, EngineError> {
        let cells = find(rows, &self.fields)?;
        let values = cells.into_iter().zip(&self.columns).map(|(cells, column)| match (cells, column) {
            (Cells::Numbers(values), _) => Values::Numbers(values),
            (Cells::Booleans(values), _) => Values::Booleans(values),
            (Cells::Times(values), _) => Values::Times(values),
            (Cells::Texts { dictionary, codes }, Column::Categories { category_indices, other, .. }) => {
                let index = |text: &String| category_indices.get(text).copied().unwrap_or(*other);
                Values::CategoryIndices(dictionary.iter().map(index).collect(), codes)
            }
            (Cells::Texts { codes, .. }, Column::Number { .. }) => Values::CategoryIndices(Vec::new(), codes),
        });
        Ok(Prepared { scorer: self, values: values.collect() })
    }
}

impl Prepared<'_> {
    /// The answers of some rows.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for infinite numbers, and others that sums overflow with.
    pub(crate) fn answer(&self, rows: Range<usize>) -> Result<Answers, EngineError> {
        let mut sums = vec![0.0; BLOCK.min(rows.len()) * self.scorer.intercepts.len()];
        let blocks = rows.clone().step_by(BLOCK).map(|start| start..rows.end.min(start + BLOCK));
        match &self.scorer.head {
            head @ (Head::Number | Head::AnomalyScore) => {
                let mut numbers = Vec::with_capacity(rows.len());
                for block in blocks {
                    let sums = self.sums(block, &mut sums)?;
                    if !sums.iter().all(|sum| sum.is_finite()) {
                        return Err(overflow());
                    }
                    numbers.extend(sums.iter().map(|sum| Some(head.number(*sum))));
                }
                Ok(Answers::Numbers(numbers))
            }
            Head::Classes { labels } => {
                let mut probabilities = Vec::with_capacity(rows.len());
                for block in blocks {
                    for sums in self.sums(block, &mut sums)?.chunks_mut(self.scorer.intercepts.len()) {
                        probabilities.push(Some(distribution(sums).ok_or_else(overflow)?));
                    }
                }
                Ok(Answers::Classes { labels: labels.clone(), probabilities })
            }
        }
    }

    /// What each column of a row is worth, and what a row is worth before any is: `[columns, equations]` and `[equations]`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for infinite numbers.
    pub(crate) fn worth(&self, row: usize) -> Result<(Vec<Vec<f64>>, &[f64]), EngineError> {
        let columns = self.values.iter().zip(&self.scorer.columns).zip(&self.scorer.fields);
        let worth = |((values, column), field): ((&Values<'_>, &Column), &Field)| {
            let mut sums = vec![0.0; self.scorer.intercepts.len()];
            match column.add(values, &(row..row + 1), &mut sums) {
                true => Ok(sums),
                false => Err(infinite(&field.name)),
            }
        };
        Ok((columns.map(worth).collect::<Result<_, _>>()?, &self.scorer.intercepts))
    }

    /// The sums of a block, `[rows, equations]`.
    fn sums<'b>(&self, block: Range<usize>, sums: &'b mut [f64]) -> Result<&'b mut [f64], EngineError> {
        let intercepts = &self.scorer.intercepts;
        let sums = sums.get_mut(..block.len() * intercepts.len()).unwrap_or_default();
        sums.chunks_mut(intercepts.len()).for_each(|sums| sums.copy_from_slice(intercepts));
        let columns = self.values.iter().zip(&self.scorer.columns).zip(&self.scorer.fields);
        for ((values, column), field) in columns {
            let finite = column.add(values, &block, sums);
            if !finite {
                return Err(infinite(&field.name));
            }
        }
        Ok(sums)
    }
}

impl Column {
    /// Adds what the values of some rows are worth, `[rows, equations]`; whether none of them is infinite.
    fn add(&self, values: &Values<'_>, block: &Range<usize>, sums: &mut [f64]) -> bool {
        let (column, equations) = (self, sums.len() / block.len().max(1));
        match (values, column) {
            (Values::Numbers(values), Column::Number { mean, weights, missing }) => {
                let values = part(values, block).iter().map(|value| number(*value));
                add_numbers(values, *mean, weights, missing, sums)
            }
            (Values::Booleans(values), Column::Number { mean, weights, missing }) => {
                let values = part(values, block).iter().map(|value| boolean(*value));
                add_numbers(values, *mean, weights, missing, sums)
            }
            (Values::Times(values), Column::Number { mean, weights, missing }) => {
                let values = part(values, block).iter().map(|value| seconds(*value));
                add_numbers(values, *mean, weights, missing, sums)
            }
            (
                Values::CategoryIndices(category_indices, codes),
                Column::Categories { missing, other, table, .. },
            ) => {
                let index = |code: &Option<u32>| match code {
                    Some(code) => category_indices.get(*code as usize).copied().unwrap_or(*other),
                    None => *missing,
                };
                add_categories(part(codes, block).iter().map(index), table, equations, sums);
                true
            }
            // Columns were found by their types.
            _ => true,
        }
    }
}

fn part<'a, T>(values: &'a [T], block: &Range<usize>) -> &'a [T] {
    values.get(block.clone()).unwrap_or_default()
}

/// Adds what numbers are worth; whether none of them is infinite.
fn add_numbers(
    values: impl Iterator<Item = Option<f64>>,
    mean: f64,
    weights: &[f64],
    missing: &[f64],
    sums: &mut [f64],
) -> bool {
    let mut finite = true;
    if let (&[weight], &[missing]) = (weights, missing) {
        for (sum, value) in sums.iter_mut().zip(values) {
            finite &= !value.is_some_and(f64::is_infinite);
            *sum += value.map_or(missing, |value| (value - mean) * weight);
        }
        return finite;
    }
    for (sums, value) in sums.chunks_exact_mut(weights.len()).zip(values) {
        match value {
            Some(value) => {
                finite &= !value.is_infinite();
                let distance = value - mean;
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += distance * weight);
            }
            None => sums.iter_mut().zip(missing).for_each(|(sum, missing)| *sum += missing),
        }
    }
    finite
}

/// Adds rows of a table.
fn add_categories(
    category_indices: impl Iterator<Item = u32>,
    table: &[f64],
    equations: usize,
    sums: &mut [f64],
) {
    if equations == 1 {
        for (sum, index) in sums.iter_mut().zip(category_indices) {
            *sum += table.get(index as usize).copied().unwrap_or_default();
        }
        return;
    }
    for (sums, index) in sums.chunks_exact_mut(equations).zip(category_indices) {
        let start = index as usize * equations;
        let row = table.get(start..start + equations).unwrap_or_default();
        sums.iter_mut().zip(row).for_each(|(sum, one)| *sum += one);
    }
}
