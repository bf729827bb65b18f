//! Batches through the layers, forward and backward.
//!
//! It must not know what becomes of gradients. Invariant: what the backward pass doesn't need makes room as soon as the
//! forward pass is done with it.

use std::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut};
use ecommerce_ml_checkpoint::config::Family;
use ecommerce_ml_tensor_cuda::backend::{DevicePointer, GpuBackend, GpuError, Kernel, KernelArgument};
use half::bf16;

use super::DeviceEncoder;
use super::device_batch::DeviceBatch;
use super::kernels::{count, mask, whole};
use super::layer::LayerPass;
use crate::nn::dropout::{Dropout, DropoutSite};
use crate::nn::network::TokenBatch;

/// What the backward pass needs.
#[derive(Debug)]
pub(super) struct Tape<G: GpuBackend> {
    pub(super) batch: DeviceBatch<G>,
    pub(super) dropout: Option<Dropout>,
    /// `None` where the backward pass doesn't need it.
    pub(super) embedded: Option<Normed<G>>,
    pub(super) layers: Vec<Option<LayerTape<G>>>,
}

/// A layer norm: what came out, deviations by the standard deviation, and what deviations were multiplied by.
#[derive(Debug)]
pub(super) struct Normed<G: GpuBackend> {
    pub(super) output: G::Memory,
    pub(super) normal: G::Memory,
    pub(super) factors: G::Memory,
}

/// Queries of first tokens: `[CLS]`, as BERT has it.
#[derive(Debug)]
pub(super) struct ClsQueries<G: GpuBackend> {
    /// Shape `[sequences, hidden]`.
    pub(super) queries: G::Memory,
    /// What they are projected from; the same shape.
    pub(super) input: G::Memory,
}

/// What a layer leaves.
#[derive(Debug)]
pub(super) struct LayerTape<G: GpuBackend> {
    /// Of the last layer, which computes first tokens only.
    pub(super) cls: Option<ClsQueries<G>>,
    /// Queries, keys and values; of the last layer keys and values.
    pub(super) projected: G::Memory,
    pub(super) logarithms: G::Memory,
    pub(super) context: G::Memory,
    pub(super) attended: Normed<G>,
    pub(super) inner: G::Memory,
    pub(super) active: G::Memory,
    pub(super) output: Normed<G>,
}

impl<G: GpuBackend> DeviceEncoder<G> {
    fn layer_pass<'a>(
        &'a self,
        index: usize,
        batch: &'a DeviceBatch<G>,
        dropout: Option<Dropout>,
    ) -> LayerPass<'a, G> {
        LayerPass { encoder: self, index, batch, dropout }
    }

    /// The last states of first tokens, `[sequences, hidden]`, and what the backward pass needs.
    pub(super) fn run(
        &self,
        batch: TokenBatch,
        dropout: Option<Dropout>,
        keeps: bool,
    ) -> Result<(Tape<G>, Vec<f32>), GpuError> {
        let batch = DeviceBatch::new(&*self.gpu, batch)?;
        let mut embedded = Some(self.embed(&batch, dropout)?);
        let mut layers: Vec<Option<LayerTape<G>>> = Vec::with_capacity(self.config.layers);
        for index in 0..self.config.layers {
            let Some(input) = input_of(&embedded, &layers, index) else { return Err(lost()) };
            let tape = self.layer_pass(index, &batch, dropout).forward(input)?;
            if !keeps || !self.trained.reaches(index) {
                // What the backward pass doesn't need makes room.
                match layers.last_mut() {
                    Some(before) => *before = None,
                    None => embedded = None,
                }
            }
            layers.push(Some(tape));
        }
        let mut states = vec![0_u16; batch.sequences * self.width()];
        let Some(last) = input_of(&embedded, &layers, layers.len()) else { return Err(lost()) };
        self.gpu.download(last, cast_slice_mut(&mut states))?;
        let states = states.into_iter().map(|bits| bf16::from_bits(bits).to_f32()).collect();
        Ok((Tape { batch, dropout, embedded, layers }, states))
    }

    /// From the gradients of these states, `[sequences, hidden]`, to those of all that is trained.
    pub(super) fn back(&self, tape: &Tape<G>, d_states: &[f32]) -> Result<(), GpuError> {
        let half: Vec<bf16> = d_states.iter().map(|&number| bf16::from_f32(number)).collect();
        let mut gradient = self.gpu.upload(cast_slice(&half))?;
        for (index, layer) in tape.layers.iter().enumerate().rev() {
            if !self.trained.reaches(index) {
                return Ok(());
            }
            let input = input_of(&tape.embedded, &tape.layers, index);
            let (Some(layer), Some(input)) = (layer, input) else { return Err(lost()) };
            match self.layer_pass(index, &tape.batch, tape.dropout).backward(layer, input, gradient)? {
                Some(d_input) => gradient = d_input,
                None => return Ok(()),
            }
        }
        match &tape.embedded {
            Some(embedded) => self.embeddings_backward(tape, embedded, &gradient),
            None => Err(lost()),
        }
    }

    fn embeddings_backward(
        &self,
        tape: &Tape<G>,
        embedded: &Normed<G>,
        gradient: &G::Memory,
    ) -> Result<(), GpuError> {
        let (batch, embeddings, width) = (&tape.batch, &self.layout.embeddings, self.width());
        let dropped = self.allocate_half(batch.tokens * width)?;
        self.dropout(gradient, batch.tokens, mask(tape.dropout, DropoutSite::Embeddings), &dropped)?;
        self.norm_backward(&embeddings.norm, &dropped, embedded, batch.tokens)?;
        let padding = self.config.pad_token_id;
        // As `padding_idx` has it in PyTorch.
        let position_padding = (self.config.family == Family::Roberta).then_some(padding);
        self.add_to_table(&dropped, &batch.ids, Some(padding), &embeddings.words)?;
        self.add_to_table(&dropped, &batch.position_rows, position_padding, &embeddings.positions)?;
        match &embeddings.types {
            Some(types) => {
                let first = types.start..types.start + width;
                self.sum_rows(DevicePointer::start(&dropped), width, batch.tokens, &first)
            }
            None => Ok(()),
        }
    }

    /// Adds rows of gradients to the rows of a table that they belong to, but for one row.
    fn add_to_table(
        &self,
        gradient: &G::Memory,
        rows: &[u32],
        without: Option<u32>,
        table: &Range<usize>,
    ) -> Result<(), GpuError> {
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
        let send = |numbers: &[u32]| self.gpu.upload(cast_slice(numbers));
        let (order, starts, sent_runs) = (send(&order)?, send(&starts)?, send(&runs)?);
        let arguments = [
            whole(gradient),
            whole(&order),
            whole(&starts),
            whole(&sent_runs),
            count(runs.len()),
            count(self.width()),
            KernelArgument::Pointer(sums),
        ];
        self.launch_over_rows(Kernel::AddToTable, runs.len(), 0, &arguments)
    }
}

/// What a layer reads, if it was kept.
fn input_of<'a, G: GpuBackend>(
    embedded: &'a Option<Normed<G>>,
    layers: &'a [Option<LayerTape<G>>],
    index: usize,
) -> Option<&'a G::Memory> {
    match index.checked_sub(1) {
        Some(before) => Some(&layers.get(before)?.as_ref()?.output.output),
        None => Some(&embedded.as_ref()?.output),
    }
}

fn lost() -> GpuError {
    GpuError::Failed("the backward pass goes further than what was kept for it".to_owned())
}
