//! Sequences as kernels read them: token ids end to end, and where each sequence lies among them.
//!
//! Invariant: every token is a query of exactly one tile, and its sequence the keys of that tile.

use ecommerce_ml_tensor_cpu::Sequence;
use ecommerce_ml_tensor_cuda::backend::TILE;

/// Where parts of a batch begin, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchLayout {
    pub(super) tokens: usize,
    pub(super) sequences: usize,
    pub(super) positions: usize,
    /// The token that each sequence begins with, and where the last one ends.
    pub(super) starts: usize,
    /// Tiles of all tokens.
    pub(super) tiles: usize,
    pub(super) tile_count: usize,
    /// Tiles of first tokens, which are queries number 0, 1 and so on; one for each sequence.
    pub(super) cls_tiles: usize,
}

impl BatchLayout {
    /// A batch, and all its numbers, which begin with the token ids.
    pub(super) fn new(sequences: &[Sequence<'_>]) -> (Self, Vec<u32>) {
        let mut numbers: Vec<u32> = sequences.iter().flat_map(|sequence| sequence.ids).copied().collect();
        let tokens = numbers.len();
        let positions = begin(&mut numbers);
        numbers.extend(sequences.iter().flat_map(|sequence| &sequence.positions));
        let starts = begin(&mut numbers);
        let mut spans = Vec::with_capacity(sequences.len());
        let mut end = 0;
        for sequence in sequences {
            spans.push((end, sequence.ids.len()));
            numbers.push(end as u32);
            end += sequence.ids.len();
        }
        numbers.push(end as u32);
        let tiles = begin(&mut numbers);
        let mut tile_count = 0;
        // Long sequences first, so that none of them is still under way when everything else is done.
        let mut longest_first = spans.clone();
        longest_first.sort_by_key(|&(_, length)| std::cmp::Reverse(length));
        for (start, length) in longest_first {
            for first in (0..length).step_by(TILE) {
                let queries = TILE.min(length - first);
                numbers.extend([start + first, queries, start, length].map(|number| number as u32));
                tile_count += 1;
            }
        }
        let cls_tiles = begin(&mut numbers);
        for (index, (start, length)) in spans.into_iter().enumerate() {
            numbers.extend([index, 1, start, length].map(|number| number as u32));
        }
        let batch =
            Self { tokens, sequences: sequences.len(), positions, starts, tiles, tile_count, cls_tiles };
        (batch, numbers)
    }
}

/// Where the next part begins, in bytes.
fn begin(numbers: &mut Vec<u32>) -> usize {
    numbers.resize(numbers.len().next_multiple_of(4), 0);
    size_of_val(numbers.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_a_query_once() {
        let ids: Vec<u32> = (100..300).collect();
        let lengths = [3, 200, 64, 65, 1];
        let sequence =
            |&length: &usize| Sequence { ids: &ids[..length], positions: (0..length as u32).collect() };
        let sequences: Vec<_> = lengths.iter().map(sequence).collect();
        let (batch, numbers) = BatchLayout::new(&sequences);
        assert_eq!((batch.tokens, batch.sequences), (333, 5));
        assert_eq!(numbers[..3], ids[..3]);
        assert_eq!(numbers[batch.positions / 4..][..5], [0, 1, 2, 0, 1]);
        assert_eq!(numbers[batch.starts / 4..][..6], [0, 3, 203, 267, 332, 333]);
        let mut seen = vec![0; batch.tokens];
        for tile in numbers[batch.tiles / 4..].chunks_exact(4).take(batch.tile_count) {
            assert!(tile[1] as usize <= TILE);
            for token in tile[0]..tile[0] + tile[1] {
                seen[token as usize] += 1;
                assert!((tile[2]..tile[2] + tile[3]).contains(&token));
            }
        }
        assert!(seen.iter().all(|&times| times == 1));
        assert_eq!(numbers[batch.cls_tiles / 4 + 4..][..4], [1, 1, 3, 200]);
    }
}
