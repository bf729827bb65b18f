//! A network that learns: its parameters, their gradients, and what goes in.
//!
//! Batches are cut into micro-batches of bounded size, so that memory doesn't depend on the size of batches; losses are
//! divided by what the whole update is divided by, so the mathematics stays that of the batch.
//! It must not know epochs, schedules or text. Invariant: the same examples, seed and step give the same bits.

use std::ops::Range;

use ecommerce_ml_protocol::EngineError;

use super::criterion::Criterion;
use super::examples::{Examples, Tokens};
use crate::config::DropoutShares;
use crate::nn::{self, Dropout, Gradients, Lora, Network, Parameters};
use crate::train::optimizer::{self, AdamW};
use crate::train::random::hash;

/// Tokens of a micro-batch, but for a single example that is longer: products of matrices are at their fastest from about
/// this size on, and twice as many tokens take twice the memory.
pub(super) const MICRO_BATCH: usize = 1024;

/// Sets the seeds of this module apart from others.
const PURPOSE: u64 = u64::from_be_bytes(*b"dropout ");

/// What the network reads.
#[derive(Debug)]
pub(super) enum Inputs {
    /// Token ids.
    Tokens,
    /// The last states of first tokens, a row of this width for each example: all that a head needs, and no more is trained.
    States(usize, Vec<f32>),
}

/// How much is left out at random while learning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shares {
    pub(super) hidden: f32,
    pub(super) attention: f32,
    pub(super) classifier: f32,
}

/// The network and all that changes with it.
#[derive(Debug)]
pub(super) struct Learner {
    pub(super) network: Network,
    pub(super) parameters: Parameters,
    gradients: Gradients,
    lora: Option<Lora>,
    inputs: Inputs,
    shares: Shares,
    seed: u64,
}

impl Shares {
    /// Those of the model, unless the options say otherwise.
    pub(super) fn new(model: &DropoutShares, hidden: Option<f64>) -> Self {
        let hidden = hidden.map_or(model.hidden, |hidden| hidden as f32);
        Self { hidden, attention: model.attention, classifier: model.classifier.unwrap_or(hidden) }
    }
}

impl Learner {
    /// A network whose trained parameters are those of `tuning`.
    pub(super) fn new(
        (network, parameters): (Network, Parameters),
        tuning: nn::Tuning,
        lora: Option<Lora>,
        inputs: Inputs,
        (shares, seed): (Shares, u64),
    ) -> Self {
        let gradients = network.gradients(&parameters, tuning);
        Self { network, parameters, gradients, lora, inputs, shares, seed }
    }

    /// Lengths of examples, as far as they decide the order of the data.
    pub(super) fn lengths(&self, examples: &Examples) -> Vec<u32> {
        let length = |&example: &usize| match self.inputs {
            Inputs::Tokens => examples.tokens.get(example).len() as u32,
            Inputs::States(..) => 1,
        };
        examples.training.iter().map(length).collect()
    }

    /// Adds the gradients of a batch, and gives its part of the loss, which is divided `by` what the update's is.
    ///
    /// # Errors
    /// As of [`Criterion::loss`].
    pub(super) fn learn(
        &mut self,
        examples: &Examples,
        batch: &[usize],
        criterion: &Criterion,
        by: f64,
        place: (u64, u64),
    ) -> Result<f64, EngineError> {
        let mut value = 0.0;
        for (number, some) in micro_batches(&self.inputs, &examples.tokens, batch).into_iter().enumerate() {
            let (rows, dropout) = (examples.rows(&batch[some.clone()]), self.dropout(place, number));
            value += match &self.inputs {
                Inputs::Tokens => {
                    let sequences = sequences(&examples.tokens, &batch[some]);
                    let (network, parameters) = (&self.network, &self.parameters);
                    let tape = network.forward(parameters, &sequences, dropout, Some(&self.gradients));
                    let loss = criterion.loss(tape.logits(), &rows, by)?;
                    network.backward(parameters, &tape, &loss.gradient, &mut self.gradients);
                    loss.value
                }
                Inputs::States(width, states) => {
                    let states = pick(states, *width, &batch[some]);
                    let (network, parameters) = (&self.network, &self.parameters);
                    let tape = network.forward_head(parameters, states, dropout);
                    let loss = criterion.loss(tape.logits(), &rows, by)?;
                    let pass = (&tape, dropout);
                    network.backward_head(parameters, pass, &loss.gradient, &mut self.gradients);
                    loss.value
                }
            };
        }
        Ok(value)
    }

    /// What the head says of examples, a row of outputs for each, with nothing left out.
    pub(super) fn outputs(&self, examples: &Examples, some: &[usize]) -> Vec<f32> {
        let mut outputs = Vec::new();
        for range in micro_batches(&self.inputs, &examples.tokens, some) {
            let some = &some[range];
            match &self.inputs {
                Inputs::Tokens => {
                    let sequences = sequences(&examples.tokens, some);
                    let tape = self.network.forward(&self.parameters, &sequences, None, None);
                    outputs.extend_from_slice(tape.logits());
                }
                Inputs::States(width, states) => {
                    let states = pick(states, *width, some);
                    let tape = self.network.forward_head(&self.parameters, states, None);
                    outputs.extend_from_slice(tape.logits());
                }
            }
        }
        outputs
    }

    /// Ends an update's gradients; their norm, which isn't finite if they aren't.
    pub(super) fn norm(&mut self) -> f64 {
        if let Some(lora) = &self.lora {
            lora.spread(&self.parameters, &mut self.gradients);
        }
        optimizer::global_norm([&*self.gradients.values])
    }

    /// Changes the parameters by their gradients, and clears these.
    ///
    /// # Errors
    /// As of [`AdamW::update`].
    pub(super) fn update(&mut self, adam: &mut AdamW, rate: f64, scale: f32) -> Result<(), EngineError> {
        let start = self.gradients.start();
        let mut values = &mut self.parameters.values[start..];
        let mut gradients = &*self.gradients.values;
        let list = self.gradients.list.iter().map(|parameter| {
            let (own, rest) = std::mem::take(&mut values).split_at_mut(parameter.range.len());
            let (gradient, others) = gradients.split_at(parameter.range.len());
            (values, gradients) = (rest, others);
            optimizer::Parameter { name: &parameter.name, values: own, gradient }
        });
        adam.update(&mut list.collect::<Vec<_>>(), rate, scale)?;
        self.gradients.clear();
        self.merge();
        Ok(())
    }

    /// The trained parameters, end to end.
    pub(super) fn trained(&self) -> &[f32] {
        &self.parameters.values[self.gradients.start()..]
    }

    /// Names and lengths of the trained parameters.
    pub(super) fn trained_list(&self) -> impl Iterator<Item = (&str, usize)> {
        self.gradients.list.iter().map(|parameter| (parameter.name.as_str(), parameter.range.len()))
    }

    /// Sets the trained parameters.
    pub(super) fn set_trained(&mut self, values: &[f32]) {
        self.parameters.values[self.gradients.start()..].copy_from_slice(values);
        self.merge();
    }

    /// The network and its parameters, without what only learning needs.
    pub(super) fn into_parts(self) -> (Network, Parameters) {
        (self.network, self.parameters)
    }

    fn merge(&mut self) {
        if let Some(lora) = &self.lora {
            lora.merge(&mut self.parameters);
        }
    }

    /// What is left out in a micro-batch of a batch of an update.
    fn dropout(&self, (step, batch): (u64, u64), number: usize) -> Option<Dropout> {
        let Shares { hidden, attention, classifier } = self.shares;
        if hidden == 0.0 && attention == 0.0 && classifier == 0.0 {
            return None;
        }
        let place: Vec<u8> = [step, batch, number as u64].into_iter().flat_map(u64::to_le_bytes).collect();
        Some(Dropout { hidden, attention, classifier, seed: hash(self.seed, PURPOSE, &place) })
    }
}

/// Cuts examples into runs of bounded size.
fn micro_batches(inputs: &Inputs, tokens: &Tokens, examples: &[usize]) -> Vec<Range<usize>> {
    let (mut ranges, mut start, mut filled) = (Vec::new(), 0, 0);
    for (place, &example) in examples.iter().enumerate() {
        let length = if matches!(inputs, Inputs::Tokens) { tokens.get(example).len() } else { 1 };
        if filled > 0 && filled + length > MICRO_BATCH {
            ranges.push(start..place);
            (start, filled) = (place, 0);
        }
        filled += length;
    }
    if filled > 0 {
        ranges.push(start..examples.len());
    }
    ranges
}

fn sequences<'a>(tokens: &'a Tokens, examples: &[usize]) -> Vec<&'a [u32]> {
    examples.iter().map(|&example| tokens.get(example)).collect()
}

fn pick(states: &[f32], width: usize, examples: &[usize]) -> Vec<f32> {
    examples.iter().flat_map(|&example| &states[example * width..][..width]).copied().collect()
}
