//! How a batch is divided among threads.
//!
//! It must not know what is computed. Invariant: each sequence is in one pass of one part, and the same lengths are divided alike.

use std::cmp::Reverse;
use std::ops::Range;

/// Tokens of a pass, when there are more than one: few enough that they stay in the second-level cache on their way through
/// a layer, many enough that fetching the weights doesn't matter.
const PASS_TOKENS: usize = 128;

/// Least tokens of a thread that works on sequences of its own: with fewer, fetching the weights would matter.
const LEAST_PART: usize = 64;

/// How much longer than the mean the longest part may take, so that threads work on sequences of their own. To work together on
/// all of them costs about as much.
const MOST_UNEVEN: f64 = 1.08;

/// A batch divided among threads that need not wait for each other.
pub(super) struct Division {
    /// The sequences in the order in which they lie, those of a part side by side.
    pub(super) order: Vec<usize>,
    /// Of each part, its passes, as ranges of [`order`](Self::order).
    pub(super) parts: Vec<Vec<Range<usize>>>,
}

impl Division {
    /// Divides sequences of these lengths into one part for each thread: the longest first, each to the part that is the shortest
    /// so far. `None` if there are too few of them to do so evenly, so that some threads would idle.
    pub(super) fn new(lengths: &[usize], threads: usize) -> Option<Self> {
        let tokens: usize = lengths.iter().sum();
        if threads == 1 && tokens <= PASS_TOKENS {
            return None;
        }
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        // Stable, so that the same batch is always divided alike.
        order.sort_by_key(|&index| Reverse(lengths[index]));
        let mut parts = vec![(0, Vec::new()); threads];
        for index in order {
            if let Some((sum, part)) = parts.iter_mut().min_by_key(|(sum, _)| *sum) {
                *sum += lengths[index];
                part.push(index);
            }
        }
        let longest = parts.iter().map(|(sum, _)| *sum).max().unwrap_or_default();
        let even = (longest * threads) as f64 <= MOST_UNEVEN * tokens as f64;
        if threads > 1 && !(even && tokens >= LEAST_PART * threads) {
            return None;
        }
        let mut order = Vec::with_capacity(lengths.len());
        let passes = |(sum, part): (usize, Vec<usize>)| {
            let first = order.len();
            order.extend(part);
            passes(&order[first..], first, sum, lengths)
        };
        let parts = parts.into_iter().map(passes).collect();
        Some(Self { order, parts })
    }
}

/// Cuts the sequences of a part, which have `tokens` tokens and lie from `first` on, into passes of about equal size.
fn passes(part: &[usize], first: usize, tokens: usize, lengths: &[usize]) -> Vec<Range<usize>> {
    let most = tokens.div_ceil(tokens.div_ceil(PASS_TOKENS).max(1));
    let mut passes = Vec::new();
    let (mut start, mut filled) = (0, 0);
    for (place, &index) in part.iter().enumerate() {
        filled += lengths[index];
        if filled >= most || place + 1 == part.len() {
            passes.push(first + start..first + place + 1);
            (start, filled) = (place + 1, 0);
        }
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths as reviews have them.
    fn lengths(count: usize) -> Vec<usize> {
        (0..count).map(|index| 5 + index * 7919 % 110).collect()
    }

    #[test]
    fn every_sequence_is_in_one_pass() {
        for threads in 1..=5 {
            for count in [1, 2, 9, 40, 300] {
                let Some(division) = Division::new(&lengths(count), threads) else { continue };
                let mut order = division.order.clone();
                order.sort_unstable();
                assert_eq!(order, (0..count).collect::<Vec<_>>(), "{threads} {count}");
                let places: Vec<usize> = division.parts.iter().flatten().flat_map(Clone::clone).collect();
                assert_eq!(places, (0..count).collect::<Vec<_>>(), "{threads} {count}");
            }
        }
    }

    #[test]
    fn parts_are_of_equal_length() {
        for (threads, count) in [(2, 20), (2, 21), (2, 50), (3, 60), (8, 300)] {
            let lengths = lengths(count);
            let division = Division::new(&lengths, threads).unwrap();
            let tokens = |passes: &Vec<Range<usize>>| {
                passes
                    .iter()
                    .flat_map(Clone::clone)
                    .map(|place| lengths[division.order[place]])
                    .sum::<usize>()
            };
            let tokens: Vec<usize> = division.parts.iter().map(tokens).collect();
            let (mean, longest) = (tokens.iter().sum::<usize>() / threads, tokens.iter().max().unwrap());
            assert!(*longest as f64 <= MOST_UNEVEN * mean as f64 + 1.0, "{threads} {count}: {tokens:?}");
        }
    }

    #[test]
    fn what_cannot_be_divided_evenly_is_worked_on_together() {
        for lengths in [vec![128], vec![500, 20], vec![30, 30], vec![200, 200, 200]] {
            assert!(Division::new(&lengths, 2).is_none(), "{lengths:?}");
        }
        assert!(Division::new(&[100, 28], 1).is_none());
        assert_eq!(Division::new(&[100, 100], 1).unwrap().parts, [[0..1, 1..2]]);
    }
}
