//! Categories that only the current rows have.
//!
//! Rare categories are in one group and not in the other by chance, so what counts is more of them than that explains. Where nothing
//! has changed, each row is in either group as likely as any other: then a category of c rows is in none of the baseline with
//! probability (m / N) ((m - 1) / (N - 1)) ... (c factors), of N rows of which m are current. Categories are taken as independent of
//! each other, though what one has the others can't: so a large number of rows is, if anything, less likely than it is told.
//!
//! It must not know what a category is. Invariant: order doesn't matter, up to rounding.

use crate::null_distribution::NullDistribution;
use crate::stability::to_f64;

/// What is all but impossible.
const IMPOSSIBLE: f64 = 1e-15;

/// The share of current rows that are of categories which the baseline lacks, and what it is where nothing has changed. `categories`
/// has how many rows of each are in the baseline and how many are current. None if either group has no rows.
pub fn unseen(categories: &[[u64; 2]]) -> Option<(f64, NullDistribution)> {
    let [baseline, current] = categories.iter().fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
    if baseline == 0 || current == 0 {
        return None;
    }
    let new: u64 = categories.iter().filter(|one| one[0] == 0).map(|one| one[1]).sum();
    let most = usize::try_from(current).ok()?;
    // The probability of each number of rows, from none to those that have been reached.
    let mut rows = vec![1.0];
    for one in categories {
        let count = one[0] + one[1];
        let probability = all_current(count, current, baseline + current);
        if probability > IMPOSSIBLE {
            add(&mut rows, usize::try_from(count).ok()?, probability, most);
        }
    }
    rows.resize(most + 1, 0.0);
    let mut tail = 0.0;
    for probability in rows.iter_mut().rev() {
        tail += *probability;
        *probability = tail;
    }
    Some((to_f64(new) / to_f64(current), NullDistribution::Rows(rows)))
}

/// Adds a category of so many rows that is there with this probability; what would be more rows than `most` are `most`.
fn add(rows: &mut Vec<f64>, count: usize, probability: f64, most: usize) {
    let before = rows.len();
    rows.resize((before + count).min(most + 1), 0.0);
    for total in (0..before).rev() {
        let with = rows[total] * probability;
        rows[total] -= with;
        rows[(total + count).min(most)] += with;
    }
}

/// The probability that `count` rows of `all` are all among the `current` ones.
fn all_current(count: u64, current: u64, all: u64) -> f64 {
    let mut probability = 1.0;
    for row in 0..count {
        probability *= to_f64(current.saturating_sub(row)) / to_f64(all - row);
        if probability < IMPOSSIBLE {
            return 0.0;
        }
    }
    probability
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_new_category_is_one_of_many_or_news() {
        // A row of its own in each: half of them are in either group.
        let single: Vec<[u64; 2]> = (0..100).map(|at| if at % 2 == 0 { [1, 0] } else { [0, 1] }).collect();
        let (share, null) = unseen(&single).unwrap();
        assert!((share - 1.0).abs() < 1e-12 && null.p_value(share) > 1e-16);
        // Twenty rows that the baseline lacks.
        let (share, null) = unseen(&[[100, 80], [0, 20]]).unwrap();
        assert!((share - 0.2).abs() < 1e-12);
        assert!(null.p_value(share) < 1e-6 && null.threshold(1e-4) < share, "{null:?}");
        // Both are as likely: of two rows, each is current with probability 1/2.
        let (_, null) = unseen(&[[1, 0], [0, 1]]).unwrap();
        assert_eq!(null, NullDistribution::Rows(vec![1.0, 0.75]));
    }
}
