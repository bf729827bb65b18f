//! A transformer layer: attention and feed-forward, each added to its input and normalised.
//!
//! It must not know how rows are divided among threads. Invariant: a row is read and written by one thread only, but
//! for keys and values, which all read between two barriers.

use std::ops::Range;
use std::sync::Arc;

use super::attention::{AttentionHead, scratch_size};
use super::kernels::Kernels;
use super::linear::{DenseInput, DenseWeights, Linear, QuantisedRows, Ranges, pack, padded};
use super::prepacked::{PrepackedBuilder, PrepackedSlice, PrepackedWeights};
use super::shape::Shape;
use super::shared::SharedRows;
use super::simd::ByteLimits;

/// Rows that go through the feed-forward part together: what lies between its two dense layers, 4 bytes of each of their
/// features, shall stay in the second-level cache.
const BLOCK_ROWS: usize = 56;

/// Weight and bias of a layer norm.
#[derive(Debug, Clone)]
pub struct LayerNormWeights {
    /// One for each feature.
    pub weight: Vec<f32>,
    /// One for each feature.
    pub bias: Vec<f32>,
}

/// The weights of a layer as models have them.
#[derive(Debug)]
pub struct LayerWeights {
    /// Not scaled yet.
    pub query: DenseWeights,
    /// Of shape `[hidden, hidden]`, as `query` and `value`.
    pub key: DenseWeights,
    /// See `key`.
    pub value: DenseWeights,
    /// After attention, of shape `[hidden, hidden]`.
    pub output: DenseWeights,
    /// After adding that to the layer's input.
    pub attention_norm: LayerNormWeights,
    /// Of shape `[inner, hidden]`.
    pub up: DenseWeights,
    /// Of shape `[hidden, inner]`.
    pub down: DenseWeights,
    /// After adding that to the input of `up`.
    pub output_norm: LayerNormWeights,
}

/// A layer norm.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: PrepackedSlice<f32>,
    bias: PrepackedSlice<f32>,
}

/// A layer, ready to compute.
#[derive(Debug)]
pub(super) struct Layer {
    /// Queries, keys and values side by side, each padded to whole panels.
    projections: Linear,
    output: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    output_norm: LayerNorm,
}

/// Memory of a thread for a block of rows.
#[derive(Default)]
pub(super) struct Scratch {
    bytes: QuantisedRows,
    /// Results of the dense layers that are added to their input.
    narrow: Vec<f32>,
    /// Between the dense layers of the feed-forward part.
    wide: Vec<f32>,
    attention: Vec<f32>,
    /// States, queries and contexts of first tokens.
    first: [Vec<f32>; 3],
}

impl LayerNorm {
    /// Adds a layer norm to prepacked weights.
    pub(super) fn pack(prepacked: &mut PrepackedBuilder, name: &str, norm: &LayerNormWeights) {
        prepacked.add(format!("{name}.weight"), &norm.weight);
        prepacked.add(format!("{name}.bias"), &norm.bias);
    }

    pub(super) fn open(prepacked: &Arc<PrepackedWeights>, name: &str, width: usize) -> Option<Self> {
        let numbers = |part: &str| prepacked.numbers(&format!("{name}.{part}"), width);
        Some(Self { weight: numbers("weight")?, bias: numbers("bias")? })
    }

    /// `x = norm(x + y)`.
    /// `x` and `y`: `[width]`.
    pub(super) fn add(&self, kernels: &Kernels, x: &mut [f32], y: &[f32], eps: f32) {
        kernels.add_norm(x, y, (&self.weight, &self.bias), eps);
    }
}

/// What the inputs of a layer's dense layers have been like, and which weights in bytes the kernels take.
#[derive(Debug)]
pub struct LayerRanges {
    limits: ByteLimits,
    pub(super) projections: Ranges,
    pub(super) output: Ranges,
    pub(super) up: Ranges,
}

impl LayerRanges {
    /// Nothing observed yet.
    pub(super) fn new(kernels: &Kernels) -> Self {
        let [projections, output, up] = Default::default();
        Self { limits: kernels.byte_limits(), projections, output, up }
    }
}

/// Adds a layer to prepacked weights: in `int8` if its inputs are known, else in `f32`.
pub fn pack_layer(
    prepacked: &mut PrepackedBuilder,
    index: usize,
    shape: &Shape,
    weights: &LayerWeights,
    ranges: Option<&LayerRanges>,
) {
    let name = |part: &str| format!("layer.{index}.{part}");
    let (hidden, inner) = (shape.hidden, shape.inner);
    let query = scaled(weights.query.clone(), (hidden / shape.heads) as f32);
    pack(
        prepacked,
        &name("projections"),
        hidden,
        &[&query, &weights.key, &weights.value],
        ranges.map(|ranges| (&ranges.projections, ranges.limits)),
    );
    pack(
        prepacked,
        &name("output"),
        hidden,
        &[&weights.output],
        ranges.map(|ranges| (&ranges.output, ranges.limits)),
    );
    LayerNorm::pack(prepacked, &name("attention_norm"), &weights.attention_norm);
    pack(prepacked, &name("up"), hidden, &[&weights.up], ranges.map(|ranges| (&ranges.up, ranges.limits)));
    // After the activation a feature is near zero for most tokens and far away for a few, other ones in other texts: what
    // some texts show of it makes things worse for others.
    let unknown = Ranges::unknown(inner);
    pack(prepacked, &name("down"), inner, &[&weights.down], ranges.map(|ranges| (&unknown, ranges.limits)));
    LayerNorm::pack(prepacked, &name("output_norm"), &weights.output_norm);
}

/// The queries' layer with the scores' division by the root of a head's width in it.
fn scaled(mut layer: DenseWeights, width: f32) -> DenseWeights {
    let factor = 1.0 / width.sqrt();
    layer.weight.iter_mut().chain(&mut layer.bias).for_each(|number| *number *= factor);
    layer
}

impl Layer {
    pub(super) fn open(prepacked: &Arc<PrepackedWeights>, index: usize, shape: &Shape) -> Option<Self> {
        let name = |part: &str| format!("layer.{index}.{part}");
        let (hidden, inner) = (shape.hidden, shape.inner);
        Some(Self {
            projections: Linear::open(prepacked, &name("projections"), hidden, 3 * padded(hidden))?,
            output: Linear::open(prepacked, &name("output"), hidden, padded(hidden))?,
            attention_norm: LayerNorm::open(prepacked, &name("attention_norm"), hidden)?,
            up: Linear::open(prepacked, &name("up"), hidden, padded(inner))?,
            down: Linear::open(prepacked, &name("down"), inner, padded(hidden))?,
            output_norm: LayerNorm::open(prepacked, &name("output_norm"), hidden)?,
        })
    }
}

/// The operations of a layer in a pass.
pub(super) struct LayerOps<'a> {
    pub(super) kernels: &'a Kernels,
    pub(super) shape: &'a Shape,
    pub(super) layer: &'a Layer,
    /// Input and output of the layer.
    pub(super) hidden: &'a SharedRows<'a>,
    pub(super) context: &'a SharedRows<'a>,
    /// Of each row queries, keys and values.
    pub(super) projections: &'a SharedRows<'a>,
}

impl LayerOps<'_> {
    /// Queries, keys and values of some rows.
    pub(super) fn project(&self, own: Range<usize>, scratch: &mut Scratch) {
        self.project_columns(own, 0, scratch);
    }

    /// Keys and values of some rows.
    pub(super) fn project_keys(&self, own: Range<usize>, scratch: &mut Scratch) {
        self.project_columns(own, self.shape.stride(), scratch);
    }

    fn project_columns(&self, own: Range<usize>, first_column: usize, scratch: &mut Scratch) {
        let stride = self.projections.stride();
        for block in blocks(own) {
            // SAFETY: a thread touches its own rows only, until all have met at the barrier.
            let (hidden, output) =
                unsafe { (self.hidden.write(block.clone()), self.projections.write(block.clone())) };
            let input = DenseInput { numbers: hidden, stride: self.hidden.stride(), count: block.len() };
            let columns = first_column..stride;
            let output = (&mut output[first_column..], stride);
            self.layer.projections.forward(self.kernels, input, None, columns, &mut scratch.bytes, output);
        }
    }

    /// Contexts of some rows, whose sequences may reach beyond them.
    pub(super) fn attend(&self, own: Range<usize>, spans: &[Range<usize>], scratch: &mut Scratch) {
        for span in spans {
            let rows = span.start.max(own.start)..span.end.min(own.end);
            if rows.is_empty() {
                continue;
            }
            // SAFETY: between this barrier and the next nobody writes projections; contexts are the thread's own rows.
            let (queries, contexts) =
                unsafe { (self.projections.read(rows.clone()), self.context.write(rows.clone())) };
            let queries = (queries, self.projections.stride());
            self.attend_span(span, queries, rows.len(), contexts, &mut scratch.attention);
        }
    }

    /// Contexts of some queries of one sequence.
    fn attend_span(
        &self,
        span: &Range<usize>,
        (queries, query_stride): (&[f32], usize),
        count: usize,
        contexts: &mut [f32],
        space: &mut Vec<f32>,
    ) {
        let (stride, width) = (self.shape.stride(), self.shape.hidden / self.shape.heads);
        grow(space, scratch_size(span.len(), width));
        // SAFETY: between this barrier and the next nobody writes projections.
        let tokens = unsafe { self.projections.read(span.clone()) };
        for column in (0..self.shape.hidden).step_by(width) {
            let head = AttentionHead {
                queries: &queries[column..],
                query_stride,
                count,
                keys: &tokens[stride + column..],
                values: &tokens[2 * stride + column..],
                stride: self.projections.stride(),
                length: span.len(),
                width,
            };
            self.kernels.attend(&head, (&mut contexts[column..], stride), space);
        }
    }

    /// From contexts to the layer's output, for some rows.
    pub(super) fn feed_forward(&self, own: Range<usize>, scratch: &mut Scratch) {
        for block in blocks(own) {
            // SAFETY: contexts and hidden states are the thread's own rows.
            let (contexts, hidden) =
                unsafe { (self.context.write(block.clone()), self.hidden.write(block.clone())) };
            let Scratch { bytes, narrow, wide, .. } = scratch;
            self.finish(contexts, hidden, block.len(), (bytes, narrow, wide));
        }
    }

    /// From contexts to the layer's output.
    fn finish(
        &self,
        contexts: &mut [f32],
        hidden: &mut [f32],
        count: usize,
        (bytes, narrow, wide): (&mut QuantisedRows, &mut Vec<f32>, &mut Vec<f32>),
    ) {
        self.add_attention(contexts, hidden, count, (bytes, narrow));
        self.widen(hidden, count, (bytes, wide));
        self.add_narrowed(wide, hidden, count, (bytes, narrow));
    }

    /// Contexts through their dense layer, added to the layer's input.
    fn add_attention(
        &self,
        contexts: &mut [f32],
        hidden: &mut [f32],
        count: usize,
        (bytes, narrow): (&mut QuantisedRows, &mut Vec<f32>),
    ) {
        let stride = self.shape.stride();
        grow(narrow, count * stride);
        let input = DenseInput { numbers: contexts, stride, count };
        self.layer.output.forward(self.kernels, input, None, 0..stride, bytes, (narrow, stride));
        self.add(&self.layer.attention_norm, hidden, narrow, count);
    }

    /// The first dense layer of the feed-forward part.
    fn widen(&self, hidden: &mut [f32], count: usize, (bytes, wide): (&mut QuantisedRows, &mut Vec<f32>)) {
        let (stride, wide_stride) = (self.shape.stride(), padded(self.shape.inner));
        grow(wide, count * wide_stride);
        let input = DenseInput { numbers: hidden, stride, count };
        self.layer.up.forward(self.kernels, input, None, 0..wide_stride, bytes, (wide, wide_stride));
    }

    /// Activation and second dense layer, added to the input of the first.
    fn add_narrowed(
        &self,
        wide: &mut [f32],
        hidden: &mut [f32],
        count: usize,
        (bytes, narrow): (&mut QuantisedRows, &mut Vec<f32>),
    ) {
        let (stride, wide_stride) = (self.shape.stride(), padded(self.shape.inner));
        grow(narrow, count * stride);
        let input = DenseInput { numbers: wide, stride: wide_stride, count };
        let activation = Some(self.shape.activation);
        self.layer.down.forward(self.kernels, input, activation, 0..stride, bytes, (narrow, stride));
        self.add(&self.layer.output_norm, hidden, narrow, count);
    }

    /// As [`feed_forward`](Self::feed_forward) after [`attend`](Self::attend), for all of `count` rows at once, with notes of
    /// what goes into the dense layers.
    pub(super) fn observe(&self, spans: &[Range<usize>], scratch: &mut Scratch, ranges: &mut LayerRanges) {
        let (stride, count) = (self.shape.stride(), spans.last().map_or(0, |span| span.end));
        let note = |ranges: &mut Ranges, rows: &[f32]| {
            rows.chunks_exact(stride).take(count).for_each(|row| ranges.observe(&row[..self.shape.hidden]));
        };
        // SAFETY: one thread alone works on the rows; the slice is gone before they are written again.
        note(&mut ranges.projections, unsafe { self.hidden.read(0..count) });
        self.project(0..count, scratch);
        self.attend(0..count, spans, scratch);
        // SAFETY: one thread alone works on the rows.
        let (contexts, hidden) = unsafe { (self.context.write(0..count), self.hidden.write(0..count)) };
        let Scratch { bytes, narrow, wide, .. } = scratch;
        note(&mut ranges.output, contexts);
        self.add_attention(contexts, hidden, count, (bytes, narrow));
        note(&mut ranges.up, hidden);
        self.widen(hidden, count, (bytes, wide));
        self.add_narrowed(wide, hidden, count, (bytes, narrow));
    }

    fn add(&self, norm: &LayerNorm, hidden: &mut [f32], results: &[f32], count: usize) {
        let (stride, width) = (self.shape.stride(), self.shape.hidden);
        let rows = hidden.chunks_exact_mut(stride).zip(results.chunks_exact(stride)).take(count);
        rows.for_each(|(x, y)| norm.add(self.kernels, &mut x[..width], &y[..width], self.shape.eps));
    }

    /// The layer's output for the first tokens of some sequences alone, whose keys and values are there already.
    pub(super) fn finish_first(
        &self,
        spans: &[Range<usize>],
        output: &SharedRows<'_>,
        first_output: usize,
        scratch: &mut Scratch,
    ) {
        let stride = self.shape.stride();
        let Scratch { bytes, narrow, wide, attention, first: [states, queries, contexts] } = scratch;
        let mut place = first_output;
        for spans in spans.chunks(BLOCK_ROWS) {
            let count = spans.len();
            [&mut *states, queries, contexts].into_iter().for_each(|rows| grow(rows, count * stride));
            for (span, state) in spans.iter().zip(states.chunks_exact_mut(stride)) {
                // SAFETY: hidden states aren't written any more after the last barrier.
                state.copy_from_slice(unsafe { self.hidden.read(span.start..span.start + 1) });
            }
            let input = DenseInput { numbers: states, stride, count };
            self.layer.projections.forward(self.kernels, input, None, 0..stride, bytes, (queries, stride));
            let rows = queries.chunks_exact(stride).zip(contexts.chunks_exact_mut(stride));
            for (span, (query, context)) in spans.iter().zip(rows) {
                self.attend_span(span, (query, stride), 1, context, attention);
            }
            self.finish(contexts, states, count, (bytes, narrow, wide));
            // SAFETY: a sequence's output is written by one thread.
            let rows = unsafe { output.write(place..place + count) };
            for (row, state) in rows.chunks_exact_mut(output.stride()).zip(states.chunks_exact(stride)) {
                row.copy_from_slice(&state[..self.shape.hidden]);
            }
            place += count;
        }
    }
}

/// Rows in blocks of nearly the same size, all but the last of an even number of them, as the tiles of kernels are.
fn blocks(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let count = rows.len().div_ceil(BLOCK_ROWS);
    let bound = move |index: usize| {
        let even = (rows.len() * index / count.max(1)) & !1;
        rows.start + if index == count { rows.len() } else { even }
    };
    (0..count).map(move |index| bound(index)..bound(index + 1))
}

/// Makes room; what was there is lost.
fn grow(space: &mut Vec<f32>, size: usize) {
    if space.len() < size {
        *space = vec![0.0; size];
    }
}
