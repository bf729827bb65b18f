//! Layer norm, forward and backward.
//!
//! It must not know what lies before and after. Invariant: rows lie without gaps, and each is normalised by itself.

use super::dense::add;
use super::layout::NormLayout;
use super::network::ForwardContext;
use super::parameters::Gradients;

/// Rows that are worked on together, whoever does it.
const BLOCK: usize = 64;

/// What comes out, and what the gradient needs.
#[derive(Debug, Default)]
pub(super) struct Normed {
    /// Deviations from the mean by the standard deviation.
    normal: Vec<f32>,
    /// What the deviations of each row were multiplied by.
    factors: Vec<f32>,
    /// Weighed, with bias.
    pub(super) output: Vec<f32>,
}

impl Normed {
    /// Normalises rows.
    /// `input`: `[rows, width]`.
    pub(super) fn forward(ctx: &ForwardContext<'_>, layout: &NormLayout, mut input: Vec<f32>) -> Self {
        let width = ctx.config.hidden_size;
        let zeros = if layout.bias.is_empty() { vec![0.0; width] } else { Vec::new() };
        let bias = if layout.bias.is_empty() { &zeros } else { &ctx.values[layout.bias.clone()] };
        let parameters = (&ctx.values[layout.weight.clone()], bias);
        let eps = ctx.config.layer_norm_eps as f32;
        let (mut factors, mut output) = (vec![0.0; input.len() / width], vec![0.0; input.len()]);
        let blocks = input.chunks_mut(BLOCK * width).zip(output.chunks_mut(BLOCK * width));
        ctx.cpu.pool.each(blocks.zip(factors.chunks_mut(BLOCK)), |((input, output), factors)| {
            let rows = input.chunks_mut(width).zip(output.chunks_mut(width)).zip(factors);
            rows.for_each(|((x, y), factor)| *factor = ctx.cpu.kernels.norm(x, y, parameters, eps));
        });
        Self { normal: input, factors, output }
    }

    /// From the gradient of the output to that of the input, in its place.
    /// `gradient`: `[rows, width]`.
    pub(super) fn backward(
        &self,
        ctx: &ForwardContext<'_>,
        layout: &NormLayout,
        gradient: &mut [f32],
        gradients: &mut Gradients,
    ) {
        let width = ctx.config.hidden_size;
        let weight = &ctx.values[layout.weight.clone()];
        let mut partial = vec![0.0; gradient.len().div_ceil(BLOCK * width) * 2 * width];
        let blocks = gradient.chunks_mut(BLOCK * width).zip(self.normal.chunks(BLOCK * width));
        let blocks = blocks.zip(self.factors.chunks(BLOCK)).zip(partial.chunks_mut(2 * width));
        ctx.cpu.pool.each(blocks, |(((gradient, normal), factors), sums)| {
            let (d_weight, d_bias) = sums.split_at_mut(width);
            for ((dy, x), &factor) in gradient.chunks_mut(width).zip(normal.chunks(width)).zip(factors) {
                ctx.cpu.kernels.norm_gradient((dy, x), factor, weight, (d_weight, d_bias));
            }
        });
        let Some((d_weight, d_bias)) = gradients.pair(&layout.weight, &layout.bias) else { return };
        for sums in partial.chunks(2 * width) {
            add(d_weight, &sums[..width]);
            add(d_bias, &sums[width..]);
        }
    }
}
