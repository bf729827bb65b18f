//! Parts of the rows to learn from and to measure on.
//!
//! It must not know features. Invariant: rows that are copies of each other are in the same part.

use std::collections::BTreeMap;

use ecommerce_ml_training::random::hash;
use ecommerce_ml_training::{Dataset, Targets};

/// Sets the hashes of this module apart from others with the same seed.
const PURPOSE: u64 = u64::from_be_bytes(*b"in folds");

/// How many folds there are.
pub(super) const FOLDS: u8 = 5;

/// The fold of each row of a data set, those of each class spread over all.
pub(super) fn of_rows(dataset: &Dataset, targets: &Targets, learned: &[usize], seed: u64) -> Vec<u8> {
    let keys = dataset.fold_keys();
    let mut of_keys: BTreeMap<(u32, u64, &[u8]), Vec<usize>> = BTreeMap::new();
    let mut class_of: BTreeMap<&[u8], u32> = BTreeMap::new();
    for &row in learned {
        let key = keys[row].as_slice();
        let class = *class_of.entry(key).or_insert_with(|| targets.class(row));
        of_keys.entry((class, hash(seed, PURPOSE, key), key)).or_default().push(row);
    }
    let mut folds = vec![0; dataset.len()];
    for (number, rows) in of_keys.into_values().enumerate() {
        rows.into_iter().for_each(|row| folds[row] = (number % usize::from(FOLDS)) as u8);
    }
    folds
}

/// Rows to learn from and rows to measure on.
pub(super) type Parts = (Vec<usize>, Vec<usize>);

/// Each fold beside all others; only the first one if `one`.
pub(super) fn of_folds(learned: &[usize], folds: &[u8], one: bool) -> Vec<Parts> {
    let count = if one { 1 } else { FOLDS };
    let part = |fold| learned.iter().partition(|&&row| folds[row] != fold);
    (0..count)
        .map(part)
        .filter(|(learned, measured): &Parts| !learned.is_empty() && !measured.is_empty())
        .collect()
}

/// The latest fifth of the rows beside all earlier ones.
pub(super) fn by_time(learned: &[usize], times: &[i64]) -> Vec<Parts> {
    let own: Vec<i64> = learned.iter().map(|&row| times[row]).collect();
    let Some(split) = ecommerce_ml_training::split::by_time(&own, 1.0 / f64::from(FOLDS)) else {
        return Vec::new();
    };
    let rows = |places: Vec<usize>| places.into_iter().map(|at| learned[at]).collect::<Vec<_>>();
    let parts = (rows(split.training), rows(split.held_out));
    if parts.0.is_empty() || parts.1.is_empty() { Vec::new() } else { vec![parts] }
}
