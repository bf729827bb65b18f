//! Low-rank changes to the weights of queries and values (Hu et al. 2021): `W = W₀ + alpha / rank B A`.
//!
//! The parameters hold `W` itself, so that a network that was tuned this way is saved as any other; `W₀` is kept here.
//! It must not know layers. Invariant: after [`Lora::merge`], `W` is what the adapters say.

use std::ops::Range;

use ecommerce_ml_tensor_cpu::product::{Matrix, multiply};

use super::parameters::{Gradients, Parameters};

/// An adapter of one weight.
#[derive(Debug, Clone)]
pub(super) struct Adapter {
    /// The weight, shape `[width, width]`.
    pub(super) weight: Range<usize>,
    /// Shape `[rank, width]`, random at first.
    pub(super) a: Range<usize>,
    /// Shape `[width, rank]`, zero at first.
    pub(super) b: Range<usize>,
    /// Width and rank.
    pub(super) sizes: (usize, usize),
}

/// The adapters of a network, and the weights that they change as they were before.
#[derive(Debug)]
pub struct Lora {
    pub(super) adapters: Vec<Adapter>,
    pub(super) before: Vec<Vec<f32>>,
    pub(super) scale: f32,
}

impl Lora {
    /// Brings the weights up to date with the adapters: after each step of an optimizer.
    pub fn merge(&self, parameters: &mut Parameters) {
        for (adapter, before) in self.adapters.iter().zip(&self.before) {
            let (width, rank) = adapter.sizes;
            // Adapters lie behind all weights.
            let (weights, adapters) = parameters.values.split_at_mut(adapter.a.start);
            let a = Matrix::new(adapters, (rank, width), width);
            let b = Matrix::new(&adapters[adapter.b.start - adapter.a.start..], (width, rank), rank);
            let weight = &mut weights[adapter.weight.clone()];
            weight.copy_from_slice(before);
            multiply(b, a, self.scale, (weight, width), true);
        }
    }

    /// From the gradients of the weights to those of the adapters: `dA = s Bᵀ dW`, `dB = s dW Aᵀ`.
    pub fn backward(&self, parameters: &Parameters, gradients: &mut Gradients) {
        for (index, adapter) in self.adapters.iter().enumerate() {
            let (width, rank) = adapter.sizes;
            let Some(d_weight) = gradients.take_adapted(index) else { continue };
            let d_weight = Matrix::new(&d_weight, (width, width), width);
            let a = Matrix::new(&parameters.values[adapter.a.clone()], (rank, width), width);
            let b = Matrix::new(&parameters.values[adapter.b.clone()], (width, rank), rank);
            if let Some((d_a, d_b)) = gradients.pair(&adapter.a, &adapter.b) {
                multiply(b.transposed(), d_weight, self.scale, (d_a, width), true);
                multiply(d_weight, a.transposed(), self.scale, (d_b, rank), true);
            }
        }
    }
}
