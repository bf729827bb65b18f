//! The encoder under training: forward and backward in bf16, gradients of parameters summed up in f32.
//!
//! Parameters come from the CPU in f32 after each update and are rounded here; gradients go back in f32 before it. So optimizer,
//! checkpoints and head are those of a training on the CPU, and a job can go on on another machine.
//! # Layout
//! - `sent`: batches as the kernels read them.
//! - `kernels`: each kernel and each product behind a function.
//! - `layer`: a layer, forward and backward.
//!
//! It must not know losses, optimizers or text. Invariant: numbers are left out where the training on the CPU leaves them out.

use std::ops::Range;
use std::sync::Arc;

use bytemuck::{cast_slice, cast_slice_mut};
use ecommerce_ml_protocol::{EngineError, ErrorKind, Family};
use half::bf16;

mod kernels;
mod layer;
mod sent;

use super::machine::{Argument, At, Kernel, Machine, MachineError};
use super::weights::{SHARED_BYTES, training_kernels};
use crate::config::ModelConfig;
use crate::nn::dropout::{Dropout, Place};
use crate::nn::elsewhere::Distant;
use crate::nn::network::Batch;
use crate::nn::parameters::{Gradients, Parameters};
use crate::nn::plan::Plan;
use crate::nn::{Network, Tuning};
use kernels::{count, mask, whole};
use layer::LayerWork;
use sent::Sent;

/// Bytes of a number in bf16, and in f32.
const BF16: usize = 2;
const F32: usize = 4;

/// What of the encoder is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trained {
    /// Embeddings and all layers.
    All,
    /// Layers from this one on.
    Layers(usize),
    /// The weights of queries and values, of layers from this one on.
    Adapted(usize),
}

impl Trained {
    /// Whether the backward pass has to go through a layer.
    fn reaches(self, layer: usize) -> bool {
        match self {
            Trained::All => true,
            Trained::Layers(first) | Trained::Adapted(first) => layer >= first,
        }
    }
}

/// The kernels for a width of heads.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttentionKernels {
    pub(super) forward: Kernel,
    pub(super) queries: Kernel,
    pub(super) keys: Kernel,
}

/// An encoder on a machine.
#[derive(Debug)]
pub struct DistantEncoder<M: Machine> {
    machine: Arc<M>,
    config: ModelConfig,
    plan: Plan,
    kernels: AttentionKernels,
    trained: Trained,
    /// All parameters of the encoder, in f32 and in bf16.
    exact: M::Memory,
    rounded: M::Memory,
    /// Gradients of the trained ones, from this number on.
    gradients: M::Memory,
    start: usize,
    /// Gradients of weights that have adapters, two for each layer.
    adapted: Vec<M::Memory>,
    tape: Option<Tape<M>>,
    /// Token ids since gradients were collected.
    touched: Vec<u32>,
}

/// What the backward pass needs.
#[derive(Debug)]
struct Tape<M: Machine> {
    sent: Sent<M>,
    dropout: Option<Dropout>,
    /// `None` where the backward pass doesn't need it.
    embedded: Option<Normed<M>>,
    layers: Vec<Option<LayerTape<M>>>,
}

/// A layer norm: what came out, deviations by the standard deviation, and what deviations were multiplied by.
#[derive(Debug)]
struct Normed<M: Machine> {
    output: M::Memory,
    normal: M::Memory,
    factors: M::Memory,
}

/// What a layer leaves.
#[derive(Debug)]
struct LayerTape<M: Machine> {
    /// Rows of queries of the last layer, and their inputs.
    own: Option<(M::Memory, M::Memory)>,
    /// Queries, keys and values; of the last layer keys and values.
    projected: M::Memory,
    logarithms: M::Memory,
    context: M::Memory,
    attended: Normed<M>,
    inner: M::Memory,
    active: M::Memory,
    output: Normed<M>,
}

impl<M: Machine> DistantEncoder<M> {
    /// Room on a machine for the encoder of a network; `None` if it has no kernels for it, or nothing of the encoder is trained.
    ///
    /// # Errors
    /// If the machine fails, or its memory is full.
    pub fn new(
        machine: Arc<M>,
        network: &Network,
        parameters: &Parameters,
        tuning: Tuning,
    ) -> Result<Option<Self>, EngineError> {
        let (config, plan) = (network.config().clone(), network.plan().clone());
        let (width, layers) = (config.hidden_size, config.layers);
        let (trained, start) = match tuning {
            Tuning::Full => (Trained::All, 0),
            Tuning::Frozen { layers: frozen } if frozen < layers => {
                (Trained::Layers(frozen), plan.layers[frozen].start())
            }
            Tuning::Lora { frozen } if frozen < layers => {
                (Trained::Adapted(frozen), plan.hidden.weight.start)
            }
            Tuning::Frozen { .. } | Tuning::Lora { .. } | Tuning::Head => return Ok(None),
        };
        let Some(kernels) = training_kernels(width / config.heads) else { return Ok(None) };
        let end = plan.hidden.weight.start;
        if width % 8 != 0 || config.intermediate_size % 8 != 0 || 3 * width * F32 > SHARED_BYTES {
            return Ok(None);
        }
        let adapters = if let Trained::Adapted(first) = trained { 2 * (layers - first) } else { 0 };
        let zeros = |numbers: usize| {
            let mut memory = machine.allocate((numbers * F32).max(F32))?;
            machine.clear(&mut memory)?;
            Ok::<_, MachineError>(memory)
        };
        let mut encoder = Self {
            exact: machine.allocate(end * F32)?,
            rounded: machine.allocate(end * BF16)?,
            gradients: zeros(end - start)?,
            adapted: (0..adapters).map(|_| zeros(width * width)).collect::<Result<_, _>>()?,
            machine,
            config,
            plan,
            kernels,
            trained,
            start,
            tape: None,
            touched: Vec::new(),
        };
        encoder.refresh(parameters)?;
        Ok(Some(encoder))
    }

    fn width(&self) -> usize {
        self.config.hidden_size
    }

    fn room(&self, numbers: usize) -> Result<M::Memory, MachineError> {
        self.machine.allocate(numbers * BF16)
    }

    fn exact_room(&self, numbers: usize) -> Result<M::Memory, MachineError> {
        self.machine.allocate(numbers * F32)
    }

    fn weight(&self, place: usize) -> At<'_, M::Memory> {
        At { memory: &self.rounded, offset: place * BF16 }
    }

    fn exact_weight(&self, place: usize) -> Argument<'_, M::Memory> {
        Argument::At(At { memory: &self.exact, offset: place * F32 })
    }

    /// Where the gradients of some parameters are, if these are trained.
    fn gradient(&self, range: &Range<usize>) -> Option<At<'_, M::Memory>> {
        let is_trained = !matches!(self.trained, Trained::Adapted(_)) && range.start >= self.start;
        is_trained.then(|| At { memory: &self.gradients, offset: (range.start - self.start) * F32 })
    }
}

impl<M: Machine> DistantEncoder<M> {
    fn work<'a>(&'a self, index: usize, sent: &'a Sent<M>, dropout: Option<Dropout>) -> LayerWork<'a, M> {
        LayerWork { encoder: self, index, sent, dropout }
    }

    fn run(
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

    fn back(&self, tape: &Tape<M>, d_states: &[f32]) -> Result<(), MachineError> {
        let rounded: Vec<bf16> = d_states.iter().map(|&number| bf16::from_f32(number)).collect();
        let mut gradient = self.machine.upload(cast_slice(&rounded))?;
        for (index, layer) in tape.layers.iter().enumerate().rev() {
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

    fn bring_back(&mut self, gradients: &mut Gradients) -> Result<(), MachineError> {
        let end = self.plan.hidden.weight.start;
        let read = |memory: &M::Memory, count: usize| {
            let mut numbers = vec![0.0_f32; count];
            self.machine.download(memory, cast_slice_mut(&mut numbers)).map(|()| numbers)
        };
        let add = |to: &mut [f32], from: Vec<f32>| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        if let Trained::Adapted(first) = self.trained {
            let size = self.width() * self.width();
            for (index, memory) in self.adapted.iter().enumerate() {
                add(gradients.adapted(first + index / 2, index % 2, size), read(memory, size)?);
            }
            for memory in &mut self.adapted {
                self.machine.clear(memory)?;
            }
            return Ok(());
        }
        let own = read(&self.gradients, end - self.start)?;
        add(&mut gradients.values[..end - self.start], own);
        gradients.touch(&std::mem::take(&mut self.touched));
        self.machine.clear(&mut self.gradients)
    }
}

impl<M: Machine> Distant for DistantEncoder<M> {
    fn refresh(&mut self, parameters: &Parameters) -> Result<(), EngineError> {
        let end = self.plan.hidden.weight.start;
        self.machine.replace(&mut self.exact, cast_slice(&parameters.values[..end]))?;
        let arguments = [whole(&self.exact), count(end), whole(&self.rounded)];
        Ok(self.over_numbers(Kernel::Round, end, 1, &arguments)?)
    }

    fn forward(
        &mut self,
        batch: Batch,
        dropout: Option<Dropout>,
        keeps: bool,
    ) -> Result<Vec<f32>, EngineError> {
        self.tape = None;
        let (tape, states) = self.run(batch, dropout, keeps)?;
        self.tape = keeps.then_some(tape);
        Ok(states)
    }

    fn backward(&mut self, d_states: &[f32]) -> Result<(), EngineError> {
        let nothing = || EngineError::new(ErrorKind::Internal, "a backward pass without a forward pass");
        let tape = self.tape.take().ok_or_else(nothing)?;
        if self.trained == Trained::All {
            self.touched.extend_from_slice(&tape.sent.ids);
        }
        Ok(self.back(&tape, d_states)?)
    }

    fn collect(&mut self, gradients: &mut Gradients) -> Result<(), EngineError> {
        Ok(self.bring_back(gradients)?)
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
