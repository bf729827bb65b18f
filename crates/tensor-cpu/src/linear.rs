//! A dense layer in either precision: its weights in panels, and what it does to a block of rows.
//!
//! It must not know where in a model it stands. Invariant: both precisions take and give `f32`, so that a layer
//! doesn't know its neighbours' precision.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::dense::{DenseF32, DenseI8};
use super::functions::Activation;
use super::kernels::Kernels;
use super::prepacked::{PrepackedBuilder, PrepackedSlice, PrepackedWeights};
use super::quantised::QuantisedRow;
use super::simd::{ByteLimits, PANEL};

/// What a dense layer computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    F32,
    /// Weights in bytes with a scale for each output, activations in bytes with a scale for each token.
    Int8,
}

/// What the inputs of a dense layer have been like, feature by feature.
#[derive(Debug, Clone, Default)]
pub struct Ranges {
    least: Vec<f32>,
    greatest: Vec<f32>,
    sums: Vec<f64>,
    count: usize,
}

/// What is done to inputs before they become bytes, so that features whose values are far from zero or far apart don't
/// take the steps of all others: `(x - shift) factor`, feature by feature. The layer's weights undo it.
///
/// The shift is Outlier Suppression+'s (Wei et al. 2023), the factor SmoothQuant's (Xiao et al. 2022) with an exponent of 1/2.
#[derive(Debug)]
struct Smoothing {
    shift: Vec<f32>,
    factor: Vec<f32>,
}

impl Ranges {
    /// Takes note of a row.
    /// `row`: `[inputs]`.
    pub(super) fn observe(&mut self, row: &[f32]) {
        self.least.resize(row.len(), f32::INFINITY);
        self.greatest.resize(row.len(), f32::NEG_INFINITY);
        self.sums.resize(row.len(), 0.0);
        self.count += 1;
        for (index, &number) in row.iter().enumerate() {
            self.least[index] = self.least[index].min(number);
            self.greatest[index] = self.greatest[index].max(number);
            self.sums[index] += f64::from(number);
        }
    }

    /// Leaves inputs of `width` features as they are.
    pub(super) fn unknown(width: usize) -> Self {
        Self { least: vec![0.0; width], greatest: vec![0.0; width], sums: vec![0.0; width], count: 0 }
    }

    /// The smoothing for weights, whose greatest magnitudes for each input are given.
    fn smoothing(&self, magnitudes: &[f32]) -> Smoothing {
        /// Neither a feature that never moves nor one without weights shall be blown up.
        const LEAST: f32 = 1e-5;
        if self.count == 0 {
            return Smoothing { shift: vec![0.0; self.sums.len()], factor: vec![1.0; self.sums.len()] };
        }
        let shift: Vec<f32> = self.sums.iter().map(|&sum| (sum / self.count as f64) as f32).collect();
        let ranges = self.least.iter().zip(&self.greatest).zip(&shift).zip(magnitudes);
        let factor = |(((&least, &greatest), &shift), &magnitude): (((&f32, &f32), &f32), &f32)| {
            let reach = (greatest - shift).max(shift - least);
            (magnitude.max(LEAST) / reach.max(LEAST)).sqrt().min(1.0 / LEAST)
        };
        Smoothing { factor: ranges.map(factor).collect(), shift }
    }
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
    bias: PrepackedSlice<f32>,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    F32 {
        panels: PrepackedSlice<f32>,
    },
    Int8 {
        /// Inputs that share a scale.
        group: usize,
        panels: PrepackedSlice<i8>,
        column_sums: PrepackedSlice<i32>,
        column_scales: PrepackedSlice<f32>,
        /// Shift and factor of the inputs, as [`Smoothing`] has them; `None` if they change nothing.
        smoothing: Option<(PrepackedSlice<f32>, PrepackedSlice<f32>)>,
    },
}

/// Space for the bytes of a block of rows.
#[derive(Default)]
pub(super) struct QuantisedRows {
    bytes: Vec<u8>,
    scales: Vec<f32>,
    zeros: Vec<i32>,
}

/// Rows that go into a dense layer, `stride` apart.
pub(super) struct DenseInput<'a> {
    pub(super) numbers: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) count: usize,
}

/// Outputs of a layer after padding.
pub(super) fn padded(outputs: usize) -> usize {
    outputs.next_multiple_of(PANEL)
}

/// Adds layers of the same input to prepacked weights, side by side, each padded to whole panels: in `int8` if the ranges of their
/// inputs are known, and with them the limits of dot products of bytes, else in `f32`.
pub(super) fn pack(
    prepacked: &mut PrepackedBuilder,
    name: &str,
    inputs: usize,
    layers: &[&DenseWeights],
    ranges: Option<(&Ranges, ByteLimits)>,
) {
    let rows: Vec<Option<&[f32]>> = layers.iter().flat_map(|layer| padded_rows(layer, inputs)).collect();
    let padding = |layer: &DenseWeights| padded(layer.bias.len()) - layer.bias.len();
    let padded_bias = |layer: &&DenseWeights| [layer.bias.as_slice(), &vec![0.0; padding(layer)]].concat();
    let mut bias: Vec<f32> = layers.iter().flat_map(padded_bias).collect();
    match ranges {
        None => prepacked.add(format!("{name}.f32"), &panels_f32(&rows, inputs)),
        Some((ranges, limits)) => {
            let smoothing = ranges.smoothing(&magnitudes(&rows, inputs));
            let quantised: Vec<QuantisedRow> =
                rows.iter().map(|row| smoothing.quantised(row.unwrap_or_default(), limits)).collect();
            let groups = inputs.div_ceil(limits.group);
            let sums: Vec<i32> =
                (0..groups).flat_map(|group| quantised.iter().map(move |row| row.sum(group))).collect();
            let scales: Vec<f32> =
                (0..groups).flat_map(|group| quantised.iter().map(move |row| row.scale(group))).collect();
            bias.iter_mut()
                .zip(&rows)
                .for_each(|(bias, row)| *bias += smoothing.shifted(row.unwrap_or_default()));
            prepacked.add(format!("{name}.i8"), &panels_i8(&quantised, inputs));
            prepacked.add(format!("{name}.group"), &[limits.group as i32]);
            prepacked.add(format!("{name}.sums"), &sums);
            prepacked.add(format!("{name}.scales"), &scales);
            prepacked.add(format!("{name}.shift"), &smoothing.shift);
            prepacked.add(format!("{name}.factor"), &smoothing.factor);
        }
    }
    prepacked.add(format!("{name}.bias"), &bias);
}

/// The greatest magnitude of all weights of each input.
fn magnitudes(rows: &[Option<&[f32]>], inputs: usize) -> Vec<f32> {
    let mut magnitudes = vec![0.0_f32; inputs];
    for row in rows.iter().flatten() {
        magnitudes.iter_mut().zip(*row).for_each(|(most, weight)| *most = most.max(weight.abs()));
    }
    magnitudes
}

impl Smoothing {
    /// The weights of an output, the inputs' factors undone.
    fn quantised(&self, row: &[f32], limits: ByteLimits) -> QuantisedRow {
        let row: Vec<f32> = row.iter().zip(&self.factor).map(|(weight, factor)| weight / factor).collect();
        QuantisedRow::new(&row, limits)
    }

    /// What the inputs' shift takes from an output.
    fn shifted(&self, row: &[f32]) -> f32 {
        row.iter().zip(&self.shift).map(|(&weight, &shift)| f64::from(weight) * f64::from(shift)).sum::<f64>()
            as f32
    }
}

/// The weights of each output, `None` for those that pad.
fn padded_rows(layer: &DenseWeights, inputs: usize) -> impl Iterator<Item = Option<&[f32]>> {
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
    pub(super) fn open(
        prepacked: &Arc<PrepackedWeights>,
        name: &str,
        inputs: usize,
        columns: usize,
    ) -> Option<Self> {
        let bias = prepacked.numbers(&format!("{name}.bias"), columns)?;
        let weights = match prepacked.numbers(&format!("{name}.f32"), columns * inputs) {
            Some(panels) => Weights::F32 { panels },
            None => {
                let group = prepacked.numbers::<i32>(&format!("{name}.group"), 1)?.first().copied()?;
                let group =
                    usize::try_from(group).ok().filter(|&group| group > 0 && group.is_multiple_of(4))?;
                let described = columns * inputs.div_ceil(group);
                Weights::Int8 {
                    group,
                    panels: prepacked.numbers(&format!("{name}.i8"), columns * inputs.next_multiple_of(4))?,
                    column_sums: prepacked.numbers(&format!("{name}.sums"), described)?,
                    column_scales: prepacked.numbers(&format!("{name}.scales"), described)?,
                    smoothing: smoothing(prepacked, name, inputs)?,
                }
            }
        };
        Some(Self { inputs, bias, weights })
    }

    /// Computes some `columns`, whole panels, of all rows into `output`, after the activation, if there is one. The input may
    /// be changed.
    /// `output`: `[rows, stride]`, of each row as many numbers as `columns`.
    pub(super) fn forward(
        &self,
        kernels: &Kernels,
        input: DenseInput<'_>,
        activation: Option<Activation>,
        columns: Range<usize>,
        bytes: &mut QuantisedRows,
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
            Weights::Int8 { group, panels, column_sums, column_scales, smoothing } => {
                let inputs = self.inputs.next_multiple_of(4);
                let rows = input.count;
                let smoothing = smoothing.as_ref().map(|(shift, factor)| (&shift[..], &factor[..]));
                bytes.quantise(kernels, input, (self.inputs, *group), activation, smoothing);
                let layer = DenseI8 {
                    input: &bytes.bytes,
                    input_stride: bytes_stride(self.inputs),
                    fours: inputs / 4,
                    group: group / 4,
                    scales: &bytes.scales,
                    zeros: &bytes.zeros,
                    panels: &panels[columns.start * inputs..columns.end * inputs],
                    column_sums: &column_sums[columns.start..],
                    column_scales: &column_scales[columns.start..],
                    columns_stride: self.bias.len(),
                    bias,
                    rows,
                };
                kernels.dense_i8(&layer, output, stride);
            }
        }
    }
}

/// Shift and factor of a layer's inputs, `Some(None)` if they change nothing; `None` if the image lacks them.
#[allow(clippy::option_option, reason = "missing and unnecessary are different things")]
fn smoothing(
    prepacked: &Arc<PrepackedWeights>,
    name: &str,
    inputs: usize,
) -> Option<Option<(PrepackedSlice<f32>, PrepackedSlice<f32>)>> {
    let shift = prepacked.numbers(&format!("{name}.shift"), inputs)?;
    let factor = prepacked.numbers(&format!("{name}.factor"), inputs)?;
    let changes = shift.iter().any(|&shift| shift != 0.0) || factor.iter().any(|&factor| factor != 1.0);
    Some(changes.then_some((shift, factor)))
}

/// From the bytes of one row to those of the next.
fn bytes_stride(inputs: usize) -> usize {
    inputs.next_multiple_of(64)
}

impl QuantisedRows {
    fn quantise(
        &mut self,
        kernels: &Kernels,
        input: DenseInput<'_>,
        (width, group): (usize, usize),
        activation: Option<Activation>,
        smoothing: Option<(&[f32], &[f32])>,
    ) {
        let stride = bytes_stride(width);
        if self.bytes.len() < input.count * stride {
            self.bytes.resize(input.count * stride, 0);
        }
        self.scales.clear();
        self.zeros.clear();
        let rows = input.numbers.chunks_mut(input.stride).take(input.count);
        for (row, bytes) in rows.zip(self.bytes.chunks_exact_mut(stride)) {
            let groups = row[..width].chunks_mut(group).zip(bytes.chunks_mut(group));
            for (index, (row, bytes)) in groups.enumerate() {
                let own = index * group..index * group + row.len();
                let smoothing = smoothing.map(|(shift, factor)| (&shift[own.clone()], &factor[own.clone()]));
                let steps = kernels.quantise(row, bytes, activation, smoothing);
                self.scales.push(steps.scale);
                self.zeros.push(steps.zero);
            }
        }
    }
}
