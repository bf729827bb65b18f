//! Hidden states taken through a model one layer at a time, when not all layers are in memory.
//!
//! It must not know why. Invariant: the states are those of [`Encoder`](super::Encoder).

use std::ops::Range;
use std::sync::Arc;

use super::embeddings::Embeddings;
use super::encoder::{Sequence, Shape};
use super::image::Image;
use super::kernels::Kernels;
use super::layer::{Layer, Scratch, Work};
use super::shared::SharedRows;
use crate::config::ModelConfig;

/// The hidden states of some sequences.
#[derive(Debug, Clone, Default)]
pub struct States {
    hidden: Vec<f32>,
    /// Rows of each sequence.
    spans: Vec<Range<usize>>,
}

impl States {
    /// The first hidden states; `None` if the image lacks the embeddings.
    pub fn embed(
        image: &Arc<Image>,
        config: &ModelConfig,
        kernels: &Kernels,
        sequences: &[Sequence<'_>],
    ) -> Option<Self> {
        let (embeddings, shape) = (Embeddings::open(image, config)?, Shape::of(config));
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

    /// Takes the states through a layer of an image; nothing happens if the image lacks it.
    pub fn through_layer(&mut self, image: &Arc<Image>, index: usize, shape: &Shape, kernels: &Kernels) {
        let Some(layer) = Layer::open(image, index, shape) else { return };
        let (stride, count) = (shape.stride(), self.hidden.len() / shape.stride());
        let (mut context, mut projections) = (vec![0.0; count * stride], vec![0.0; 3 * count * stride]);
        let work = Work {
            kernels,
            shape,
            layer: &layer,
            hidden: &SharedRows::new(&mut self.hidden, stride),
            context: &SharedRows::new(&mut context, stride),
            projections: &SharedRows::new(&mut projections, 3 * stride),
        };
        let mut scratch = Scratch::default();
        work.project(0..count, &mut scratch);
        work.attend(0..count, &self.spans, &mut scratch);
        work.feed_forward(0..count, &mut scratch);
    }

    /// The states of the first tokens, without gaps.
    pub fn first(&self, shape: &Shape) -> Vec<f32> {
        let state = |span: &Range<usize>| &self.hidden[span.start * shape.stride()..][..shape.hidden];
        self.spans.iter().flat_map(state).copied().collect()
    }

    /// The mean state of each sequence.
    pub fn means(&self, shape: &Shape) -> Vec<Vec<f32>> {
        let mean = |span: &Range<usize>| {
            let states = self.hidden[span.start * shape.stride()..span.end * shape.stride()].chunks_exact(shape.stride());
            let mut sums = vec![0.0; shape.hidden];
            states.for_each(|state| sums.iter_mut().zip(state).for_each(|(sum, number)| *sum += number));
            sums.iter_mut().for_each(|sum| *sum /= span.len() as f32);
            sums
        };
        self.spans.iter().map(mean).collect()
    }
}
