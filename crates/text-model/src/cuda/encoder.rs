//! Batches of sequences through the kernels.
//!
//! It must not know text, labels or files of models. Invariant: of the last layer only first tokens are computed where only they
//! are wanted; all tokens are keys and values all the same.

use std::sync::Arc;

use bytemuck::{cast_slice, cast_slice_mut};
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_tensor_cpu::Sequence;
use ecommerce_ml_tensor_cuda::machine::{At, Machine, MachineError, Narrow};

use super::batch::Batch;
use super::weights::{Head, Layer, Layout, NetworkWeights};
use super::work::{Sum, Work, padded};
use super::{Resident, Wanted};
use crate::begun::Begun;

/// Tokens of a pass, unless a single sequence has more: enough for all processors of a large GPU.
const PASS_TOKENS: usize = 32_768;

/// Bytes of a number.
const BYTES: usize = Narrow::BYTES;

/// A network in a machine's memory.
#[derive(Debug)]
pub struct Encoder<M: Machine> {
    machine: Arc<M>,
    weights: M::Memory,
    layout: Arc<Layout>,
}

impl<M: Machine> Encoder<M> {
    /// Brings the weights to the machine.
    ///
    /// # Errors
    /// If there is no room, or the machine fails.
    pub fn new(machine: Arc<M>, weights: &NetworkWeights) -> Result<Self, MachineError> {
        let memory = machine.upload(&weights.bytes)?;
        Ok(Self { machine, weights: memory, layout: Arc::clone(&weights.layout) })
    }

    /// Begins with sequences together, or with half of them after the other if there is no room.
    fn divided(
        &self,
        sequences: &[Sequence<'_>],
        wanted: Wanted,
        parts: &mut Vec<Part<M>>,
    ) -> Result<(), EngineError> {
        match self.pass(sequences, wanted) {
            Ok(part) => {
                parts.push(part);
                Ok(())
            }
            Err(Trouble::Machine(MachineError::OutOfMemory)) if sequences.len() > 1 => {
                let (first, second) = sequences.split_at(sequences.len() / 2);
                self.divided(first, wanted, parts)?;
                self.divided(second, wanted, parts)
            }
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// Gives the machine all work for some sequences.
    fn pass(&self, sequences: &[Sequence<'_>], wanted: Wanted) -> Result<Part<M>, Trouble> {
        let (batch, numbers) = Batch::new(sequences);
        let numbers = self.machine.upload(cast_slice(&numbers))?;
        let work = Work {
            machine: &*self.machine,
            weights: &self.weights,
            layout: &self.layout,
            batch: &batch,
            numbers: &numbers,
        };
        let space = Space::new(&*self.machine, &self.layout, batch.tokens)?;
        work.embed(&space.hidden)?;
        let (width, output) = match (wanted, &self.layout.head) {
            (Wanted::Mean, _) => {
                for layer in &self.layout.layers {
                    space.layer(&work, layer)?;
                }
                let width = self.layout.sizes.hidden;
                let output = self.machine.allocate(batch.sequences * width * size_of::<f32>())?;
                work.means(&space.hidden, &output)?;
                (width, output)
            }
            (Wanted::Logits, Some(head)) => {
                let first = space.layers_of_firsts(&work, &self.layout.layers)?;
                (head.outputs, space.head(&work, head, &first)?)
            }
            (Wanted::Logits, None) => return Err(Trouble::WithoutHead),
        };
        let arriving = self.machine.send_for(&output, batch.sequences * width * size_of::<f32>())?;
        Ok(Part { arriving, sequences: batch.sequences, width })
    }
}

impl<M: Machine> Resident for Encoder<M> {
    fn begin(&self, sequences: &[Sequence<'_>], wanted: Wanted) -> Result<Begun<Vec<Vec<f32>>>, EngineError> {
        let mut parts = Vec::new();
        for pass in passes(sequences) {
            self.divided(pass, wanted, &mut parts)?;
        }
        let machine = Arc::clone(&self.machine);
        Ok(Begun::Pending(Box::new(move || {
            let rows = parts.into_iter().map(|part| part.rows(&*machine)).collect::<Result<Vec<_>, _>>()?;
            Ok(rows.concat())
        })))
    }
}

/// What a pass will come to: a row of `width` numbers in f32 for each sequence.
struct Part<M: Machine> {
    arriving: M::Arriving,
    sequences: usize,
    width: usize,
}

impl<M: Machine> Part<M> {
    /// Waits for it.
    fn rows(self, machine: &M) -> Result<Vec<Vec<f32>>, MachineError> {
        let mut numbers = vec![0.0_f32; self.sequences * self.width];
        machine.receive(self.arriving, cast_slice_mut(&mut numbers))?;
        Ok(numbers.chunks_exact(self.width).map(<[f32]>::to_vec).collect())
    }
}

/// Why a pass failed.
enum Trouble {
    Machine(MachineError),
    WithoutHead,
}

impl From<MachineError> for Trouble {
    fn from(error: MachineError) -> Self {
        Trouble::Machine(error)
    }
}

impl From<Trouble> for EngineError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Machine(error) => error.into(),
            Trouble::WithoutHead => EngineError::new(ErrorKind::InvalidRequest, "the network has no head"),
        }
    }
}

/// Memory of a pass.
struct Space<M: Machine> {
    /// Shape `[tokens, hidden]`.
    hidden: M::Memory,
    /// What is added to the hidden states; the same shape.
    change: M::Memory,
    /// Shape `[tokens, attention]`.
    context: M::Memory,
    /// Queries, keys and values, later the inner states of the feed-forward part.
    wide: M::Memory,
}

impl<M: Machine> Space<M> {
    fn new(machine: &M, layout: &Layout, tokens: usize) -> Result<Self, MachineError> {
        let sizes = &layout.sizes;
        let room = |width: usize| machine.allocate(padded(tokens) * width * BYTES);
        Ok(Self {
            hidden: room(sizes.hidden)?,
            change: room(sizes.hidden)?,
            context: room(sizes.attention())?,
            wide: room(sizes.inner.max(3 * sizes.attention()))?,
        })
    }

    /// A layer over all tokens.
    fn layer(&self, work: &Work<'_, M>, layer: &Layer) -> Result<(), MachineError> {
        let (tokens, width) = (work.batch.tokens, work.layout.sizes.attention());
        work.dense(&layer.projections, &self.hidden, &self.wide, tokens)?;
        let keys = At { memory: &self.wide, offset: width * BYTES };
        work.attend((At::start(&self.wide), 3 * width), (keys, 3 * width), &self.context, false)?;
        self.rest_of_layer(work, layer, &self.hidden, tokens)
    }

    /// All layers, the last one over first tokens only; their hidden states, of shape `[sequences, hidden]`.
    fn layers_of_firsts(&self, work: &Work<'_, M>, layers: &[Layer]) -> Result<M::Memory, MachineError> {
        let sizes = &work.layout.sizes;
        let (tokens, sequences, width) = (work.batch.tokens, work.batch.sequences, sizes.attention());
        let first = work.machine.allocate(padded(sequences) * sizes.hidden * BYTES)?;
        let Some((last, before)) = layers.split_last() else {
            work.firsts(&self.hidden, &first)?;
            return Ok(first);
        };
        for layer in before {
            self.layer(work, layer)?;
        }
        work.firsts(&self.hidden, &first)?;
        let queries = work.machine.allocate(padded(sequences) * width * BYTES)?;
        work.dense(&last.projections.part(0..width), &first, &queries, sequences)?;
        work.dense(&last.projections.part(width..3 * width), &self.hidden, &self.wide, tokens)?;
        let keys = At::start(&self.wide);
        work.attend((At::start(&queries), width), (keys, 2 * width), &self.context, true)?;
        self.rest_of_layer(work, last, &first, sequences)?;
        Ok(first)
    }

    /// What comes after attention, for hidden states that are replaced.
    fn rest_of_layer(
        &self,
        work: &Work<'_, M>,
        layer: &Layer,
        hidden: &M::Memory,
        rows: usize,
    ) -> Result<(), MachineError> {
        let sum = Sum { left: &self.change, right: hidden, output: hidden, rows };
        work.dense(&layer.attention_output, &self.context, &self.change, rows)?;
        work.add_norm(layer.attention_norm, &sum)?;
        work.dense(&layer.up, hidden, &self.wide, rows)?;
        work.dense(&layer.down, &self.wide, &self.change, rows)?;
        work.add_norm(layer.output_norm, &sum)
    }

    /// The head's outputs for the hidden states of first tokens.
    fn head(&self, work: &Work<'_, M>, head: &Head, first: &M::Memory) -> Result<M::Memory, MachineError> {
        let sequences = work.batch.sequences;
        work.dense(&head.hidden, first, &self.change, sequences)?;
        let output = work.machine.allocate(sequences * head.outputs * size_of::<f32>())?;
        work.classify(head, &self.change, &output)?;
        Ok(output)
    }
}

/// Cuts sequences into passes of no more than [`PASS_TOKENS`].
fn passes<'a, 's>(sequences: &'a [Sequence<'s>]) -> impl Iterator<Item = &'a [Sequence<'s>]> {
    let mut tokens = 0;
    sequences.chunk_by(move |before, next| {
        tokens += before.ids.len();
        let fits = tokens + next.ids.len() <= PASS_TOKENS;
        tokens = if fits { tokens } else { 0 };
        fits
    })
}
