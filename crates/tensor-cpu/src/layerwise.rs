//! Hidden states taken through a model one layer at a time, when not all layers are in memory.
//!
//! It must not know why. Invariant: the states are those of [`PackedEncoder`](super::PackedEncoder).

use std::ops::Range;
use std::sync::Arc;

use super::embeddings::Embeddings;
use super::encoder::Sequence;
use super::kernels::Kernels;
use super::layer::{Layer, LayerOps, LayerRanges, Scratch};
use super::prepacked::PrepackedWeights;
use super::shape::{EncoderSizes, Shape};
use super::shared::SharedRows;

/// Sequences that are in the middle of a layer at the same time.
const SEQUENCES: usize = 16;

/// The hidden states of some sequences.
#[derive(Debug, Clone, Default)]
pub struct LayerwiseStates {
    hidden: Vec<f32>,
    /// Rows of each sequence.
    spans: Vec<Range<usize>>,
}

impl LayerwiseStates {
    /// The first hidden states; `None` if prepacked weights lack the embeddings.
    pub fn embed(
        prepacked: &Arc<PrepackedWeights>,
        sizes: &EncoderSizes,
        kernels: &Kernels,
        sequences: &[Sequence<'_>],
    ) -> Option<Self> {
        let (embeddings, shape) = (Embeddings::open(prepacked, sizes)?, sizes.shape);
        let mut states = Self::default();
        for sequence in sequences {
            let start = states.hidden.len() / shape.stride();
            states.spans.push(start..start + sequence.ids.len());
            for (&id, &position) in sequence.ids.iter().zip(&sequence.positions) {
                let mut state = vec![0.0; shape.stride()];
                embeddings.state(kernels, id, position, shape.eps, &mut state[..shape.hidden]);
                states.hidden.extend(state);
            }
        }
        Some(states)
    }

    /// Takes the states through a layer of prepacked weights; nothing happens if they lack it.
    pub fn through_layer(
        &mut self,
        prepacked: &Arc<PrepackedWeights>,
        index: usize,
        shape: &Shape,
        kernels: &Kernels,
    ) {
        self.with_layer(prepacked, index, shape, kernels, |ops, spans, scratch| {
            let all = 0..spans.last().map_or(0, |span| span.end);
            ops.project(all.clone(), scratch);
            ops.attend(all.clone(), spans, scratch);
            ops.feed_forward(all, scratch);
        });
    }

    /// As [`through_layer`](Self::through_layer) for a layer in `f32`; tells what went into its dense layers.
    pub fn observe_layer(
        &mut self,
        prepacked: &Arc<PrepackedWeights>,
        index: usize,
        shape: &Shape,
        kernels: &Kernels,
    ) -> LayerRanges {
        let mut ranges = LayerRanges::new(kernels);
        self.with_layer(prepacked, index, shape, kernels, |ops, spans, scratch| {
            ops.observe(spans, scratch, &mut ranges);
        });
        ranges
    }

    /// Runs a layer on some sequences after the other, so that the memory for what lies between is small.
    fn with_layer(
        &mut self,
        prepacked: &Arc<PrepackedWeights>,
        index: usize,
        shape: &Shape,
        kernels: &Kernels,
        mut run: impl FnMut(&LayerOps<'_>, &[Range<usize>], &mut Scratch),
    ) {
        let Some(layer) = Layer::open(prepacked, index, shape) else { return };
        let (stride, mut scratch) = (shape.stride(), Scratch::default());
        let (mut context, mut projections) = (Vec::new(), Vec::new());
        for spans in self.spans.chunks(SEQUENCES) {
            let (start, end) = (spans[0].start, spans[spans.len() - 1].end);
            context.resize((end - start) * stride, 0.0);
            projections.resize((end - start) * 3 * stride, 0.0);
            let ops = LayerOps {
                kernels,
                shape,
                layer: &layer,
                hidden: &SharedRows::new(&mut self.hidden[start * stride..end * stride], stride),
                context: &SharedRows::new(&mut context, stride),
                projections: &SharedRows::new(&mut projections, 3 * stride),
            };
            let spans: Vec<_> = spans.iter().map(|span| span.start - start..span.end - start).collect();
            run(&ops, &spans, &mut scratch);
        }
    }

    /// The states of the first tokens, without gaps.
    /// Shape `[sequences, hidden]`.
    pub fn first(&self, shape: &Shape) -> Vec<f32> {
        let state = |span: &Range<usize>| &self.hidden[span.start * shape.stride()..][..shape.hidden];
        self.spans.iter().flat_map(state).copied().collect()
    }

    /// The mean state of each sequence.
    /// `[hidden]` each.
    pub fn means(&self, shape: &Shape) -> Vec<Vec<f32>> {
        let mean = |span: &Range<usize>| {
            let states = self.hidden[span.start * shape.stride()..span.end * shape.stride()]
                .chunks_exact(shape.stride());
            let mut sums = vec![0.0; shape.hidden];
            states.for_each(|state| sums.iter_mut().zip(state).for_each(|(sum, number)| *sum += number));
            sums.iter_mut().for_each(|sum| *sum /= span.len() as f32);
            sums
        };
        self.spans.iter().map(mean).collect()
    }
}
