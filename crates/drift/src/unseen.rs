//! Categories that only the current rows have.
//!
//! Rare categories are in one group and not in the other by chance, so what counts is more of them than that explains. Where nothing
//! has changed, each row is in either group as likely as any other: then a category of c rows is in none of the baseline with
//! probability (m / N) ((m - 1) / (N - 1)) ... (c factors), of N rows of which m are current.
//!
//! It must not know what a category is. Invariant: order doesn't matter.

use crate::null_distribution::NullDistribution;
use crate::stability::to_f64;

/// What is all but impossible, all categories together.
const IMPOSSIBLE: f64 = 1e-9;

/// The share of current rows that are of categories which the baseline lacks, and what it is where nothing has changed. `categories`
/// has how many rows of each are in the baseline and how many are current. None if either group has no rows.
pub fn unseen(categories: &[[u64; 2]]) -> Option<(f64, NullDistribution)> {
    let [baseline, current] = categories.iter().fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
    if baseline == 0 || current == 0 {
        return None;
    }
    let rows = to_f64(current);
    let new: u64 = categories.iter().filter(|one| one[0] == 0).map(|one| one[1]).sum();
    let (mut mean, mut variance, mut largest) = (0.0, 0.0, 0.0_f64);
    for one in categories {
        let count = one[0] + one[1];
        let probability = all_current(count, current, baseline + current);
        if probability * to_f64(categories.len() as u64) < IMPOSSIBLE {
            continue;
        }
        let share = to_f64(count) / rows;
        mean += share * probability;
        variance += share * share * probability * (1.0 - probability);
        largest = largest.max(share);
    }
    Some((to_f64(new) / rows, NullDistribution::Bernstein { mean, variance, largest }))
}

/// The probability that `count` rows of `all` are all among the `current` ones.
fn all_current(count: u64, current: u64, all: u64) -> f64 {
    let mut probability = 1.0;
    for row in 0..count {
        probability *= to_f64(current.saturating_sub(row)) / to_f64(all - row);
        if probability < IMPOSSIBLE * IMPOSSIBLE {
            return 0.0;
        }
    }
    probability
}
