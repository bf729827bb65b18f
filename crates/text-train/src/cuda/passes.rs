//! Batches through the layers, forward and backward.
//!
//! It must not know what becomes of gradients. Invariant: what the backward pass doesn't need makes room as soon as the
//! forward pass is done with it.

use std::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut};
use ecommerce_ml_checkpoint::config::Family;
use ecommerce_ml_tensor_cuda::machine::{Argument, At, Kernel, Machine, MachineError};
use half::bf16;

use super::DistantEncoder;
use super::kernels::{count, mask, whole};
use super::layer::LayerWork;
use super::sent::Sent;
use crate::nn::dropout::{Dropout, Place};
use crate::nn::network::Batch;

/// What the backward pass needs.
#[derive(Debug)]
pub(super) struct Tape<M: Machine> {
    pub(super) sent: Sent<M>,
    pub(super) dropout: Option<Dropout>,
    /// `None` where the backward pass doesn't need it.
    pub(super) embedded: Option<Normed<M>>,
    pub(super) layers: Vec<Option<LayerTape<M>>>,
}

/// A layer norm: what came out, deviations by the standard deviation, and what deviations were multiplied by.
#[derive(Debug)]
pub(super) struct Normed<M: Machine> {
    pub(super) output: M::Memory,
    pub(super) normal: M::Memory,
    pub(super) factors: M::Memory,
}

/// What a layer leaves.
#[derive(Debug)]
pub(super) struct LayerTape<M: Machine> {
    /// Rows of queries of the last layer, and their inputs.
    pub(super) own: Option<(M::Memory, M::Memory)>,
    /// Queries, keys and values; of the last layer keys and values.
    pub(super) projected: M::Memory,
    pub(super) logarithms: M::Memory,
    pub(super) context: M::Memory,
    pub(super) attended: Normed<M>,
    pub(super) inner: M::Memory,
    pub(super) active: M::Memory,
    pub(super) output: Normed<M>,
}

impl<M: Machine> DistantEncoder<M> {
    fn work<'a>(&'a self, index: usize, sent: &'a Sent<M>, dropout: Option<Dropout>) -> LayerWork<'a, M> {
        LayerWork { encoder: self, index, sent, dropout }
    }

    /// The last states of first tokens, and what the backward pass needs.
    pub(super) fn run(
        &self,
        batch: Batch,
        dropout: Option<Dropout>,
        keeps: bool,
    ) -> Result<(Tape<M>, Vec<f32>), MachineError> {
        let sent = Sent::new(&*self.machine, batch)?;
        let mut embedded = Some(self.embed(&sent, dropout)?);
        let mut layers: Vec<Option<LayerTape<M>>> = Vec::with_capacity(self.config.layers);
        for index in 0..self.config.layers {
            let Some(input) = input_of(&embedded, &layers, index) else { return Err(lost()) };
            let tape = self.work(index, &sent, dropout).forward(input)?;
            if !keeps || !self.trained.reaches(index) {
                // What the backward pass doesn't need makes room.
                match layers.last_mut() {
                    Some(before) => *before = None,
                    None => embedded = None,
                }
            }
            layers.push(Some(tape));
        }
        let mut states = vec![0_u16; sent.sequences * self.width()];
        let Some(last) = input_of(&embedded, &layers, layers.len()) else { return Err(lost()) };
        self.machine.download(last, cast_slice_mut(&mut states))?;
        let states = states.into_iter().map(|bits| bf16::from_bits(bits).to_f32()).collect();
        Ok((Tape { sent, dropout, embedded, layers }, states))
    }

    /// From the gradients of these states to those of all that is trained.
    pub(super) fn back(&self, tape: &Tape<M>, d_states: &[f32]) -> Result<(), MachineError> {
        let rounded: Vec<bf16> = d_states.iter().map(|&number| bf16::from_f32(number)).collect();
        let mut gradient = self.machine.upload(cast_slice(&rounded))?;
        for (index, layer) in tape.layers.iter().enumerate().rev() {
            if !self.trained.reaches(index) {
                return Ok(());
            }
            let input = input_of(&tape.embedded, &tape.layers, index);
            let (Some(layer), Some(input)) = (layer, input) else { return Err(lost()) };
            match self.work(index, &tape.sent, tape.dropout).backward(layer, input, gradient)? {
                Some(d_input) => gradient = d_input,
                None => return Ok(()),
            }
        }
        match &tape.embedded {
            Some(embedded) => self.embeddings_back(tape, embedded, &gradient),
            None => Err(lost()),
        }
    }

    fn embeddings_back(
        &self,
        tape: &Tape<M>,
        embedded: &Normed<M>,
        gradient: &M::Memory,
    ) -> Result<(), MachineError> {
        let (sent, embeddings, width) = (&tape.sent, &self.plan.embeddings, self.width());
        let dropped = self.room(sent.tokens * width)?;
        self.leave_out(gradient, sent.tokens, mask(tape.dropout, Place::Embeddings), &dropped)?;
        self.norm_back(&embeddings.norm, &dropped, embedded, sent.tokens)?;
        let padding = self.config.pad_token_id;
        // As `padding_idx` has it in PyTorch.
        let position_padding = (self.config.family == Family::Roberta).then_some(padding);
        self.add_to_table(&dropped, &sent.ids, Some(padding), &embeddings.words)?;
        self.add_to_table(&dropped, &sent.position_rows, position_padding, &embeddings.positions)?;
        match &embeddings.types {
            Some(types) => {
                let first = types.start..types.start + width;
                self.sum_rows(At::start(&dropped), width, sent.tokens, &first)
            }
            None => Ok(()),
        }
    }

    /// Adds rows of gradients to the rows of a table that they belong to, but for one row.
    fn add_to_table(
        &self,
        gradient: &M::Memory,
        rows: &[u32],
        without: Option<u32>,
        table: &Range<usize>,
    ) -> Result<(), MachineError> {
        let Some(sums) = self.gradient(table) else { return Ok(()) };
        let mut order: Vec<u32> =
            (0..rows.len() as u32).filter(|&token| Some(rows[token as usize]) != without).collect();
        order.sort_by_key(|&token| rows[token as usize]);
        let (mut starts, mut runs) = (Vec::new(), Vec::new());
        for (place, &token) in order.iter().enumerate() {
            let row = rows[token as usize];
            if runs.last() != Some(&row) {
                runs.push(row);
                starts.push(place as u32);
            }
        }
        starts.push(order.len() as u32);
        if runs.is_empty() {
            return Ok(());
        }
        let send = |numbers: &[u32]| self.machine.upload(cast_slice(numbers));
        let (order, starts, sent_runs) = (send(&order)?, send(&starts)?, send(&runs)?);
        let arguments = [
            whole(gradient),
            whole(&order),
            whole(&starts),
            whole(&sent_runs),
            count(runs.len()),
            count(self.width()),
            Argument::At(sums),
        ];
        self.over_rows(Kernel::AddToTable, runs.len(), 0, &arguments)
    }
}

/// What a layer reads, if it was kept.
fn input_of<'a, M: Machine>(
    embedded: &'a Option<Normed<M>>,
    layers: &'a [Option<LayerTape<M>>],
    index: usize,
) -> Option<&'a M::Memory> {
    match index.checked_sub(1) {
        Some(before) => Some(&layers.get(before)?.as_ref()?.output.output),
        None => Some(&embedded.as_ref()?.output),
    }
}

fn lost() -> MachineError {
    MachineError::Failed("the backward pass goes further than what was kept for it".to_owned())
}
