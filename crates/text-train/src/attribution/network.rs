//! A model's outputs and gradients at points of the way from a baseline to an input.
//!
//! It must not know what is explained beyond [`Explained`]. Invariant: on the way word embeddings alone change.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_checkpoint::head::HeadPlan;
use ecommerce_ml_checkpoint::open::OpenModel;
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_tensor_cpu::{Cpu, softmax};

use super::explained::Explained;
use crate::nn::{Network, Parameters, Tape};

/// A model with a head whose gradients can be computed.
#[derive(Debug)]
pub struct AttributionNetwork {
    network: Network,
    parameters: Parameters,
    head: HeadPlan,
    /// What stands for nothing.
    padding: u32,
}

/// A point on the way from nothing to a sequence of tokens.
#[derive(Debug, Clone, Copy)]
pub struct PathPoint<'a> {
    /// Token ids of the whole sequence.
    pub ids: &'a [u32],
    /// How many at its beginning and at its end are special tokens, which stay as they are.
    pub special: (usize, usize),
    /// How far it has come: 0 at the baseline, 1 at the sequence.
    pub at: f64,
}

impl AttributionNetwork {
    /// The network of a model that is shaped like BERT.
    ///
    /// # Errors
    /// As of loading a model, and [`ErrorKind::InvalidRequest`] if it has no head.
    pub fn open(files: &ModelFiles, cpu: &Cpu) -> Result<Self, EngineError> {
        let mut model = OpenModel::open(files)?;
        let Some(head) = model.head()? else {
            let message = "the model has no head, there is no prediction to explain";
            return Err(EngineError::new(ErrorKind::InvalidRequest, message));
        };
        let config = &model.config;
        let padding =
            if (config.pad_token_id as usize) < config.vocab_size { config.pad_token_id } else { 0 };
        // The head is in the files, so that nothing is made up by the seed.
        let (network, parameters) = Network::read(&mut model, head.outputs(), 0, cpu)?;
        Ok(Self { network, parameters, head, padding })
    }

    /// What its outputs are.
    pub fn head(&self) -> &HeadPlan {
        &self.head
    }

    /// How many numbers its weights are.
    pub fn parameters(&self) -> usize {
        self.parameters.values.len()
    }

    /// Numbers that are there at once for each token of a pass, forward and backward.
    pub fn numbers_per_token(&self) -> usize {
        let config = self.network.config();
        let kept = 8 * config.hidden_size + 2 * config.intermediate_size;
        config.layers * kept + 14 * config.hidden_size + 3 * config.intermediate_size
    }

    /// What the model says at each point: probabilities, `[labels]`, or the value of a regression, `[1]`.
    pub fn outputs(&self, points: &[PathPoint<'_>]) -> Vec<Vec<f32>> {
        let tape = self.forward(points, false);
        self.rows(&tape, points.len())
    }

    /// The derivatives of the explained numbers at each point by the embeddings of its tokens, times the distance that these go on
    /// the whole way: `[tokens]` for each.
    pub fn gradients(&self, points: &[PathPoint<'_>], explained: &[&Explained]) -> Vec<Vec<f64>> {
        let tape = self.forward(points, true);
        let rows = self.rows(&tape, points.len());
        let d_logits: Vec<f32> =
            rows.iter().zip(explained).flat_map(|(row, explained)| explained.logit_gradient(row)).collect();
        let d_words = self.network.backward_to_words(&self.parameters, &tape, &d_logits);
        let mut d_words = d_words.chunks(self.network.config().hidden_size);
        let along = |point: &PathPoint<'_>| {
            let tokens = point.ids.iter().enumerate().zip(d_words.by_ref());
            tokens.map(|((place, &id), gradient)| self.along(point, (place, id), gradient)).collect()
        };
        points.iter().map(along).collect()
    }

    fn along(&self, point: &PathPoint<'_>, (place, id): (usize, u32), gradient: &[f32]) -> f64 {
        if point.is_special(place) {
            return 0.0;
        }
        let (word, nothing) = (self.word(id), self.word(self.padding));
        let products = word.iter().zip(nothing).zip(gradient);
        products.map(|((&to, &from), &slope)| f64::from(slope) * f64::from(to - from)).sum()
    }

    fn forward(&self, points: &[PathPoint<'_>], differentiable: bool) -> Tape {
        let sequences: Vec<&[u32]> = points.iter().map(|point| point.ids).collect();
        let mut words = Vec::new();
        for point in points {
            for (place, &id) in point.ids.iter().enumerate() {
                let at = if point.is_special(place) { 1.0 } else { point.at as f32 };
                let mix = |(&to, &from): (&f32, &f32)| from + at * (to - from);
                words.extend(self.word(id).iter().zip(self.word(self.padding)).map(mix));
            }
        }
        self.network.forward_words(&self.parameters, &sequences, words, differentiable)
    }

    fn rows(&self, tape: &Tape, points: usize) -> Vec<Vec<f32>> {
        let outputs = tape.logits().len() / points.max(1);
        let mut rows: Vec<Vec<f32>> = tape.logits().chunks(outputs.max(1)).map(<[f32]>::to_vec).collect();
        if self.head.labels.is_some() {
            rows.iter_mut().for_each(|row| softmax(row));
        }
        rows
    }

    fn word(&self, id: u32) -> &[f32] {
        self.network.word_embedding(&self.parameters, id)
    }
}

impl PathPoint<'_> {
    fn is_special(&self, place: usize) -> bool {
        place < self.special.0 || place + self.special.1 >= self.ids.len()
    }
}
