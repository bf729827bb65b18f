//! Each kernel of training, and each product, behind a function.
//!
//! It must not know the order in which a network calls them. Invariant: shapes and arguments fit the source of the kernel.

use std::ops::Range;

use ecommerce_ml_checkpoint::config::Activation;
use ecommerce_ml_tensor_cuda::backend::{
    Accumulation, DevicePointer, Epilogue, GpuBackend, GpuError, HalfPrecision, Kernel, KernelArgument,
    Launch, Matmul, MatmulOperand, SHARED_BYTES,
};

use super::device_batch::DeviceBatch;
use super::passes::Normed;
use super::{BF16, DeviceEncoder, F32};
use crate::nn::dropout::{Dropout, DropoutSite, Mask};
use crate::nn::layout::{DenseLayout, NormLayout};

/// Threads of a warp, and of blocks that work on numbers.
const WARP: usize = 32;
const BLOCK: usize = 128;

/// Threads of a block that adds partial sums up.
const PARTIAL_THREADS: usize = 512;

/// Rows that a warp sums up; as the kernels have it.
const ROWS_OF_WARP: usize = 16;

/// Key, threshold and scale of what is left out.
pub(super) type MaskArguments<'a, N> = [KernelArgument<'a, N>; 3];

impl<G: GpuBackend> DeviceEncoder<G> {
    pub(super) fn launch(
        &self,
        kernel: Kernel,
        (blocks, threads): (usize, usize),
        shared_bytes: usize,
        arguments: &[KernelArgument<'_, G::Memory>],
    ) -> Result<(), GpuError> {
        self.gpu.launch(&Launch {
            kernel,
            grid: [blocks as u32, 1],
            threads: threads as u32,
            shared_bytes: shared_bytes as u32,
            arguments,
        })
    }

    /// A kernel in which a warp works on a row, or on a group of rows, with so many numbers of shared memory.
    pub(super) fn launch_over_rows(
        &self,
        kernel: Kernel,
        rows: usize,
        numbers: usize,
        arguments: &[KernelArgument<'_, G::Memory>],
    ) -> Result<(), GpuError> {
        let warps = if numbers == 0 { 4 } else { (SHARED_BYTES / (numbers * F32)).clamp(1, 4) };
        self.launch(kernel, (rows.div_ceil(warps), warps * WARP), warps * numbers * F32, arguments)
    }

    /// A kernel in which a thread works on `each` numbers.
    pub(super) fn launch_over_numbers(
        &self,
        kernel: Kernel,
        numbers: usize,
        each: usize,
        arguments: &[KernelArgument<'_, G::Memory>],
    ) -> Result<(), GpuError> {
        self.launch(kernel, (numbers.div_ceil(each * BLOCK), BLOCK), 0, arguments)
    }

    fn norm_arguments(&self, norm: &NormLayout) -> MaskArguments<'_, G::Memory> {
        let epsilon = self.config.layer_norm_eps as f32;
        [
            self.master_weight(norm.weight.start),
            self.master_weight(norm.bias.start),
            KernelArgument::F32(epsilon),
        ]
    }

    /// Room for what a layer norm leaves.
    pub(super) fn normed(&self, rows: usize) -> Result<Normed<G>, GpuError> {
        let width = self.width();
        Ok(Normed {
            output: self.allocate_half(rows * width)?,
            normal: self.allocate_half(rows * width)?,
            factors: self.allocate_f32(rows)?,
        })
    }

    pub(super) fn embed(
        &self,
        batch: &DeviceBatch<G>,
        dropout: Option<Dropout>,
    ) -> Result<Normed<G>, GpuError> {
        let normed = self.normed(batch.tokens)?;
        let embeddings = &self.layout.embeddings;
        let zeros;
        let types = match &embeddings.types {
            Some(types) => self.weight(types.start),
            None => {
                zeros = self.gpu.upload(&vec![0; self.width() * BF16])?;
                DevicePointer::start(&zeros)
            }
        };
        let [gain, shift, epsilon] = self.norm_arguments(&embeddings.norm);
        let [key, threshold, scale] = mask(dropout, DropoutSite::Embeddings);
        let arguments = [
            batch.number(0),
            batch.number(batch.positions),
            KernelArgument::Pointer(self.weight(embeddings.words.start)),
            KernelArgument::Pointer(self.weight(embeddings.positions.start)),
            KernelArgument::Pointer(types),
            gain,
            shift,
            epsilon,
            count(self.width()),
            count(batch.tokens),
            key,
            threshold,
            scale,
            whole(&normed.output),
            whole(&normed.normal),
            whole(&normed.factors),
        ];
        self.launch_over_rows(Kernel::EmbedTraining, batch.tokens, self.width(), &arguments)?;
        Ok(normed)
    }

    /// The layer norm of a sum, of whose left side some is left out.
    pub(super) fn add_norm(
        &self,
        norm: &NormLayout,
        (left, mask): (&G::Memory, MaskArguments<'_, G::Memory>),
        right: &G::Memory,
        rows: usize,
    ) -> Result<Normed<G>, GpuError> {
        let normed = self.normed(rows)?;
        let [gain, shift, epsilon] = self.norm_arguments(norm);
        let [key, threshold, scale] = mask;
        let arguments = [
            whole(left),
            whole(right),
            gain,
            shift,
            epsilon,
            count(self.width()),
            count(rows),
            key,
            threshold,
            scale,
            whole(&normed.output),
            whole(&normed.normal),
            whole(&normed.factors),
        ];
        self.launch_over_rows(Kernel::AddNormTraining, rows, self.width(), &arguments)?;
        Ok(normed)
    }

    /// From the gradient of a layer norm's output to that of its input, in its place.
    pub(super) fn norm_backward(
        &self,
        norm: &NormLayout,
        gradient: &G::Memory,
        normed: &Normed<G>,
        rows: usize,
    ) -> Result<(), GpuError> {
        let (width, groups) = (self.width(), rows.div_ceil(ROWS_OF_WARP));
        let partial = self.allocate_f32(groups * 2 * width)?;
        let arguments = [
            whole(gradient),
            whole(&normed.normal),
            whole(&normed.factors),
            self.master_weight(norm.weight.start),
            count(width),
            count(rows),
            whole(&partial),
        ];
        self.launch_over_rows(Kernel::NormBack, groups, 3 * width, &arguments)?;
        // The bias lies behind the weight, as the partial sums do.
        self.add_partial(&partial, 2 * width, groups, &(norm.weight.start..norm.bias.end))
    }

    fn add_partial(
        &self,
        partial: &G::Memory,
        width: usize,
        rows: usize,
        to: &Range<usize>,
    ) -> Result<(), GpuError> {
        let Some(sums) = self.gradient(to) else { return Ok(()) };
        let arguments = [whole(partial), count(width), count(rows), KernelArgument::Pointer(sums)];
        let blocks = (width.div_ceil(WARP), PARTIAL_THREADS);
        self.launch(Kernel::AddPartial, blocks, PARTIAL_THREADS * F32, &arguments)
    }

    /// Adds the sum of all rows of `width` numbers to the gradients of some parameters.
    pub(super) fn sum_rows(
        &self,
        rows_of: DevicePointer<'_, G::Memory>,
        width: usize,
        rows: usize,
        to: &Range<usize>,
    ) -> Result<(), GpuError> {
        if self.gradient(to).is_none() {
            return Ok(());
        }
        let groups = rows.div_ceil(ROWS_OF_WARP);
        let partial = self.allocate_f32(groups * width)?;
        let arguments = [KernelArgument::Pointer(rows_of), count(width), count(rows), whole(&partial)];
        self.launch_over_rows(Kernel::SumRows, groups, 0, &arguments)?;
        self.add_partial(&partial, width, groups, to)
    }

    /// Some numbers of rows left out.
    pub(super) fn dropout(
        &self,
        input: &G::Memory,
        rows: usize,
        mask: MaskArguments<'_, G::Memory>,
        output: &G::Memory,
    ) -> Result<(), GpuError> {
        let [key, threshold, scale] = mask;
        let arguments =
            [whole(input), count(self.width()), count(rows), key, threshold, scale, whole(output)];
        self.launch_over_rows(Kernel::Dropout, rows, 0, &arguments)
    }

    pub(super) fn activation(&self) -> KernelArgument<'_, G::Memory> {
        KernelArgument::U32(match self.config.activation {
            Activation::GeluErf => 0,
            Activation::GeluTanh => 1,
            Activation::Relu => 2,
        })
    }

    /// `output = input weightᵀ + bias`.
    pub(super) fn dense(
        &self,
        layout: &DenseLayout,
        input: &G::Memory,
        output: &G::Memory,
        rows: usize,
    ) -> Result<(), GpuError> {
        self.gpu.matmul(&Matmul {
            numbers: HalfPrecision::Bf16,
            left: MatmulOperand { at: DevicePointer::start(input), transposed: false },
            right: MatmulOperand { at: self.weight(layout.weight.start), transposed: true },
            output: DevicePointer::start(output),
            accumulation: Accumulation::Biased(Epilogue::None),
            bias: Some(self.weight(layout.bias.start)),
            rows,
            inner: layout.inputs,
            columns: layout.outputs,
        })
    }

    /// `d_input = gradient weight`, or added to what is there.
    pub(super) fn dense_input(
        &self,
        layout: &DenseLayout,
        gradient: DevicePointer<'_, G::Memory>,
        d_input: &G::Memory,
        rows: usize,
        accumulation: Accumulation,
    ) -> Result<(), GpuError> {
        self.gpu.matmul(&Matmul {
            numbers: HalfPrecision::Bf16,
            left: MatmulOperand { at: gradient, transposed: false },
            right: MatmulOperand { at: self.weight(layout.weight.start), transposed: false },
            output: DevicePointer::start(d_input),
            accumulation,
            bias: None,
            rows,
            inner: layout.outputs,
            columns: layout.inputs,
        })
    }

    /// Adds the gradients of a dense layer's weight and bias.
    pub(super) fn dense_backward(
        &self,
        layout: &DenseLayout,
        gradient: DevicePointer<'_, G::Memory>,
        input: &G::Memory,
        rows: usize,
    ) -> Result<(), GpuError> {
        let Some(output) = self.gradient(&layout.weight) else { return Ok(()) };
        self.weight_backward((gradient, layout.outputs), (input, layout.inputs), rows, output)?;
        self.sum_rows(gradient, layout.outputs, rows, &layout.bias)
    }

    /// Adds `gradientᵀ input`.
    pub(super) fn weight_backward(
        &self,
        (gradient, outputs): (DevicePointer<'_, G::Memory>, usize),
        (input, inputs): (&G::Memory, usize),
        rows: usize,
        output: DevicePointer<'_, G::Memory>,
    ) -> Result<(), GpuError> {
        self.gpu.matmul(&Matmul {
            numbers: HalfPrecision::Bf16,
            left: MatmulOperand { at: gradient, transposed: true },
            right: MatmulOperand { at: DevicePointer::start(input), transposed: false },
            output,
            accumulation: Accumulation::AddF32,
            bias: None,
            rows: outputs,
            inner: rows,
            columns: inputs,
        })
    }
}

/// Key, threshold and scale of a site's mask.
pub(super) fn mask<'a, N>(dropout: Option<Dropout>, site: DropoutSite) -> MaskArguments<'a, N> {
    match dropout.and_then(|dropout| dropout.mask(site)) {
        Some(Mask { key, threshold, scale }) => {
            [KernelArgument::U64(key), KernelArgument::U32(threshold as u32), KernelArgument::F32(scale)]
        }
        None => [KernelArgument::U64(0), KernelArgument::U32(0), KernelArgument::F32(1.0)],
    }
}

pub(super) fn whole<N>(memory: &N) -> KernelArgument<'_, N> {
    KernelArgument::Pointer(DevicePointer::start(memory))
}

pub(super) fn count<'a, N>(number: usize) -> KernelArgument<'a, N> {
    KernelArgument::U32(number as u32)
}
