//! Which rows are held out of the training to evaluate it.
//!
//! It must not know what models read, nor labels, only keys, numbers of classes and times. Invariants: a row is on exactly one
//! side. By chance it is the same side for ever for its seed, its key and the other rows of its class, in whatever order they
//! come; each class has a row in the training; and of each class the number held out is less than one row off its share.

use std::collections::BTreeMap;

use crate::random::hash;

/// Sets the hashes of this module apart from others with the same seed.
const PURPOSE: u64 = u64::from_be_bytes(*b"held out");

/// A row, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// What tells the row from all others, such as its primary key. Rows of a class that share a key are told apart by
    /// their place, so for them order matters after all.
    pub key: &'a [u8],
    /// Number of its class; any one for all rows of a regression.
    pub class: u32,
}

/// Places of rows, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// Rows to train with.
    pub training: Vec<usize>,
    /// Rows to evaluate with; empty if there are too few.
    pub held_out: Vec<usize>,
}

/// Holds out `fraction` (0 to 0.5) of the rows, and of each class.
///
/// The number of rows is rounded to the nearest, but to no less than one. Each class gives its share without the part
/// after the point; what is missing comes from the classes whose lost parts are the largest, one row each, larger
/// classes first (the method of Hamilton). Within a class, rows with the lowest SipHash-2-4 of their keys go.
pub fn split(rows: &[Row<'_>], fraction: f64, seed: u64) -> Split {
    let mut classes = by_class(rows, seed);
    let sizes: Vec<usize> = classes.values().map(Vec::len).collect();
    let mut is_held_out = vec![false; rows.len()];
    for (class, count) in classes.values_mut().zip(shares(&sizes, fraction)) {
        class.sort_unstable();
        for &(_, _, place) in class.iter().take(count) {
            if let Some(held_out) = is_held_out.get_mut(place) {
                *held_out = true;
            }
        }
    }
    let (held_out, training) = (0..rows.len()).partition(|&place| is_held_out.get(place) == Some(&true));
    Split { training, held_out }
}

/// Holds out the latest rows: those behind the border between two moments that comes nearest to holding out `fraction` (0 to
/// 0.5) of them; of two as near, the later one. Rows of one moment lie on the same side.
///
/// Nothing is held out for no fraction; `None` if something should be, but all rows are of one moment.
pub fn by_time(times: &[i64], fraction: f64) -> Option<Split> {
    if fraction <= 0.0 || times.is_empty() {
        return Some(Split { training: (0..times.len()).collect(), held_out: Vec::new() });
    }
    let wanted = (times.len() as f64 * fraction.min(0.5)).round().max(1.0) as usize;
    let mut latest = times.to_vec();
    latest.sort_unstable_by(|one, other| other.cmp(one));
    // Numbers of rows that are later than some other.
    let borders = (1..latest.len()).filter(|&count| latest[count] < latest[count - 1]);
    let count = borders.min_by_key(|&count| (count.abs_diff(wanted), count))?;
    let (held_out, training) = (0..times.len()).partition(|&place| times[place] > latest[count]);
    Some(Split { training, held_out })
}

/// Hash, key and place of each row.
type Ranked<'a> = Vec<(u64, &'a [u8], usize)>;

fn by_class<'a>(rows: &[Row<'a>], seed: u64) -> BTreeMap<u32, Ranked<'a>> {
    let mut classes = BTreeMap::<u32, Ranked<'a>>::new();
    for (place, row) in rows.iter().enumerate() {
        classes.entry(row.class).or_default().push((hash(seed, PURPOSE, row.key), row.key, place));
    }
    classes
}

/// How many rows of each class are held out.
fn shares(sizes: &[usize], fraction: f64) -> Vec<usize> {
    let fraction = if fraction > 0.0 { fraction.min(0.5) } else { return vec![0; sizes.len()] };
    let share = |size: usize| size as f64 * fraction;
    let mut counts: Vec<usize> = sizes.iter().map(|&size| share(size) as usize).collect();
    let wanted = share(sizes.iter().sum()).round().max(1.0) as usize;
    let missing = wanted.saturating_sub(counts.iter().sum());
    let mut candidates: Vec<(f64, usize, usize)> = sizes
        .iter()
        .enumerate()
        .map(|(class, &size)| (share(size).fract(), size, class))
        .filter(|&(lost, size, _)| lost > 0.0 && share(size) as usize + 1 < size)
        .collect();
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
    for (_, _, class) in candidates.into_iter().take(missing) {
        if let Some(count) = counts.get_mut(class) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_fraction() {
        assert_eq!(shares(&[70, 20, 10], 0.1), [7, 2, 1]);
        assert_eq!(shares(&[35, 35, 30], 0.1), [4, 3, 3]);
        assert_eq!(shares(&[3; 10], 0.1), [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn single_rows_of_a_class_stay_in_the_training() {
        assert_eq!(shares(&[1, 1, 1], 0.5), [0, 0, 0]);
        assert_eq!(shares(&[1, 2], 0.4), [0, 1]);
        assert_eq!(shares(&[], 0.1), [0; 0]);
    }

    #[test]
    fn at_least_one_row_is_held_out() {
        assert_eq!(shares(&[3, 4], 0.01), [0, 1]);
    }

    #[test]
    fn nothing_is_held_out_of_nothing_or_for_no_fraction() {
        assert_eq!(shares(&[10, 10], 0.0), [0, 0]);
        assert_eq!(shares(&[10, 10], f64::NAN), [0, 0]);
        assert_eq!(split(&[], 0.1, 1), Split::default());
    }

    #[test]
    fn the_latest_are_held_out() {
        let times: Vec<i64> = (0..20).map(|at| (at * 7) % 20).collect();
        let split = by_time(&times, 0.2).unwrap();
        let latest: Vec<i64> = split.held_out.iter().map(|&place| times[place]).collect();
        assert_eq!((latest.len(), split.training.len()), (4, 16));
        assert!(latest.iter().all(|time| *time >= 16), "{latest:?}");
        assert_eq!(by_time(&times, 0.0).unwrap().held_out.len(), 0);
        assert_eq!(by_time(&times, 0.001).unwrap().held_out.len(), 1);
        assert_eq!(by_time(&[], 0.1), Some(Split::default()));
    }

    #[test]
    fn rows_of_one_moment_lie_on_one_side() {
        let of = |times: &[i64], fraction| by_time(times, fraction).map(|split| split.held_out);
        // Two or five of ten: two are nearer to three.
        let days = [1, 1, 1, 2, 2, 3, 3, 3, 4, 4];
        assert_eq!(of(&days, 0.3), Some(vec![8, 9]));
        assert_eq!(of(&days, 0.4), Some(vec![5, 6, 7, 8, 9]));
        // As near as each other: fewer.
        assert_eq!(of(&[1, 2, 2, 3], 0.5), Some(vec![3]));
        // Most are of the last day: something is held out, and something learned from.
        assert_eq!(of(&[1, 2, 2, 2, 2], 0.1), Some(vec![1, 2, 3, 4]));
        assert_eq!(of(&[1, 1, 1], 0.1), None);
    }

    #[test]
    fn splits_never_change() {
        let keys: Vec<[u8; 4]> = (0..40_u32).map(u32::to_be_bytes).collect();
        let rows: Vec<Row<'_>> =
            keys.iter().zip(0..).map(|(key, number)| Row { key, class: number % 3 }).collect();
        assert_eq!(split(&rows, 0.2, 42).held_out, HELD_OUT);
    }

    /// Written down once; a change would give every seed another meaning.
    const HELD_OUT: [usize; 8] = [6, 8, 10, 15, 16, 18, 31, 35];
}
