//! Gradients of updates, and outputs.
//!
//! Batches are cut into micro-batches of bounded size, so that memory doesn't depend on the size of batches; losses are
//! divided by what the whole update is divided by, so the mathematics stays that of the batch. It must not know
//! optimizers. Invariant: where a device's memory is too small for a micro-batch, what comes out is what would have
//! come out if micro-batches had been smaller from the beginning of the update on.

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_training::random::hash;

use super::super::criterion::Criterion;
use super::super::examples::Examples;
use super::super::micro_batches::micro_batches;
use super::{AppliedDropoutRates, Learner};
use crate::nn::{Dropout, PerturbedEmbeddings};

/// Sets the seeds of this module apart from others.
const PURPOSE: u64 = u64::from_be_bytes(*b"dropout ");

/// A training step: what an update learns from.
#[derive(Clone, Copy)]
pub(in super::super) struct TrainingStep<'a> {
    pub(in super::super) examples: &'a Examples,
    pub(in super::super) criterion: &'a Criterion,
    /// Numbers of examples.
    pub(in super::super) batches: &'a [Vec<usize>],
    /// What losses are divided by.
    pub(in super::super) denominator: f64,
    /// How far the embeddings of words are moved for another pass over the batches; 0 for no other pass.
    pub(in super::super) epsilon: f64,
    /// Counted from 0.
    pub(in super::super) epoch: u32,
    /// Steps before.
    pub(in super::super) index: u64,
}

impl Learner {
    /// Adds the gradients of an update, and gives the loss of the first pass.
    ///
    /// # Errors
    /// As of [`Criterion::loss`]; if the tokenizer can't cope with a changed text; if the device that the encoder
    /// learns on fails, or has no room for a text alone.
    pub(in super::super) fn learn(&mut self, step: &TrainingStep<'_>) -> Result<f64, EngineError> {
        loop {
            if let Some(loss) = self.passes(step)? {
                return Ok(loss);
            }
            // A part of the gradients is there already, and nobody knows which.
            self.gradients.clear();
            self.encoder.zero_grad()?;
        }
    }

    /// What the head says of examples as they are, a row of outputs for each, with nothing left out.
    /// Shape `[examples, outputs]`.
    ///
    /// # Errors
    /// As of [`learn`](Self::learn).
    pub(in super::super) fn outputs(
        &mut self,
        examples: &Examples,
        some: &[usize],
    ) -> Result<Vec<f32>, EngineError> {
        let sequences: Vec<&[u32]> = some.iter().map(|&example| examples.tokens(example)).collect();
        let (mut outputs, mut done) = (Vec::new(), 0);
        while done < some.len() {
            for range in self.micro_batches(&sequences[done..]) {
                let range = done..done + range.len();
                match self.micro_batch_outputs(&some[range.clone()], &sequences[range.clone()]) {
                    Err(error) if self.halve_micro_batches(&error, &sequences[range.clone()]) => break,
                    own => outputs.extend(own?),
                }
                done = range.end;
            }
        }
        Ok(outputs)
    }

    /// All passes over the batches; `None` if they have to begin anew, with smaller micro-batches.
    fn passes(&mut self, step: &TrainingStep<'_>) -> Result<Option<f64>, EngineError> {
        let first = self.pass(step, 0)?;
        if first.is_none() || step.epsilon == 0.0 {
            return Ok(first);
        }
        let perturbed = self.perturb_embeddings(step.epsilon)?;
        let second = self.pass(step, step.batches.len() as u64)?;
        if let Some(perturbed) = perturbed {
            perturbed.restore(&mut self.parameters);
        }
        Ok(second.and(first))
    }

    /// Adds the gradients of all batches, and gives their loss. The first one has this number in the update.
    fn pass(&mut self, step: &TrainingStep<'_>, first: u64) -> Result<Option<f64>, EngineError> {
        let mut loss = 0.0;
        for (number, batch) in (first..).zip(step.batches) {
            let Some(own) = self.batch_gradients(step, batch, number)? else { return Ok(None) };
            loss += own;
        }
        Ok(Some(loss))
    }

    fn batch_gradients(
        &mut self,
        step: &TrainingStep<'_>,
        batch: &[usize],
        number: u64,
    ) -> Result<Option<f64>, EngineError> {
        let examples = step.examples;
        let changed =
            self.inputs.augmentation().map(|augmentation| augmentation.read(examples, batch, step.epoch));
        let changed = changed.transpose()?;
        let tokens =
            |at: usize| changed.as_ref().map_or_else(|| examples.tokens(batch[at]), |tokens| tokens.get(at));
        let sequences: Vec<&[u32]> = (0..batch.len()).map(tokens).collect();
        let mut loss = 0.0;
        for (part, some) in (0..).zip(self.micro_batches(&sequences)) {
            let (dropout, micro_batch) = (self.dropout([step.index, number, part]), &sequences[some.clone()]);
            match self.micro_batch_gradients(step, &batch[some], micro_batch, dropout) {
                Err(error) if self.halve_micro_batches(&error, micro_batch) => return Ok(None),
                own => loss += own?,
            }
        }
        Ok(Some(loss))
    }

    /// Adds the gradients of a micro-batch, and gives its part of the loss.
    fn micro_batch_gradients(
        &mut self,
        step: &TrainingStep<'_>,
        some: &[usize],
        sequences: &[&[u32]],
        dropout: Option<Dropout>,
    ) -> Result<f64, EngineError> {
        let rows = step.examples.rows(some);
        let Self { network, parameters, gradients, encoder, inputs, .. } = self;
        let model = (&*network, &*parameters);
        let frozen = inputs.states(model, some, sequences)?;
        let learns = frozen.is_none();
        let states = match frozen {
            Some(states) => states,
            None => encoder
                .forward(model, network.batch(sequences), dropout, Some(&*gradients))
                .map_err(|error| with_advice(error, sequences))?,
        };
        let tape = network.forward_head(parameters, states, dropout);
        let loss = step.criterion.loss(tape.logits(), &rows, step.denominator)?;
        let d_states = network.backward_head(parameters, (&tape, dropout), &loss.gradient, gradients);
        if learns {
            encoder.backward(model, d_states, gradients).map_err(|error| with_advice(error, sequences))?;
        }
        Ok(loss.value)
    }

    fn micro_batch_outputs(&mut self, some: &[usize], sequences: &[&[u32]]) -> Result<Vec<f32>, EngineError> {
        let Self { network, parameters, encoder, inputs, .. } = self;
        let model = (&*network, &*parameters);
        let states = match inputs.states(model, some, sequences)? {
            Some(states) => states,
            None => encoder
                .forward(model, network.batch(sequences), None, None)
                .map_err(|error| with_advice(error, sequences))?,
        };
        Ok(network.forward_head(parameters, states, None).logits().to_vec())
    }

    /// Moves the embeddings of words along their gradients, for another pass over the same batches; what they were, if they
    /// have to be moved back.
    fn perturb_embeddings(&mut self, epsilon: f64) -> Result<Option<PerturbedEmbeddings>, EngineError> {
        let model = (&self.network, &mut self.parameters);
        self.encoder.perturb_embeddings(model, &self.gradients, epsilon)
    }

    /// What is left out in a micro-batch: number of the update, of the batch in it, and of the micro-batch in that.
    fn dropout(&self, place: [u64; 3]) -> Option<Dropout> {
        let AppliedDropoutRates { hidden, attention, classifier } = self.rates;
        if hidden == 0.0 && attention == 0.0 && classifier == 0.0 {
            return None;
        }
        let place: Vec<u8> = place.into_iter().flat_map(u64::to_le_bytes).collect();
        Some(Dropout { hidden, attention, classifier, seed: hash(self.seed, PURPOSE, &place) })
    }

    /// Cuts sequences into runs of bounded size.
    fn micro_batches(&self, sequences: &[&[u32]]) -> Vec<std::ops::Range<usize>> {
        micro_batches(sequences.iter().map(|ids| self.inputs.length(ids)), self.max_tokens)
    }

    /// Whether an error says that there was no room for several sequences together; from then on half as many tokens go
    /// together. They stay as few for the rest of the training: whatever took the memory may take it again.
    fn halve_micro_batches(&mut self, error: &EngineError, sequences: &[&[u32]]) -> bool {
        let is_full = error.kind == ErrorKind::OutOfMemory && sequences.len() > 1;
        if is_full {
            self.max_tokens = sequences.iter().map(|ids| ids.len()).sum::<usize>() / 2;
        }
        is_full
    }
}

/// Says what to do if there is no room for a sequence alone.
fn with_advice(error: EngineError, sequences: &[&[u32]]) -> EngineError {
    match (error.kind, sequences) {
        (ErrorKind::OutOfMemory, [only]) => error
            .with_detail(format!("A text of {} tokens does not fit into what is left of it.", only.len()))
            .with_hint(
                "Lower \"max_length\" or ecommerce_ml.model_cache_size, or set ecommerce_ml.device to \"cpu\".",
            ),
        _ => error,
    }
}
