//! Windows of about the same length side by side, the shorter ones filled up, for encoders that can't read them end to end.
//!
//! It must not know weights. Invariant: what fills up is masked, so that it changes nothing but the last digits of the rest.

use std::ops::Range;

use candle_core::{DType, Device, Result as CandleResult, Tensor};

use super::Window;

/// Most tokens that go through together, what fills up included.
const MOST_TOKENS: usize = 1024;

/// How many more tokens than the shortest window the longest may have: a third of its own, and these.
const SLACK: usize = 8;

/// Windows side by side.
pub(super) struct PaddedBatch {
    /// Shape `[windows, length]`.
    pub(super) ids: Tensor,
    /// Of ones and zeros, shape `[windows, length]`, in single precision.
    pub(super) mask: Tensor,
}

impl PaddedBatch {
    /// Fills up with the first token of the vocabulary, which every model has.
    pub(super) fn new(windows: &[&Window], device: &Device) -> CandleResult<Self> {
        let length = windows.iter().map(|window| window.ids.len()).max().unwrap_or_default();
        let shape = (windows.len(), length);
        let (mut ids, mut mask) = (vec![0_u32; windows.len() * length], vec![0_f32; windows.len() * length]);
        for (row, window) in windows.iter().enumerate() {
            let own = row * length..row * length + window.ids.len();
            ids[own.clone()].copy_from_slice(&window.ids);
            mask[own].fill(1.0);
        }
        Ok(Self { ids: Tensor::from_vec(ids, shape, device)?, mask: Tensor::from_vec(mask, shape, device)? })
    }
}

/// The last states of each window, of shape `[tokens, hidden]`, where `encode` gives them with what fills up, of shape
/// `[windows, length, hidden]`.
pub(super) fn through(
    windows: &[&Window],
    device: &Device,
    encode: impl Fn(&PaddedBatch) -> CandleResult<Tensor>,
) -> CandleResult<Vec<Tensor>> {
    let mut states = Vec::with_capacity(windows.len());
    for group in groups(&windows.iter().map(|window| window.ids.len()).collect::<Vec<_>>()) {
        let group = &windows[group];
        let hidden = encode(&PaddedBatch::new(group, device)?)?.to_dtype(DType::F32)?;
        for (row, window) in group.iter().enumerate() {
            states.push(hidden.get(row)?.narrow(0, 0, window.ids.len())?);
        }
    }
    Ok(states)
}

/// Neighbours that are filled up to the same length.
fn groups(lengths: &[usize]) -> Vec<Range<usize>> {
    let (mut groups, mut start): (Vec<Range<usize>>, usize) = (Vec::new(), 0);
    let (mut shortest, mut longest) = (usize::MAX, 0);
    for (index, &length) in lengths.iter().enumerate() {
        let (least, most) = (shortest.min(length), longest.max(length));
        let fits = most <= least + least / 3 + SLACK && (index - start + 1) * most <= MOST_TOKENS;
        if index > start && !fits {
            groups.push(start..index);
            start = index;
            (shortest, longest) = (length, length);
        } else {
            (shortest, longest) = (least, most);
        }
    }
    if start < lengths.len() {
        groups.push(start..lengths.len());
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_about_the_same_length_are_together() {
        assert_eq!(groups(&[3, 4, 11, 13, 30, 31, 100]), [0..3, 3..4, 4..6, 6..7]);
        assert_eq!(groups(&[40, 36, 35]), std::slice::from_ref(&(0..3)));
        assert!(groups(&[]).is_empty());
    }

    #[test]
    fn few_enough_are_together_and_a_long_one_is_alone() {
        assert_eq!(groups(&[500, 500, 500, 2000]), [0..2, 2..3, 3..4]);
    }

    #[test]
    fn what_fills_up_is_masked() {
        let window = |ids: &[u32]| Window { ids: ids.to_vec(), content_tokens: ids.len() };
        let (long, short) = (window(&[5, 6, 7]), window(&[8]));
        let padded = PaddedBatch::new(&[&long, &short], &Device::Cpu).unwrap();
        assert_eq!(padded.ids.to_vec2::<u32>().unwrap(), [[5, 6, 7], [8, 0, 0]]);
        assert_eq!(padded.mask.to_vec2::<f32>().unwrap(), [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]);
    }
}
