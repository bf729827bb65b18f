//! A dense layer in either precision: its weights in panels, and what it does to a block of rows.
//!
//! It must not know where in a model it stands. Invariant: both precisions take and give `f32`, so that a layer
//! doesn't know its neighbours' precision.

use std::ops::Range;
use std::sync::Arc;

use super::dense::{DenseF32, DenseI8};
use super::image::{Image, ImageBuilder, Numbers};
use super::kernels::Kernels;
use super::simd::PANEL;
use crate::config::Activation;

/// What a dense layer computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single precision.
    F32,
    /// Weights in bytes with a scale for each output, activations in bytes with a scale for each token.
    Int8,
}

impl Precision {
    /// The name in settings and views.
    pub fn as_str(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Int8 => "int8",
        }
    }
}

/// The weights of a dense layer as models have them.
#[derive(Debug, Clone)]
pub struct DenseWeights {
    /// Shape `[outputs, inputs]`.
    pub weight: Vec<f32>,
    /// Shape `[outputs]`.
    pub bias: Vec<f32>,
}

/// A dense layer, or several of the same input side by side.
#[derive(Debug)]
pub(super) struct Linear {
    inputs: usize,
    bias: Numbers<f32>,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    F32 { panels: Numbers<f32> },
    Int8 { panels: Numbers<i8>, column_sums: Numbers<i32>, column_scales: Numbers<f32> },
}

/// Space for the bytes of a block of rows.
#[derive(Default)]
pub(super) struct Bytes {
    bytes: Vec<u8>,
    scales: Vec<f32>,
    zeros: Vec<i32>,
}

/// Some rows, `stride` apart.
pub(super) struct Rows<'a> {
    pub(super) numbers: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) count: usize,
}

/// Outputs of a layer after padding.
pub(super) fn padded(outputs: usize) -> usize {
    outputs.next_multiple_of(PANEL)
}

/// Adds layers of the same input to an image, side by side, each padded to whole panels.
pub(super) fn pack(
    image: &mut ImageBuilder,
    name: &str,
    inputs: usize,
    layers: &[&DenseWeights],
    precision: Precision,
) {
    let rows: Vec<Option<&[f32]>> = layers.iter().flat_map(|layer| padded_rows(layer, inputs)).collect();
    let padding = |layer: &DenseWeights| padded(layer.bias.len()) - layer.bias.len();
    let padded_bias =
        |layer: &&DenseWeights| [layer.bias.as_slice(), &vec![0.0; padding(layer)]].concat();
    let bias: Vec<f32> = layers.iter().flat_map(padded_bias).collect();
    image.add(format!("{name}.bias"), &bias);
    match precision {
        Precision::F32 => image.add(format!("{name}.f32"), &panels_f32(&rows, inputs)),
        Precision::Int8 => {
            let quantised: Vec<QuantisedRow> = rows.iter().map(|row| quantised(row.unwrap_or_default())).collect();
            let sums: Vec<i32> = quantised.iter().map(|row| row.values.iter().map(|&value| i32::from(value)).sum()).collect();
            let scales: Vec<f32> = quantised.iter().map(|row| row.scale).collect();
            image.add(format!("{name}.i8"), &panels_i8(&quantised, inputs));
            image.add(format!("{name}.sums"), &sums);
            image.add(format!("{name}.scales"), &scales);
        }
    }
}

/// The weights of each output, `None` for those that pad.
fn padded_rows<'a>(layer: &'a DenseWeights, inputs: usize) -> impl Iterator<Item = Option<&'a [f32]>> {
    let padding = padded(layer.bias.len()) - layer.bias.len();
    layer.weight.chunks_exact(inputs).map(Some).chain(std::iter::repeat_n(None, padding))
}

fn panels_f32(rows: &[Option<&[f32]>], inputs: usize) -> Vec<f32> {
    let mut panels = vec![0.0; rows.len() * inputs];
    for (output, row) in rows.iter().enumerate() {
        let panel = &mut panels[output / PANEL * PANEL * inputs..][..PANEL * inputs];
        for (input, &weight) in row.iter().copied().flatten().enumerate() {
            panel[input * PANEL + output % PANEL] = weight;
        }
    }
    panels
}

struct QuantisedRow {
    scale: f32,
    values: Vec<i8>,
}

fn quantised(row: &[f32]) -> QuantisedRow {
    let greatest = row.iter().fold(0.0_f32, |greatest, weight| greatest.max(weight.abs()));
    let scale = greatest / 127.0;
    let per_step = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    QuantisedRow { scale, values: row.iter().map(|&weight| (weight * per_step).round_ties_even() as i8).collect() }
}

fn panels_i8(rows: &[QuantisedRow], inputs: usize) -> Vec<i8> {
    let size = PANEL * inputs.next_multiple_of(4);
    let mut panels = vec![0; rows.len() / PANEL * size];
    for (output, row) in rows.iter().enumerate() {
        let panel = &mut panels[output / PANEL * size..][..size];
        for (input, &weight) in row.values.iter().enumerate() {
            panel[(input / 4 * PANEL + output % PANEL) * 4 + input % 4] = weight;
        }
    }
    panels
}

impl Linear {
    /// The layer that [`pack`] added under this name, with `columns` outputs after padding.
    pub(super) fn open(image: &Arc<Image>, name: &str, inputs: usize, columns: usize) -> Option<Self> {
        let bias = image.numbers(&format!("{name}.bias"), columns)?;
        let weights = match image.numbers(&format!("{name}.f32"), columns * inputs) {
            Some(panels) => Weights::F32 { panels },
            None => Weights::Int8 {
                panels: image.numbers(&format!("{name}.i8"), columns * inputs.next_multiple_of(4))?,
                column_sums: image.numbers(&format!("{name}.sums"), columns)?,
                column_scales: image.numbers(&format!("{name}.scales"), columns)?,
            },
        };
        Some(Self { inputs, bias, weights })
    }

    /// Computes some `columns`, whole panels, of all rows into `output`, after the activation, if there is one. The input may
    /// be changed.
    pub(super) fn forward(
        &self,
        kernels: &Kernels,
        input: Rows<'_>,
        activation: Option<Activation>,
        columns: Range<usize>,
        bytes: &mut Bytes,
        (output, stride): (&mut [f32], usize),
    ) {
        let bias = &self.bias[columns.clone()];
        match &self.weights {
            Weights::F32 { panels } => {
                if let Some(activation) = activation {
                    let rows = input.numbers.chunks_mut(input.stride).take(input.count);
                    rows.for_each(|row| kernels.activate(&mut row[..self.inputs], activation));
                }
                let layer = DenseF32 {
                    input: input.numbers,
                    input_stride: input.stride,
                    inputs: self.inputs,
                    panels: &panels[columns.start * self.inputs..columns.end * self.inputs],
                    bias,
                    rows: input.count,
                };
                kernels.dense_f32(&layer, output, stride);
            }
            Weights::Int8 { panels, column_sums, column_scales } => {
                let inputs = self.inputs.next_multiple_of(4);
                let rows = input.count;
                bytes.quantise(kernels, input, self.inputs, activation);
                let layer = DenseI8 {
                    input: &bytes.bytes,
                    input_stride: bytes_stride(self.inputs),
                    groups: inputs / 4,
                    scales: &bytes.scales,
                    zeros: &bytes.zeros,
                    panels: &panels[columns.start * inputs..columns.end * inputs],
                    column_sums: &column_sums[columns.clone()],
                    column_scales: &column_scales[columns],
                    bias,
                    rows,
                };
                kernels.dense_i8(&layer, output, stride);
            }
        }
    }
}

/// From the bytes of one row to those of the next.
fn bytes_stride(inputs: usize) -> usize {
    inputs.next_multiple_of(64)
}

impl Bytes {
    fn quantise(&mut self, kernels: &Kernels, input: Rows<'_>, width: usize, activation: Option<Activation>) {
        let stride = bytes_stride(width);
        if self.bytes.len() < input.count * stride {
            self.bytes.resize(input.count * stride, 0);
        }
        self.scales.clear();
        self.zeros.clear();
        let rows = input.numbers.chunks_mut(input.stride).take(input.count);
        for (row, bytes) in rows.zip(self.bytes.chunks_exact_mut(stride)) {
            let steps = kernels.quantise(&mut row[..width], bytes, activation);
            self.scales.push(steps.scale);
            self.zeros.push(steps.zero);
        }
    }
}
