//! The features of rows to learn from.
//!
//! It must not know labels. Invariant: features come in the order of the encoding, and rows in that of their indices.

use std::collections::HashMap;

use ecommerce_ml_protocol::{EngineError, Rows};
use rayon::prelude::*;

use crate::columns::{Cells, find};
use crate::linear::encoding::{Encoding, Scheme};

/// A row without any of these features.
pub(super) const NONE: u32 = u32::MAX;

/// Some neighbouring features of all rows.
#[derive(Debug)]
pub(super) enum Block {
    /// One feature: numbers as standardised, 0 where they are missing.
    Dense(Vec<f64>),
    /// As many features as categories: the one that is 1 of each row, or [`NONE`].
    OneHot { features: usize, codes: Vec<u32> },
}

impl Block {
    /// How many features it has.
    pub(super) fn features(&self) -> usize {
        match self {
            Block::Dense(_) => 1,
            Block::OneHot { features, .. } => *features,
        }
    }
}

/// The features of rows.
#[derive(Debug)]
pub(super) struct Design {
    pub(super) rows: usize,
    pub(super) blocks: Vec<Block>,
    /// Mean of each feature, `[features]`; 0 of those that are standardised.
    pub(super) centres: Vec<f64>,
    /// Mean squared distance from it, `[features]`.
    pub(super) spreads: Vec<f64>,
}

/// Bytes that a row takes in a design.
pub(super) fn row_bytes(encoding: &Encoding) -> usize {
    let column = |scheme: &Scheme| match scheme {
        Scheme::Number { missing, .. } => 8 + 4 * usize::from(*missing),
        Scheme::Categories { .. } => 4,
    };
    encoding.columns.iter().map(|column_of| column(&column_of.scheme)).sum()
}

impl Design {
    /// The features of the rows at these indices.
    ///
    /// # Errors
    /// As of [`find`].
    pub(super) fn new(encoding: &Encoding, rows: &Rows, row_indices: &[usize]) -> Result<Self, EngineError> {
        let cells = find(rows, &encoding.fields())?;
        let columns: Vec<(&Scheme, Cells<'_>)> =
            encoding.columns.iter().map(|column| &column.scheme).zip(cells).collect();
        let blocks: Vec<Vec<Block>> =
            columns.par_iter().map(|(scheme, cells)| blocks(scheme, cells, row_indices)).collect();
        let blocks: Vec<Block> = blocks.into_iter().flatten().collect();
        let measured: Vec<Vec<(f64, f64)>> =
            blocks.par_iter().map(|block| measure(block, row_indices.len())).collect();
        let (centres, spreads) = measured.into_iter().flatten().unzip();
        Ok(Self { rows: row_indices.len(), blocks, centres, spreads })
    }

    /// How many features there are.
    pub(super) fn features(&self) -> usize {
        self.centres.len()
    }
}

fn blocks(scheme: &Scheme, cells: &Cells<'_>, row_indices: &[usize]) -> Vec<Block> {
    match scheme {
        Scheme::Number { mean, scale, missing } => {
            let value = |&row: &usize| cells.number(row).map_or(0.0, |value| (value - mean) / scale);
            let mut blocks = vec![Block::Dense(row_indices.iter().map(value).collect())];
            if *missing {
                let code = |&row: &usize| if cells.number(row).is_some() { NONE } else { 0 };
                blocks.push(Block::OneHot { features: 1, codes: row_indices.iter().map(code).collect() });
            }
            blocks
        }
        Scheme::Categories { categories, missing, other } => {
            let Cells::Texts { dictionary, codes } = cells else { return Vec::new() };
            let numbers: HashMap<&String, u32> = categories.iter().zip(0..).collect();
            let missing_code = categories.len() as u32;
            let other_code = if *other { missing_code + u32::from(*missing) } else { NONE };
            let of_text = |text: &String| numbers.get(text).copied().unwrap_or(other_code);
            let of_texts: Vec<u32> = dictionary.iter().map(of_text).collect();
            let code = |&row: &usize| match codes.get(row).copied().flatten() {
                Some(code) => of_texts.get(code as usize).copied().unwrap_or(other_code),
                None => missing_code,
            };
            let codes = row_indices.iter().map(code).collect();
            vec![Block::OneHot { features: scheme.features(), codes }]
        }
    }
}

/// Mean and mean squared distance from it of each feature.
fn measure(block: &Block, rows: usize) -> Vec<(f64, f64)> {
    let count = rows.max(1) as f64;
    match block {
        Block::Dense(values) => vec![(0.0, values.iter().map(|value| value * value).sum::<f64>() / count)],
        Block::OneHot { features, codes } => {
            let mut ones = vec![0_u64; *features];
            codes.iter().for_each(|&code| {
                if let Some(ones) = ones.get_mut(code as usize) {
                    *ones += 1;
                }
            });
            let share = |ones: u64| ones as f64 / count;
            ones.into_iter().map(|ones| (share(ones), share(ones) * (1.0 - share(ones)))).collect()
        }
    }
}
