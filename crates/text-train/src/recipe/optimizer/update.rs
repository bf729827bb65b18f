//! The arithmetic of AdamW, on slices.
//!
//! It must not know names, or which step it is. Invariant: every weight is computed by itself, so bits don't depend on
//! how slices are cut.

use rayon::prelude::*;

use super::AdamWSettings;

/// Weights that a thread takes at a time: 1 MiB of weights, gradients and moments.
const PER_TASK: usize = 64 * 1024;

/// What is the same for all weights of a parameter in one step, in single precision as in `torch`, whose scalars are
/// computed in double precision and rounded last.
#[derive(Debug, Clone, Copy)]
pub struct Factors {
    /// What gradients are multiplied by.
    pub gradient: f32,
    /// What is left of a weight.
    pub keep: f32,
    /// How far the mean of gradients goes towards the new one.
    pub towards: f32,
    /// How much of the mean of squares stays.
    pub beta2: f32,
    /// How much of the new square comes to it.
    pub one_less_beta2: f32,
    /// Root of the correction of the mean of squares, upside down.
    pub correction: f32,
    /// Added to the root of that mean.
    pub epsilon: f32,
    /// How far a weight goes.
    pub step_size: f32,
}

impl Factors {
    /// Those of an update, counted from 1, for parameters that decay.
    pub(super) fn of(settings: &AdamWSettings, step: u64, learning_rate: f64, gradient: f32) -> Self {
        let after = |beta: f64| 1.0 - beta.powf(step as f64);
        Self {
            gradient,
            keep: (1.0 - learning_rate * settings.weight_decay) as f32,
            towards: (1.0 - settings.beta1) as f32,
            beta2: settings.beta2 as f32,
            one_less_beta2: (1.0 - settings.beta2) as f32,
            correction: after(settings.beta2).sqrt().recip() as f32,
            epsilon: settings.epsilon as f32,
            step_size: (learning_rate / after(settings.beta1)) as f32,
        }
    }

    /// The same for parameters that don't decay.
    pub fn without_decay(self) -> Self {
        Self { keep: 1.0, ..self }
    }
}

/// Changes weights and moments; all slices have the same length.
pub(super) fn update(
    factors: Factors,
    weights: &mut [f32],
    gradient: &[f32],
    exp_avg: &mut [f32],
    exp_avg_sq: &mut [f32],
) {
    weights
        .par_chunks_mut(PER_TASK)
        .zip(gradient.par_chunks(PER_TASK))
        .zip(exp_avg.par_chunks_mut(PER_TASK).zip(exp_avg_sq.par_chunks_mut(PER_TASK)))
        .for_each(|((weights, gradient), (exp_avg, exp_avg_sq))| {
            task(factors, weights, gradient, exp_avg, exp_avg_sq)
        });
}

/// One loop over slices, without branches or calls, so that the compiler makes vectors of it. Everything is loaded before
/// anything is stored: large slices begin at the same place of a page, and a load that follows a store to the same place
/// of another page waits for it.
fn task(by: Factors, weights: &mut [f32], gradient: &[f32], exp_avg: &mut [f32], exp_avg_sq: &mut [f32]) {
    for (((weight, gradient), exp_avg), exp_avg_sq) in
        weights.iter_mut().zip(gradient).zip(exp_avg).zip(exp_avg_sq)
    {
        let (old, gradient, mean, squares) = (*weight, by.gradient * gradient, *exp_avg, *exp_avg_sq);
        let mean = mean + by.towards * (gradient - mean);
        let squares = by.beta2 * squares + by.one_less_beta2 * (gradient * gradient);
        let divisor = squares.sqrt() * by.correction + by.epsilon;
        *weight = by.keep * old - by.step_size * (mean / divisor);
        *exp_avg = mean;
        *exp_avg_sq = squares;
    }
}
