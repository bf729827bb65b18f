//! Kernels at work on made-up numbers, for benchmarks.
//!
//! It must not know clocks. Invariant: a sample's operations are those of the formula, whatever the kernel really does.

use std::sync::Arc;

use super::attention::{AttentionHead, scratch_size};
use super::functions::Activation;
use super::kernels::Kernels;
use super::linear::{DenseInput, DenseWeights, Linear, Precision, QuantisedRows, Ranges, pack, padded};
use super::prepacked::PrepackedBuilder;

/// Something to run again and again.
pub struct Sample {
    /// Does it once.
    pub run: Box<dyn FnMut()>,
    /// How many operations that is: a multiplication and an addition are two; of what multiplies nothing, one for each number.
    pub operations: u64,
}

/// Numbers between -1 and 1.
pub(super) fn made_up(count: usize) -> Vec<f32> {
    (0..count).map(|index| (index as f32 * 0.7).sin()).collect()
}

/// A dense layer of so many inputs and outputs, and its outputs after padding; in `int8` with what turns inputs into bytes that have
/// been like these.
///
/// `None` never happens; it would mean that the layer's weights got lost between packing and opening.
pub(super) fn made_up_layer(
    kernels: &Kernels,
    precision: Precision,
    (inputs, outputs): (usize, usize),
    ranges: &Ranges,
) -> Option<(Linear, usize)> {
    let weights = DenseWeights { weight: made_up(outputs * inputs), bias: made_up(outputs) };
    let ranges = (precision == Precision::Int8).then_some((ranges, kernels.byte_limits()));
    let mut prepacked = PrepackedBuilder::default();
    pack(&mut prepacked, "layer", inputs, &[&weights], ranges);
    let prepacked = Arc::new(prepacked.finish(serde_json::Value::Null));
    Some((Linear::open(&prepacked, "layer", inputs, padded(outputs))?, padded(outputs)))
}

/// A dense layer on `rows` rows of its own input; in `int8` with what turns the input into bytes.
///
/// `None` as of [`made_up_layer`].
pub fn dense(
    kernels: Kernels,
    precision: Precision,
    rows: usize,
    inputs: usize,
    outputs: usize,
) -> Option<Sample> {
    let mut ranges = Ranges::default();
    ranges.observe(&made_up(inputs));
    let (layer, columns) = made_up_layer(&kernels, precision, (inputs, outputs), &ranges)?;
    let (mut bytes, mut input, mut output) =
        (QuantisedRows::default(), made_up(rows * inputs), vec![0.0; rows * columns]);
    let run = move || {
        let rows = DenseInput { numbers: &mut input, stride: inputs, count: rows };
        layer.forward(&kernels, rows, None, 0..columns, &mut bytes, (&mut output, columns));
    };
    Some(Sample { run: Box::new(run), operations: 2 * (rows * inputs * outputs) as u64 })
}

/// Attention of all `heads` of one sequence.
pub fn attention(kernels: Kernels, length: usize, heads: usize, width: usize) -> Sample {
    let hidden = heads * width;
    let (tokens, mut output) = (made_up(3 * length * hidden), vec![0.0; length * hidden]);
    let mut scratch = vec![0.0; scratch_size(length, width)];
    let run = move || {
        for column in (0..hidden).step_by(width) {
            let head = AttentionHead {
                queries: &tokens[column..],
                query_stride: 3 * hidden,
                count: length,
                keys: &tokens[hidden + column..],
                values: &tokens[2 * hidden + column..],
                stride: 3 * hidden,
                length,
                width,
            };
            kernels.attend(&head, (&mut output[column..], hidden), &mut scratch);
        }
    };
    Sample { run: Box::new(run), operations: 4 * (length * length * hidden) as u64 }
}

/// The sum of two rows, normalised.
pub fn norm(kernels: Kernels, width: usize) -> Sample {
    let (mut x, y, weight, bias) = (made_up(width), made_up(width), made_up(width), made_up(width));
    let run = move || kernels.add_norm(&mut x, &y, (&weight, &bias), 1e-12);
    Sample { run: Box::new(run), operations: width as u64 }
}

/// GELU of a row.
pub fn gelu(kernels: Kernels, width: usize) -> Sample {
    let mut x = made_up(width);
    Sample { run: Box::new(move || kernels.activate(&mut x, Activation::GeluErf)), operations: width as u64 }
}

/// A row into bytes.
pub fn quantise(kernels: Kernels, width: usize) -> Sample {
    let (mut x, mut bytes, shift, factor) =
        (made_up(width), vec![0; width], made_up(width), vec![2.0; width]);
    let run = move || {
        kernels.quantise(&mut x, &mut bytes, None, Some((&shift, &factor)));
    };
    Sample { run: Box::new(run), operations: width as u64 }
}
