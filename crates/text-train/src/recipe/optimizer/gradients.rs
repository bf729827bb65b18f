//! How large gradients are, and how much of them is taken.
//!
//! It must not know parameters. Invariant: a norm has the same bits however many threads there are, because blocks of
//! fixed size are summed by themselves, and their sums in order.

use rayon::prelude::*;

/// Numbers that are summed in single precision before the sum goes on in double precision.
const BLOCK: usize = 4096;

/// Sums side by side, so that the compiler can use vectors: it may not change the order of additions by itself.
const LANES: usize = 16;

/// Blocks that a thread takes at a time.
const BLOCKS_PER_TASK: usize = 64;

/// Root of the sum of the squares of all gradients; infinite or not a number if one of them is, or if a square is too
/// large for single precision. Whoever trains must not update weights then.
/// Each slice is a parameter of any shape.
pub fn global_norm<'a>(gradients: impl IntoIterator<Item = &'a [f32]>) -> f64 {
    gradients.into_iter().map(sum_of_squares).sum::<f64>().sqrt()
}

/// What all gradients are multiplied by so that their norm is at most `max_norm`: that of
/// `torch.nn.utils.clip_grad_norm_`, never more than 1. A `max_norm` of 0 stands for no limit.
pub fn clip_coefficient(norm: f64, max_norm: f64) -> f32 {
    if max_norm > 0.0 { (max_norm / (norm + 1e-6)).min(1.0) as f32 } else { 1.0 }
}

/// Sum of the squares of gradients, of which [`global_norm`] is the root.
/// `values`: of any shape.
pub fn sum_of_squares(values: &[f32]) -> f64 {
    let tasks: Vec<f64> = values
        .par_chunks(BLOCK * BLOCKS_PER_TASK)
        .map(|task| task.chunks(BLOCK).map(|block| f64::from(block_sum(block))).sum())
        .collect();
    tasks.iter().sum()
}

fn block_sum(block: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let chunks = block.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|value| value * value).sum();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value * value;
        }
    }
    sums.iter().sum::<f32>() + rest
}
