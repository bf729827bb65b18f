//! Each kernel of training, and each product, behind a function.
//!
//! It must not know the order in which a network calls them. Invariant: shapes and arguments fit the source of the kernel.

use std::ops::Range;

use ecommerce_ml_checkpoint::config::Activation;
use ecommerce_ml_tensor_cuda::machine::{
    Argument, At, Epilogue, Factor, Kernel, Launch, Machine, MachineError, Narrow, Product, SHARED_BYTES,
    Sums,
};

use super::passes::Normed;
use super::sent::Sent;
use super::{BF16, DeviceEncoder, F32};
use crate::nn::dropout::{Dropout, Mask, Place};
use crate::nn::plan::{DensePlan, NormPlan};

/// Threads of a warp, and of blocks that work on numbers.
const WARP: usize = 32;
const BLOCK: usize = 128;

/// Threads of a block that adds partial sums up.
const PARTIAL_THREADS: usize = 512;

/// Rows that a warp sums up; as the kernels have it.
const ROWS_OF_WARP: usize = 16;

/// Key, share and scale of what is left out.
pub(super) type MaskArguments<'a, N> = [Argument<'a, N>; 3];

impl<M: Machine> DeviceEncoder<M> {
    pub(super) fn launch(
        &self,
        kernel: Kernel,
        (blocks, threads): (usize, usize),
        shared_bytes: usize,
        arguments: &[Argument<'_, M::Memory>],
    ) -> Result<(), MachineError> {
        self.machine.launch(&Launch {
            kernel,
            grid: [blocks as u32, 1],
            threads: threads as u32,
            shared_bytes: shared_bytes as u32,
            arguments,
        })
    }

    /// A kernel in which a warp works on a row, or on a group of rows, with so many numbers of shared memory.
    pub(super) fn over_rows(
        &self,
        kernel: Kernel,
        rows: usize,
        numbers: usize,
        arguments: &[Argument<'_, M::Memory>],
    ) -> Result<(), MachineError> {
        let warps = if numbers == 0 { 4 } else { (SHARED_BYTES / (numbers * F32)).clamp(1, 4) };
        self.launch(kernel, (rows.div_ceil(warps), warps * WARP), warps * numbers * F32, arguments)
    }

    /// A kernel in which a thread works on `each` numbers.
    pub(super) fn over_numbers(
        &self,
        kernel: Kernel,
        numbers: usize,
        each: usize,
        arguments: &[Argument<'_, M::Memory>],
    ) -> Result<(), MachineError> {
        self.launch(kernel, (numbers.div_ceil(each * BLOCK), BLOCK), 0, arguments)
    }

    fn norm_arguments(&self, norm: &NormPlan) -> MaskArguments<'_, M::Memory> {
        let epsilon = self.config.layer_norm_eps as f32;
        [self.exact_weight(norm.weight.start), self.exact_weight(norm.bias.start), Argument::Number(epsilon)]
    }

    /// Room for what a layer norm leaves.
    pub(super) fn normed(&self, rows: usize) -> Result<Normed<M>, MachineError> {
        let width = self.width();
        Ok(Normed {
            output: self.room(rows * width)?,
            normal: self.room(rows * width)?,
            factors: self.exact_room(rows)?,
        })
    }

    pub(super) fn embed(&self, sent: &Sent<M>, dropout: Option<Dropout>) -> Result<Normed<M>, MachineError> {
        let normed = self.normed(sent.tokens)?;
        let embeddings = &self.plan.embeddings;
        let zeros;
        let types = match &embeddings.types {
            Some(types) => self.weight(types.start),
            None => {
                zeros = self.machine.upload(&vec![0; self.width() * BF16])?;
                At::start(&zeros)
            }
        };
        let [gain, shift, epsilon] = self.norm_arguments(&embeddings.norm);
        let [key, share, scale] = mask(dropout, Place::Embeddings);
        let arguments = [
            sent.number(0),
            sent.number(sent.positions),
            Argument::At(self.weight(embeddings.words.start)),
            Argument::At(self.weight(embeddings.positions.start)),
            Argument::At(types),
            gain,
            shift,
            epsilon,
            count(self.width()),
            count(sent.tokens),
            key,
            share,
            scale,
            whole(&normed.output),
            whole(&normed.normal),
            whole(&normed.factors),
        ];
        self.over_rows(Kernel::EmbedTraining, sent.tokens, self.width(), &arguments)?;
        Ok(normed)
    }

    /// The layer norm of a sum, of whose left side some is left out.
    pub(super) fn add_norm(
        &self,
        norm: &NormPlan,
        (left, mask): (&M::Memory, MaskArguments<'_, M::Memory>),
        right: &M::Memory,
        rows: usize,
    ) -> Result<Normed<M>, MachineError> {
        let normed = self.normed(rows)?;
        let [gain, shift, epsilon] = self.norm_arguments(norm);
        let [key, share, scale] = mask;
        let arguments = [
            whole(left),
            whole(right),
            gain,
            shift,
            epsilon,
            count(self.width()),
            count(rows),
            key,
            share,
            scale,
            whole(&normed.output),
            whole(&normed.normal),
            whole(&normed.factors),
        ];
        self.over_rows(Kernel::AddNormTraining, rows, self.width(), &arguments)?;
        Ok(normed)
    }

    /// From the gradient of a layer norm's output to that of its input, in its place.
    pub(super) fn norm_back(
        &self,
        norm: &NormPlan,
        gradient: &M::Memory,
        normed: &Normed<M>,
        rows: usize,
    ) -> Result<(), MachineError> {
        let (width, groups) = (self.width(), rows.div_ceil(ROWS_OF_WARP));
        let partial = self.exact_room(groups * 2 * width)?;
        let arguments = [
            whole(gradient),
            whole(&normed.normal),
            whole(&normed.factors),
            self.exact_weight(norm.weight.start),
            count(width),
            count(rows),
            whole(&partial),
        ];
        self.over_rows(Kernel::NormBack, groups, 3 * width, &arguments)?;
        // The bias lies behind the weight, as the partial sums do.
        self.add_partial(&partial, 2 * width, groups, &(norm.weight.start..norm.bias.end))
    }

    fn add_partial(
        &self,
        partial: &M::Memory,
        width: usize,
        rows: usize,
        to: &Range<usize>,
    ) -> Result<(), MachineError> {
        let Some(sums) = self.gradient(to) else { return Ok(()) };
        let arguments = [whole(partial), count(width), count(rows), Argument::At(sums)];
        let blocks = (width.div_ceil(WARP), PARTIAL_THREADS);
        self.launch(Kernel::AddPartial, blocks, PARTIAL_THREADS * F32, &arguments)
    }

    /// Adds the sum of all rows of `width` numbers to the gradients of some parameters.
    pub(super) fn sum_rows(
        &self,
        rows_of: At<'_, M::Memory>,
        width: usize,
        rows: usize,
        to: &Range<usize>,
    ) -> Result<(), MachineError> {
        if self.gradient(to).is_none() {
            return Ok(());
        }
        let groups = rows.div_ceil(ROWS_OF_WARP);
        let partial = self.exact_room(groups * width)?;
        let arguments = [Argument::At(rows_of), count(width), count(rows), whole(&partial)];
        self.over_rows(Kernel::SumRows, groups, 0, &arguments)?;
        self.add_partial(&partial, width, groups, to)
    }

    /// Some numbers of rows left out.
    pub(super) fn leave_out(
        &self,
        input: &M::Memory,
        rows: usize,
        mask: MaskArguments<'_, M::Memory>,
        output: &M::Memory,
    ) -> Result<(), MachineError> {
        let [key, share, scale] = mask;
        let arguments = [whole(input), count(self.width()), count(rows), key, share, scale, whole(output)];
        self.over_rows(Kernel::LeaveOut, rows, 0, &arguments)
    }

    pub(super) fn activation(&self) -> Argument<'_, M::Memory> {
        Argument::Count(match self.config.activation {
            Activation::GeluErf => 0,
            Activation::GeluTanh => 1,
            Activation::Relu => 2,
        })
    }

    /// `output = input weightᵀ + bias`.
    pub(super) fn dense(
        &self,
        plan: &DensePlan,
        input: &M::Memory,
        output: &M::Memory,
        rows: usize,
    ) -> Result<(), MachineError> {
        self.machine.multiply(&Product {
            numbers: Narrow::Bf16,
            left: Factor { at: At::start(input), transposed: false },
            right: Factor { at: self.weight(plan.weight.start), transposed: true },
            output: At::start(output),
            sums: Sums::Biased(Epilogue::None),
            bias: Some(self.weight(plan.bias.start)),
            rows,
            inner: plan.inputs,
            columns: plan.outputs,
        })
    }

    /// `d_input = gradient weight`, or added to what is there.
    pub(super) fn dense_input(
        &self,
        plan: &DensePlan,
        gradient: At<'_, M::Memory>,
        d_input: &M::Memory,
        rows: usize,
        sums: Sums,
    ) -> Result<(), MachineError> {
        self.machine.multiply(&Product {
            numbers: Narrow::Bf16,
            left: Factor { at: gradient, transposed: false },
            right: Factor { at: self.weight(plan.weight.start), transposed: false },
            output: At::start(d_input),
            sums,
            bias: None,
            rows,
            inner: plan.outputs,
            columns: plan.inputs,
        })
    }

    /// Adds the gradients of a dense layer's weight and bias.
    pub(super) fn dense_back(
        &self,
        plan: &DensePlan,
        gradient: At<'_, M::Memory>,
        input: &M::Memory,
        rows: usize,
    ) -> Result<(), MachineError> {
        let Some(output) = self.gradient(&plan.weight) else { return Ok(()) };
        self.weight_back((gradient, plan.outputs), (input, plan.inputs), rows, output)?;
        self.sum_rows(gradient, plan.outputs, rows, &plan.bias)
    }

    /// Adds `gradientᵀ input`.
    pub(super) fn weight_back(
        &self,
        (gradient, outputs): (At<'_, M::Memory>, usize),
        (input, inputs): (&M::Memory, usize),
        rows: usize,
        output: At<'_, M::Memory>,
    ) -> Result<(), MachineError> {
        self.machine.multiply(&Product {
            numbers: Narrow::Bf16,
            left: Factor { at: gradient, transposed: true },
            right: Factor { at: At::start(input), transposed: false },
            output,
            sums: Sums::AddExact,
            bias: None,
            rows: outputs,
            inner: rows,
            columns: inputs,
        })
    }
}

/// Key, share and scale of a place's mask.
pub(super) fn mask<'a, N>(dropout: Option<Dropout>, place: Place) -> MaskArguments<'a, N> {
    match dropout.and_then(|dropout| dropout.mask(place)) {
        Some(Mask { key, share, scale }) => {
            [Argument::Bits(key), Argument::Count(share as u32), Argument::Number(scale)]
        }
        None => [Argument::Bits(0), Argument::Count(0), Argument::Number(1.0)],
    }
}

pub(super) fn whole<N>(memory: &N) -> Argument<'_, N> {
    Argument::At(At::start(memory))
}

pub(super) fn count<'a, N>(number: usize) -> Argument<'a, N> {
    Argument::Count(number as u32)
}
