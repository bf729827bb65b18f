//! How many sequences go through a network together.
//!
//! It must not know networks. Invariant: every sequence is in one micro-batch, in order, and only a sequence that is
//! longer than the bound makes a micro-batch that is.

use std::ops::Range;

/// Tokens of a micro-batch, but for a single example that is longer: products of matrices are at their fastest from
/// about this size on, and twice as many tokens take twice the memory.
pub(super) const MICRO_BATCH: usize = 1024;

/// The same on a GPU, which wants more to do at a time.
pub(super) const DEVICE_MICRO_BATCH: usize = 16_384;

/// Cuts sequences of these lengths into runs of at most so many tokens.
pub(super) fn micro_batches(lengths: impl IntoIterator<Item = usize>, most: usize) -> Vec<Range<usize>> {
    let (mut ranges, mut start, mut end, mut filled) = (Vec::new(), 0, 0, 0);
    for length in lengths {
        if end > start && filled + length > most {
            ranges.push(start..end);
            (start, filled) = (end, 0);
        }
        (end, filled) = (end + 1, filled + length);
    }
    if end > start {
        ranges.push(start..end);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_as_long_as_the_bound_lets_them_be() {
        assert_eq!(micro_batches([3, 3, 4, 11, 1, 9, 1], 10), [0..3, 3..4, 4..6, 6..7]);
        assert_eq!(micro_batches([3, 3], 1), [0..1, 1..2]);
        assert!(micro_batches([], 10).is_empty());
    }
}
