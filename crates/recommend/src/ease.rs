//! Item-item weights in closed form: EASE (Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019).
//!
//! `B = I - P diag(1 / diag P)` with `P = (G + Λ)⁻¹`, where `G = X' D X` and X are the weights of customers and items. With
//! `dropout` p, `Λ = λ I + p / (1 - p) diag(G)`, which is what is learned if each entry is left out with that probability
//! (Steck, "Autoencoders that don't overfit towards the identity", NeurIPS 2020). D weighs a customer of n items by `n^-power`,
//! so that few who have very much don't decide; its mean over all entries is 1. With `dropout` and `power` 0 it is EASE as
//! published.
//!
//! It must not know where weights come from. Invariant: the diagonal is 0, so that no item speaks for itself.

use rayon::prelude::*;

use crate::cholesky::{NotPositiveDefinite, SymmetricMatrix};
use crate::matrix::SparseMatrix;

/// What is to be chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EaseSettings {
    /// λ, above 0.
    pub regularization: f64,
    /// p, at least 0 and below 1.
    pub dropout: f64,
    /// Of a customer's number of items.
    pub power: f64,
}

/// Entries that are kept of each item's column at least, and of all together if that is more.
const KEPT_OF_ITEM: usize = 200;
const KEPT: usize = 8_000_000;

/// Entries of an item's column that are kept: all of them up to some 2,800 items.
pub fn kept_entries(items: usize) -> usize {
    (KEPT / items.max(1)).max(KEPT_OF_ITEM)
}

/// Bytes that a fit takes at most, beside the interactions.
pub fn bytes(items: usize) -> u64 {
    let kept = items as u64 * kept_entries(items).min(items) as u64;
    SymmetricMatrix::bytes(items) + 3 * 8 * kept
}

/// `B` of the weights of customers and items, `[items, items]`: what having the item of a row adds to the score of that of a column.
/// Of each column, the `kept` entries that are farthest from 0.
///
/// # Errors
/// [`NotPositiveDefinite`], of weights of very different sizes and a λ too small.
pub fn fit(
    weights: &SparseMatrix,
    settings: EaseSettings,
    kept: usize,
) -> Result<SparseMatrix, NotPositiveDefinite> {
    let inverse = gram(weights, settings).inverse()?;
    let items = weights.width;
    let column = |item: usize| {
        let pivot = -inverse.get(item, item);
        #[allow(clippy::cast_possible_truncation, reason = "scores need no more digits")]
        let entry = |other: usize| (other as u32, (inverse.get(other, item) / pivot) as f32);
        let mut entries: Vec<(u32, f32)> = (0..items).filter(|&other| other != item).map(entry).collect();
        if entries.len() > kept {
            let farther = |one: &(u32, f32), other: &(u32, f32)| {
                other.1.abs().total_cmp(&one.1.abs()).then(one.0.cmp(&other.0))
            };
            entries.select_nth_unstable_by(kept, farther);
            entries.truncate(kept);
            entries.sort_unstable_by_key(|entry| entry.0);
        }
        entries.retain(|entry| entry.1 != 0.0);
        entries
    };
    let columns = (0..items).into_par_iter().map(column).collect();
    Ok(SparseMatrix::from_rows(items, columns).transposed())
}

/// `X' D X + Λ`.
fn gram(weights: &SparseMatrix, settings: EaseSettings) -> SymmetricMatrix {
    let of_customers = customer_weights(weights, settings.power);
    let customers_of = weights.transposed();
    let dropped = settings.dropout / (1.0 - settings.dropout);
    SymmetricMatrix::fill(weights.width, |item, numbers| {
        for (customer, weight) in customers_of.entries(item) {
            let factor = f64::from(weight) * of_customers[customer as usize];
            let (others, values) = weights.row(customer as usize);
            for (&other, &value) in others.iter().zip(values) {
                let Some(number) = numbers.get_mut(other as usize) else { break };
                *number += factor * f64::from(value);
            }
        }
        if let Some(diagonal) = numbers.last_mut() {
            *diagonal += settings.regularization + dropped * *diagonal;
        }
    })
}

/// `D`: `[customers]`.
#[allow(clippy::cast_precision_loss)]
fn customer_weights(weights: &SparseMatrix, power: f64) -> Vec<f64> {
    let counts: Vec<f64> = (0..weights.rows()).map(|row| weights.row(row).0.len() as f64).collect();
    let entries: f64 = counts.iter().sum();
    let powers: Vec<f64> = counts.iter().map(|count| count.max(1.0).powf(-power)).collect();
    let sum: f64 = powers.iter().zip(&counts).map(|(power, count)| power * count).sum();
    let factor = if sum > 0.0 { entries / sum } else { 1.0 };
    powers.iter().map(|power| power * factor).collect()
}
