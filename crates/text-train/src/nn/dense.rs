//! Dense layers, forward and backward: `y = x Wᵀ + b`, so `dx = dy W`, `dW = dyᵀ x`, and `db` is the sum of the rows of `dy`.
//!
//! It must not know what lies before and after. Invariant: rows lie without gaps.

use ecommerce_ml_tensor_cpu::product::{Matrix, multiply_together};

use super::layout::DenseLayout;
use super::network::ForwardContext;
use super::parameters::Gradients;

/// Rows that are summed up together, whoever does it.
const BLOCK: usize = 64;

/// The rows of the output for rows of input.
/// From `[rows, inputs]` to `[rows, outputs]`.
pub(super) fn forward(ctx: &ForwardContext<'_>, layout: &DenseLayout, input: &[f32]) -> Vec<f32> {
    let rows = input.len() / layout.inputs;
    let mut output = match layout.bias.is_empty() {
        true => vec![0.0; rows * layout.outputs],
        false => ctx.values[layout.bias.clone()].repeat(rows),
    };
    let input = Matrix::new(input, (rows, layout.inputs), layout.inputs);
    multiply_together(&ctx.cpu.pool, input, weight(ctx, layout).transposed(), &mut output, true);
    output
}

/// Adds to the gradients of weight and bias, if they are trained.
/// `input`: `[rows, inputs]`; `d_output`: `[rows, outputs]`.
pub(super) fn backward(
    ctx: &ForwardContext<'_>,
    layout: &DenseLayout,
    input: &[f32],
    d_output: &[f32],
    gradients: &mut Gradients,
) {
    let Some((d_weight, d_bias)) = gradients.pair(&layout.weight, &layout.bias) else { return };
    let rows = input.len() / layout.inputs;
    let turned = Matrix::new(d_output, (rows, layout.outputs), layout.outputs).transposed();
    let input = Matrix::new(input, (rows, layout.inputs), layout.inputs);
    multiply_together(&ctx.cpu.pool, turned, input, d_weight, true);
    if !d_bias.is_empty() {
        add_rows(ctx, d_output, d_bias);
    }
}

/// The gradient of the input.
/// From `[rows, outputs]` to `[rows, inputs]`.
pub(super) fn input_gradient(ctx: &ForwardContext<'_>, layout: &DenseLayout, d_output: &[f32]) -> Vec<f32> {
    let mut d_input = vec![0.0; d_output.len() / layout.outputs * layout.inputs];
    add_input_gradient(ctx, layout, d_output, &mut d_input);
    d_input
}

/// Adds the gradient of the input to what is there.
/// `d_output`: `[rows, outputs]`; `d_input`: `[rows, inputs]`.
pub(super) fn add_input_gradient(
    ctx: &ForwardContext<'_>,
    layout: &DenseLayout,
    d_output: &[f32],
    d_input: &mut [f32],
) {
    let rows = d_output.len() / layout.outputs;
    let d_output = Matrix::new(d_output, (rows, layout.outputs), layout.outputs);
    multiply_together(&ctx.cpu.pool, d_output, weight(ctx, layout), d_input, true);
}

fn weight<'a>(ctx: &ForwardContext<'a>, layout: &DenseLayout) -> Matrix<'a> {
    Matrix::new(&ctx.values[layout.weight.clone()], (layout.outputs, layout.inputs), layout.inputs)
}

/// Adds the sum of all rows.
fn add_rows(ctx: &ForwardContext<'_>, rows: &[f32], sum: &mut [f32]) {
    let width = sum.len();
    let mut partial = vec![0.0; rows.len().div_ceil(BLOCK * width) * width];
    let blocks = rows.chunks(BLOCK * width).zip(partial.chunks_mut(width));
    ctx.cpu.pool.each(blocks, |(rows, sum)| rows.chunks(width).for_each(|row| add(sum, row)));
    partial.chunks(width).for_each(|row| add(sum, row));
}

/// `to += from`.
/// Both of the same length.
pub(super) fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}
