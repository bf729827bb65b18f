//! A network that learns: its parameters, their gradients, and what goes in.
//!
//! Batches are cut into micro-batches of bounded size, so that memory doesn't depend on the size of batches; losses are
//! divided by what the whole update is divided by, so the mathematics stays that of the batch.
//! It must not know epochs, schedules or text. Invariant: the same examples, seed and step give the same bits.

use std::ops::Range;
use std::sync::Arc;

use ecommerce_ml_protocol::EngineError;

use super::changing::Changing;
use super::criterion::Criterion;
use super::examples::Examples;
use super::frozen::Frozen;
use crate::config::DropoutShares;
use crate::cuda::Accelerator;
use crate::nn::elsewhere::Distant;
use crate::nn::{self, Dropout, Gradients, Lora, Moved, Network, Parameters};
use crate::train::optimizer::{self, AdamW};
use crate::train::random::hash;

/// Tokens of a micro-batch, but for a single example that is longer: products of matrices are at their fastest from about
/// this size on, and twice as many tokens take twice the memory.
pub(super) const MICRO_BATCH: usize = 1024;

/// The same on a GPU, which wants more to do at a time.
const DISTANT_MICRO_BATCH: usize = 16_384;

/// Sets the seeds of this module apart from others.
const PURPOSE: u64 = u64::from_be_bytes(*b"dropout ");

/// What the network reads.
pub(super) enum Inputs {
    /// Token ids.
    Tokens,
    /// Token ids of texts that are other ones in each epoch.
    Changing(Box<Changing>),
    /// The last states of first tokens, computed once: all that a head needs, and no more is trained.
    States(Vec<f32>),
    /// These states of texts that are other ones in each epoch.
    Encoded(Box<Frozen>, Box<Changing>),
}

/// How much is left out at random while learning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shares {
    pub(super) hidden: f32,
    pub(super) attention: f32,
    pub(super) classifier: f32,
}

/// When a batch is learned from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Counted from 0.
    pub(super) epoch: u32,
    /// Updates before.
    pub(super) step: u64,
    /// Number of the batch in the update; another look at it has another number.
    pub(super) batch: u64,
}

/// The network and all that changes with it.
pub(super) struct Learner {
    pub(super) network: Network,
    pub(super) parameters: Parameters,
    gradients: Gradients,
    lora: Option<Lora>,
    /// The encoder, if it learns on another machine.
    distant: Option<Box<dyn Distant>>,
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
        Self { network, parameters, gradients, lora, distant: None, inputs, shares, seed }
    }

    /// Lets the encoder learn on another machine, as far as that one can.
    ///
    /// # Errors
    /// If the machine fails, or its memory is full.
    pub(super) fn go_to(
        &mut self,
        machine: &Arc<dyn Accelerator>,
        tuning: nn::Tuning,
    ) -> Result<(), EngineError> {
        self.distant = Arc::clone(machine).train(&self.network, &self.parameters, tuning)?;
        Ok(())
    }

    /// Lengths of examples, as far as they decide the order of the data.
    pub(super) fn lengths(&self, examples: &Examples) -> Vec<u32> {
        examples.training.iter().map(|&example| self.length(examples.tokens(example)) as u32).collect()
    }

    /// Adds the gradients of a batch, and gives its part of the loss, which is divided `by` what the update's is.
    ///
    /// # Errors
    /// As of [`Criterion::loss`], and if the tokenizer can't cope with a changed text.
    pub(super) fn learn(
        &mut self,
        (examples, criterion): (&Examples, &Criterion),
        batch: &[usize],
        by: f64,
        look: Look,
    ) -> Result<f64, EngineError> {
        let changed = match &self.inputs {
            Inputs::Changing(changing) | Inputs::Encoded(_, changing) => {
                Some(changing.read(examples, batch, look.epoch)?)
            }
            Inputs::Tokens | Inputs::States(_) => None,
        };
        let tokens =
            |at: usize| changed.as_ref().map_or_else(|| examples.tokens(batch[at]), |tokens| tokens.get(at));
        let sequences: Vec<&[u32]> = (0..batch.len()).map(tokens).collect();
        let mut value = 0.0;
        for (number, some) in self.micro_batches(&sequences).into_iter().enumerate() {
            let (rows, dropout) = (examples.rows(&batch[some.clone()]), self.dropout(look, number));
            let states = self.states(&batch[some.clone()], &sequences[some.clone()]);
            let (network, parameters) = (&self.network, &self.parameters);
            let loss = if let (None, Some(distant)) = (&states, &mut self.distant) {
                let states = distant.forward(network.batch(&sequences[some]), dropout, true)?;
                let tape = network.forward_head(parameters, states, dropout);
                let loss = criterion.loss(tape.logits(), &rows, by)?;
                let (head, gradients) = ((&tape, dropout), &mut self.gradients);
                let d_states = network.backward_head(parameters, head, &loss.gradient, gradients);
                distant.backward(&d_states)?;
                loss
            } else if let Some(states) = states {
                let tape = network.forward_head(parameters, states, dropout);
                let loss = criterion.loss(tape.logits(), &rows, by)?;
                network.backward_head(parameters, (&tape, dropout), &loss.gradient, &mut self.gradients);
                loss
            } else {
                let tape = network.forward(parameters, &sequences[some], dropout, Some(&self.gradients));
                let loss = criterion.loss(tape.logits(), &rows, by)?;
                network.backward(parameters, &tape, &loss.gradient, &mut self.gradients);
                loss
            };
            value += loss.value;
        }
        Ok(value)
    }

    /// Moves the embeddings of words along their gradients, for another look at the same batches.
    ///
    /// # Errors
    /// If the machine that the encoder learns on fails.
    pub(super) fn move_embeddings(&mut self, epsilon: f64) -> Result<Moved, EngineError> {
        self.collect()?;
        let moved = self.network.move_embeddings(&mut self.parameters, &self.gradients, epsilon);
        self.refresh()?;
        Ok(moved)
    }

    /// Moves them back.
    ///
    /// # Errors
    /// As of [`move_embeddings`](Self::move_embeddings).
    pub(super) fn move_back(&mut self, moved: Moved) -> Result<(), EngineError> {
        moved.back(&mut self.parameters);
        self.refresh()
    }

    /// What the head says of examples as they are, a row of outputs for each, with nothing left out.
    ///
    /// # Errors
    /// If the machine that the encoder learns on fails.
    pub(super) fn outputs(&mut self, examples: &Examples, some: &[usize]) -> Result<Vec<f32>, EngineError> {
        let sequences: Vec<&[u32]> = some.iter().map(|&example| examples.tokens(example)).collect();
        let mut outputs = Vec::new();
        for range in self.micro_batches(&sequences) {
            let states =
                match (self.states(&some[range.clone()], &sequences[range.clone()]), &mut self.distant) {
                    (None, Some(distant)) => {
                        Some(distant.forward(self.network.batch(&sequences[range.clone()]), None, false)?)
                    }
                    (states, _) => states,
                };
            match states {
                Some(states) => {
                    let tape = self.network.forward_head(&self.parameters, states, None);
                    outputs.extend_from_slice(tape.logits());
                }
                None => {
                    let tape = self.network.forward(&self.parameters, &sequences[range], None, None);
                    outputs.extend_from_slice(tape.logits());
                }
            }
        }
        Ok(outputs)
    }

    /// Ends an update's gradients; their norm, which isn't finite if they aren't.
    ///
    /// # Errors
    /// If the machine that the encoder learns on fails.
    pub(super) fn norm(&mut self) -> Result<f64, EngineError> {
        self.collect()?;
        if let Some(lora) = &self.lora {
            lora.spread(&self.parameters, &mut self.gradients);
        }
        Ok(optimizer::global_norm([&*self.gradients.values]))
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
        self.refresh()
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
    ///
    /// # Errors
    /// If the machine that the encoder learns on fails.
    pub(super) fn set_trained(&mut self, values: &[f32]) -> Result<(), EngineError> {
        self.parameters.values[self.gradients.start()..].copy_from_slice(values);
        self.merge();
        self.refresh()
    }

    /// The network and its parameters, without what only learning needs.
    pub(super) fn into_parts(self) -> (Network, Parameters) {
        (self.network, self.parameters)
    }

    /// Brings gradients back from the machine that the encoder learns on.
    fn collect(&mut self) -> Result<(), EngineError> {
        self.distant.as_mut().map_or(Ok(()), |distant| distant.collect(&mut self.gradients))
    }

    /// Brings parameters there.
    fn refresh(&mut self) -> Result<(), EngineError> {
        self.distant.as_mut().map_or(Ok(()), |distant| distant.refresh(&self.parameters))
    }

    fn merge(&mut self) {
        if let Some(lora) = &self.lora {
            lora.merge(&mut self.parameters);
        }
    }

    /// What is left out in a micro-batch.
    fn dropout(&self, look: Look, number: usize) -> Option<Dropout> {
        let Shares { hidden, attention, classifier } = self.shares;
        if hidden == 0.0 && attention == 0.0 && classifier == 0.0 {
            return None;
        }
        let place = [look.step, look.batch, number as u64];
        let place: Vec<u8> = place.into_iter().flat_map(u64::to_le_bytes).collect();
        Some(Dropout { hidden, attention, classifier, seed: hash(self.seed, PURPOSE, &place) })
    }

    /// The states of examples with these tokens, if only a head learns.
    fn states(&self, examples: &[usize], sequences: &[&[u32]]) -> Option<Vec<f32>> {
        match &self.inputs {
            Inputs::Tokens | Inputs::Changing(_) => None,
            Inputs::Encoded(encoder, _) => Some(encoder.states(sequences)),
            Inputs::States(states) => {
                let width = self.network.config().hidden_size;
                let row = |&example: &usize| &states[example * width..][..width];
                Some(examples.iter().flat_map(row).copied().collect())
            }
        }
    }

    /// What a sequence counts in a micro-batch.
    fn length(&self, sequence: &[u32]) -> usize {
        if matches!(self.inputs, Inputs::States(_)) { 1 } else { sequence.len() }
    }

    /// Cuts sequences into runs of bounded size.
    fn micro_batches(&self, sequences: &[&[u32]]) -> Vec<Range<usize>> {
        let (mut ranges, mut start, mut filled) = (Vec::new(), 0, 0);
        let most = if self.distant.is_some() { DISTANT_MICRO_BATCH } else { MICRO_BATCH };
        for (place, sequence) in sequences.iter().enumerate() {
            let length = self.length(sequence);
            if filled > 0 && filled + length > most {
                ranges.push(start..place);
                (start, filled) = (place, 0);
            }
            filled += length;
        }
        if filled > 0 {
            ranges.push(start..sequences.len());
        }
        ranges
    }
}
