//! All numbers that training may change, and their gradients: each in one piece, so that an optimizer can walk over both.
//!
//! It must not know what a parameter is for. Invariant: the trained parameters are the last ones, and gradients lie as they do.

use std::ops::Range;
use std::sync::Arc;

/// A tensor of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// As in the state dict of `transformers`.
    pub name: String,
    /// Row-major.
    pub shape: Vec<usize>,
    /// Where it lies among the numbers of all.
    pub range: Range<usize>,
}

impl Parameter {
    /// Whether weight decay applies: to matrices, not to biases and layer norms.
    pub fn decays(&self) -> bool {
        self.shape.len() > 1
    }
}

/// The numbers of all parameters.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// What lies where, in order and without gaps.
    pub list: Arc<[Parameter]>,
    /// The numbers.
    pub values: Vec<f32>,
}

/// Gradients of the trained parameters.
#[derive(Debug, Clone)]
pub struct Gradients {
    /// The trained parameters; their ranges count from the first of all parameters.
    pub list: Arc<[Parameter]>,
    /// The numbers; the first one belongs to number [`start`](Self::start) of all parameters.
    pub values: Vec<f32>,
    start: usize,
    /// Rows of the word embeddings that may have gradients other than zero, ascending.
    touched: Vec<u32>,
    /// Gradients of weights that have adapters, two for each layer; not there until they are needed.
    adapted: Vec<Option<Vec<f32>>>,
    /// The first layer with adapters.
    adapted_from: usize,
    /// Whether the backward pass goes on to what the network reads, although nothing there is trained.
    of_inputs: bool,
}

impl Parameters {
    /// A parameter and its numbers.
    /// The shape is the parameter's own.
    pub fn get(&self, name: &str) -> Option<(&Parameter, &[f32])> {
        let parameter = self.list.iter().find(|parameter| parameter.name == name)?;
        Some((parameter, &self.values[parameter.range.clone()]))
    }
}

impl Gradients {
    /// Zeros for all parameters from number `start` on, which begins a parameter. Some layers have adapters.
    pub(super) fn new(parameters: &Parameters, start: usize, adapted: Range<usize>) -> Self {
        let trained = parameters.list.iter().filter(|parameter| parameter.range.start >= start);
        Self {
            list: trained.cloned().collect(),
            values: vec![0.0; parameters.values.len() - start],
            start,
            touched: Vec::new(),
            adapted: vec![None; 2 * adapted.len()],
            adapted_from: adapted.start,
            of_inputs: false,
        }
    }

    /// Of what the network reads, and of no parameter.
    pub(super) fn of_inputs() -> Self {
        Self {
            list: Arc::default(),
            values: Vec::new(),
            start: usize::MAX,
            touched: Vec::new(),
            adapted: Vec::new(),
            adapted_from: 0,
            of_inputs: true,
        }
    }

    /// Whether the backward pass goes on to what the network reads.
    pub(super) fn reaches_inputs(&self) -> bool {
        self.of_inputs
    }

    /// The number of the first trained one among all parameters' numbers.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Rows of the word embeddings that may have gradients other than zero, ascending; empty if they are not trained.
    pub fn touched_words(&self) -> &[u32] {
        &self.touched
    }

    /// The gradient of a parameter.
    /// The shape is the parameter's own.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        let parameter = self.list.iter().find(|parameter| parameter.name == name)?;
        Some(&self.values[parameter.range.start - self.start..parameter.range.end - self.start])
    }

    /// Back to zero.
    pub fn clear(&mut self) {
        self.values.fill(0.0);
        self.touched.clear();
        self.adapted.fill(None);
    }

    pub(super) fn trains(&self, range: &Range<usize>) -> bool {
        range.start >= self.start
    }

    /// Whether weights of a layer, or of one before it, have adapters.
    pub(super) fn adapts_up_to(&self, layer: usize) -> bool {
        !self.adapted.is_empty() && self.adapted_from <= layer
    }

    /// The gradient of one of the two weights of a layer that have adapters, of so many numbers, zero at first.
    /// Shape `[hidden, hidden]`.
    pub(crate) fn adapted(&mut self, layer: usize, which: usize, size: usize) -> &mut [f32] {
        self.adapted[2 * (layer - self.adapted_from) + which].get_or_insert_with(|| vec![0.0; size])
    }

    /// The gradient of a weight with an adapter, shape `[hidden, hidden]`, which is gone then.
    pub(super) fn take_adapted(&mut self, index: usize) -> Option<Vec<f32>> {
        self.adapted.get_mut(index).and_then(Option::take)
    }

    pub(super) fn touch(&mut self, words: &[u32]) {
        self.touched.extend_from_slice(words);
        self.touched.sort_unstable();
        self.touched.dedup();
    }

    /// The gradients of some numbers, if they are trained.
    /// Flat, `[numbers]`: the shape is the parameter's.
    pub(super) fn of(&mut self, range: &Range<usize>) -> Option<&mut [f32]> {
        let trained = self.trains(range);
        trained.then(|| &mut self.values[range.start - self.start..range.end - self.start])
    }

    /// The gradients of a weight and of the bias that lies behind it, if they are trained.
    /// Shapes `[outputs, inputs]` and `[outputs]`, those of a layer norm `[width]` both.
    pub(super) fn pair(
        &mut self,
        weight: &Range<usize>,
        bias: &Range<usize>,
    ) -> Option<(&mut [f32], &mut [f32])> {
        let both = self.of(&(weight.start..bias.end))?;
        let (first, second) = both.split_at_mut(bias.start - weight.start);
        Some((&mut first[..weight.len()], second))
    }
}
