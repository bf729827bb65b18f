//! Gradients of updates, and outputs.
//!
//! Batches are cut into micro-batches of bounded size, so that memory doesn't depend on the size of batches; losses are
//! divided by what the whole update is divided by, so the mathematics stays that of the batch. It must not know
//! optimizers. Invariant: where a machine's memory is too small for a micro-batch, what comes out is what would have
//! come out if micro-batches had been smaller from the beginning of the update on.

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_training::random::hash;

use super::super::criterion::Criterion;
use super::super::examples::Examples;
use super::super::micro_batches::micro_batches;
use super::{Learner, Shares};
use crate::nn::{Dropout, Moved};

/// Sets the seeds of this module apart from others.
const PURPOSE: u64 = u64::from_be_bytes(*b"dropout ");

/// What an update learns from.
#[derive(Clone, Copy)]
pub(in super::super) struct Lesson<'a> {
    pub(in super::super) examples: &'a Examples,
    pub(in super::super) criterion: &'a Criterion,
    /// Numbers of examples.
    pub(in super::super) batches: &'a [Vec<usize>],
    /// What losses are divided by.
    pub(in super::super) by: f64,
    /// How far the embeddings of words are moved for another look at the batches; 0 for no other look.
    pub(in super::super) epsilon: f64,
    /// Counted from 0.
    pub(in super::super) epoch: u32,
    /// Updates before.
    pub(in super::super) step: u64,
}

impl Learner {
    /// Adds the gradients of an update, and gives the loss of the first look.
    ///
    /// # Errors
    /// As of [`Criterion::loss`]; if the tokenizer can't cope with a changed text; if the machine that the encoder
    /// learns on fails, or has no room for a text alone.
    pub(in super::super) fn learn(&mut self, lesson: &Lesson<'_>) -> Result<f64, EngineError> {
        loop {
            if let Some(loss) = self.looks(lesson)? {
                return Ok(loss);
            }
            // A part of the gradients is there already, and nobody knows which.
            self.gradients.clear();
            self.distant.as_mut().map_or(Ok(()), |distant| distant.forget())?;
        }
    }

    /// What the head says of examples as they are, a row of outputs for each, with nothing left out.
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
                match self.outputs_together(&some[range.clone()], &sequences[range.clone()]) {
                    Err(error) if self.shrinks(&error, &sequences[range.clone()]) => break,
                    own => outputs.extend(own?),
                }
                done = range.end;
            }
        }
        Ok(outputs)
    }

    /// All looks at the batches; `None` if they have to begin anew, with smaller micro-batches.
    fn looks(&mut self, lesson: &Lesson<'_>) -> Result<Option<f64>, EngineError> {
        let first = self.look(lesson, 0)?;
        if first.is_none() || lesson.epsilon == 0.0 {
            return Ok(first);
        }
        let moved = self.move_embeddings(lesson.epsilon)?;
        let second = self.look(lesson, lesson.batches.len() as u64)?;
        if let Some(moved) = moved {
            moved.back(&mut self.parameters);
        }
        Ok(second.and(first))
    }

    /// Adds the gradients of all batches, and gives their loss. The first one has this number in the update.
    fn look(&mut self, lesson: &Lesson<'_>, first: u64) -> Result<Option<f64>, EngineError> {
        let mut loss = 0.0;
        for (number, batch) in (first..).zip(lesson.batches) {
            let Some(own) = self.learn_batch(lesson, batch, number)? else { return Ok(None) };
            loss += own;
        }
        Ok(Some(loss))
    }

    fn learn_batch(
        &mut self,
        lesson: &Lesson<'_>,
        batch: &[usize],
        number: u64,
    ) -> Result<Option<f64>, EngineError> {
        let examples = lesson.examples;
        let changed = self.inputs.changing().map(|changing| changing.read(examples, batch, lesson.epoch));
        let changed = changed.transpose()?;
        let tokens =
            |at: usize| changed.as_ref().map_or_else(|| examples.tokens(batch[at]), |tokens| tokens.get(at));
        let sequences: Vec<&[u32]> = (0..batch.len()).map(tokens).collect();
        let mut loss = 0.0;
        for (part, some) in (0..).zip(self.micro_batches(&sequences)) {
            let (dropout, together) = (self.dropout([lesson.step, number, part]), &sequences[some.clone()]);
            match self.learn_together(lesson, &batch[some], together, dropout) {
                Err(error) if self.shrinks(&error, together) => return Ok(None),
                own => loss += own?,
            }
        }
        Ok(Some(loss))
    }

    /// Adds the gradients of a micro-batch, and gives its part of the loss.
    fn learn_together(
        &mut self,
        lesson: &Lesson<'_>,
        some: &[usize],
        sequences: &[&[u32]],
        dropout: Option<Dropout>,
    ) -> Result<f64, EngineError> {
        let rows = lesson.examples.rows(some);
        let states = self.inputs.states(&self.network, some, sequences)?;
        let (network, parameters, gradients) = (&self.network, &self.parameters, &mut self.gradients);
        let (states, distant) = match (states, &mut self.distant) {
            (None, Some(distant)) => {
                let states = distant.forward(network.batch(sequences), dropout, true);
                (Some(states.map_err(|error| alone(error, sequences))?), Some(distant))
            }
            (states, _) => (states, None),
        };
        let Some(states) = states else {
            let tape = network.forward(parameters, sequences, dropout, Some(gradients));
            let loss = lesson.criterion.loss(tape.logits(), &rows, lesson.by)?;
            network.backward(parameters, &tape, &loss.gradient, gradients);
            return Ok(loss.value);
        };
        let tape = network.forward_head(parameters, states, dropout);
        let loss = lesson.criterion.loss(tape.logits(), &rows, lesson.by)?;
        let d_states = network.backward_head(parameters, (&tape, dropout), &loss.gradient, gradients);
        if let Some(distant) = distant {
            distant.backward(&d_states).map_err(|error| alone(error, sequences))?;
        }
        Ok(loss.value)
    }

    fn outputs_together(&mut self, some: &[usize], sequences: &[&[u32]]) -> Result<Vec<f32>, EngineError> {
        let (network, parameters) = (&self.network, &self.parameters);
        let states = match (self.inputs.states(network, some, sequences)?, &mut self.distant) {
            (None, Some(distant)) => {
                let states = distant.forward(network.batch(sequences), None, false);
                Some(states.map_err(|error| alone(error, sequences))?)
            }
            (states, _) => states,
        };
        Ok(match states {
            Some(states) => network.forward_head(parameters, states, None).logits().to_vec(),
            None => network.forward(parameters, sequences, None, None).logits().to_vec(),
        })
    }

    /// Moves the embeddings of words along their gradients, for another look at the same batches; what they were,
    /// unless they are elsewhere, where the next update finds them.
    fn move_embeddings(&mut self, epsilon: f64) -> Result<Option<Moved>, EngineError> {
        if let Some(distant) = &mut self.distant {
            return distant.move_embeddings(epsilon).map(|()| None);
        }
        Ok(Some(self.network.move_embeddings(&mut self.parameters, &self.gradients, epsilon)))
    }

    /// What is left out in a micro-batch: number of the update, of the batch in it, and of the micro-batch in that.
    fn dropout(&self, place: [u64; 3]) -> Option<Dropout> {
        let Shares { hidden, attention, classifier } = self.shares;
        if hidden == 0.0 && attention == 0.0 && classifier == 0.0 {
            return None;
        }
        let place: Vec<u8> = place.into_iter().flat_map(u64::to_le_bytes).collect();
        Some(Dropout { hidden, attention, classifier, seed: hash(self.seed, PURPOSE, &place) })
    }

    /// Cuts sequences into runs of bounded size.
    fn micro_batches(&self, sequences: &[&[u32]]) -> Vec<std::ops::Range<usize>> {
        micro_batches(sequences.iter().map(|ids| self.inputs.length(ids)), self.most)
    }

    /// Whether an error says that there was no room for several sequences together; from then on half as many tokens go
    /// together. They stay as few for the rest of the training: whatever took the memory may take it again.
    fn shrinks(&mut self, error: &EngineError, sequences: &[&[u32]]) -> bool {
        let is_full = error.kind == ErrorKind::OutOfMemory && self.distant.is_some() && sequences.len() > 1;
        if is_full {
            self.most = sequences.iter().map(|ids| ids.len()).sum::<usize>() / 2;
        }
        is_full
    }
}

/// Says what to do if there is no room for a sequence alone.
fn alone(error: EngineError, sequences: &[&[u32]]) -> EngineError {
    match (error.kind, sequences) {
        (ErrorKind::OutOfMemory, [only]) => error
            .with_detail(format!("A text of {} tokens does not fit into what is left of it.", only.len()))
            .with_hint(
                "Lower \"max_length\" or ecommerce_ml.model_cache_size, or set ecommerce_ml.device to \"cpu\".",
            ),
        _ => error,
    }
}
