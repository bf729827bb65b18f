//! Windows packed end to end, so that no padding is computed and no mask is needed.
//!
//! It must not know weights. Invariant: token `i` of window `w` is row `starts[w] + i` of every tensor of the pass.

use std::ops::Range;

use candle_core::{Device, Result as CandleResult, Tensor};
use ecommerce_ml_checkpoint::tokenizer::Window;

/// Most tokens of a run: attention takes memory for every pair of tokens of a window, for all windows of the run.
const MAX_RUN_TOKENS: usize = 2048;

/// Neighbouring windows of the same length, whose attention is computed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Row of the first token.
    pub(super) start: usize,
    /// How many windows.
    pub(super) windows: usize,
    /// Tokens of each.
    pub(super) length: usize,
}

impl Run {
    /// Tokens of all windows.
    pub(super) fn tokens(&self) -> usize {
        self.windows * self.length
    }
}

/// The input of one pass.
pub(super) struct PackedBatch {
    /// Token ids, shape `[tokens]`.
    pub(super) ids: Tensor,
    /// Rows of the position embeddings, shape `[tokens]`.
    pub(super) positions: Tensor,
    /// Windows of equal length, in order.
    pub(super) runs: Vec<Run>,
    /// Rows of each window.
    pub(super) spans: Vec<Range<usize>>,
}

impl PackedBatch {
    /// Packs windows in the given order; `positions_of` gives the positions of a window's tokens.
    pub(super) fn pack(
        windows: &[&Window],
        positions_of: impl Fn(&[u32]) -> Vec<u32>,
        device: &Device,
    ) -> CandleResult<Self> {
        let ids: Vec<u32> = windows.iter().flat_map(|window| window.ids.iter().copied()).collect();
        let positions: Vec<u32> = windows.iter().flat_map(|window| positions_of(&window.ids)).collect();
        let lengths: Vec<usize> = windows.iter().map(|window| window.ids.len()).collect();
        Ok(Self {
            ids: Tensor::new(ids, device)?,
            positions: Tensor::new(positions, device)?,
            runs: runs(&lengths),
            spans: spans(&lengths),
        })
    }
}

fn spans(lengths: &[usize]) -> Vec<Range<usize>> {
    let mut end = 0;
    let span = |&length: &usize| {
        let start = end;
        end += length;
        start..end
    };
    lengths.iter().map(span).collect()
}

fn runs(lengths: &[usize]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut start = 0;
    for &length in lengths {
        match runs.last_mut() {
            Some(run) if run.length == length && run.tokens() + length <= MAX_RUN_TOKENS => run.windows += 1,
            _ => runs.push(Run { start, windows: 1, length }),
        }
        start += length;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_equal_length_make_a_run() {
        let expected = [
            Run { start: 0, windows: 2, length: 3 },
            Run { start: 6, windows: 1, length: 5 },
            Run { start: 11, windows: 1, length: 3 },
        ];
        assert_eq!(runs(&[3, 3, 5, 3]), expected);
        assert_eq!(spans(&[3, 3, 5]), [0..3, 3..6, 6..11]);
    }

    #[test]
    fn a_run_is_cut_before_its_attention_takes_too_much_memory() {
        let lengths = vec![512; 9];
        assert_eq!(runs(&lengths).iter().map(|run| run.windows).collect::<Vec<_>>(), [4, 4, 1]);
    }
}
