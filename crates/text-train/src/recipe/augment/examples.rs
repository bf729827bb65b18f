//! Rows of scarce classes, repeated.
//!
//! It must not know texts. Invariant: each row is there once before any copy, and within a class no row has two copies
//! more than another.

use std::collections::BTreeMap;

use ecommerce_ml_training::random::SplitMix64;

/// One of the passes over rows that make up an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// Place of the row.
    pub row: usize,
    /// 0 for the row itself, then its copies.
    pub copy: u32,
}

/// All rows and then copies, until each class has at least `share` of the rows of the largest.
pub(super) fn with_copies(classes: &[u32], share: f64, seed: u64) -> Vec<Example> {
    let mut examples: Vec<Example> = (0..classes.len()).map(|row| Example { row, copy: 0 }).collect();
    let mut rows = BTreeMap::<u32, Vec<usize>>::new();
    for (row, &class) in classes.iter().enumerate() {
        rows.entry(class).or_default().push(row);
    }
    let largest = rows.values().map(Vec::len).max().unwrap_or(0);
    // A share such as 0.1 isn't exact, and must not cost a row more than it says.
    let wanted = (largest as f64 * share - 1e-9).ceil().max(0.0) as usize;
    for (class, mut rows) in rows {
        SplitMix64::of_part(seed, u64::from(class)).shuffle(&mut rows);
        let copies = (1..).flat_map(|copy| rows.iter().map(move |&row| Example { row, copy }));
        examples.extend(copies.take(wanted.saturating_sub(rows.len())));
    }
    examples
}
