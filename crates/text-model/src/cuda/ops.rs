//! Each kernel behind a function.
//!
//! It must not know the order in which a network calls them. Invariant: shapes and arguments fit the source of the kernel.

use ecommerce_ml_tensor_cpu::HeadActivation;
use ecommerce_ml_tensor_cuda::backend::{
    Accumulation, DevicePointer, GpuBackend, GpuError, Kernel, KernelArgument, Launch, Matmul, MatmulOperand,
    SHARED_BYTES,
};

use super::batch::BatchLayout;
use super::weights::{Dense, Head, LayerNorm, Layout};

/// Rows of products are a multiple of this: it is what GPUs compute at least, and so there are few shapes for which cuBLASLt has to
/// be asked how.
const ROW_STEP: usize = 128;

/// Threads that work on a row.
const WARP: usize = 32;

/// Rows that a block works on, if they fit into its shared memory.
const ROWS: usize = 4;

/// Threads of the attention kernel.
const ATTENTION_THREADS: u32 = 128;

/// The kernels over one batch.
pub(super) struct BatchOps<'a, G: GpuBackend> {
    pub(super) gpu: &'a G,
    pub(super) weights: &'a G::Memory,
    pub(super) layout: &'a Layout,
    pub(super) batch: &'a BatchLayout,
    /// The numbers of the batch.
    pub(super) numbers: &'a G::Memory,
}

/// Rows of queries, or of keys and values: where they are, and how far one is from the next.
pub(super) type StridedRows<'a, M> = (DevicePointer<'a, M>, usize);

/// What is to be normalised, and where to.
pub(super) struct ResidualSum<'a, M> {
    pub(super) left: &'a M,
    pub(super) right: &'a M,
    pub(super) output: &'a M,
    pub(super) rows: usize,
}

impl<'a, G: GpuBackend> BatchOps<'a, G> {
    /// Embeddings of all tokens, of shape `[tokens, hidden]`.
    pub(super) fn embed(&self, output: &G::Memory) -> Result<(), GpuError> {
        let (layout, batch) = (self.layout, self.batch);
        let arguments = [
            self.number(0),
            self.number(batch.positions),
            self.weight(layout.words),
            self.weight(layout.positions),
            self.weight(layout.embedding_norm.weight),
            self.weight(layout.embedding_norm.bias),
            KernelArgument::F32(layout.sizes.epsilon),
            count(layout.sizes.hidden),
            count(batch.tokens),
            whole(output),
        ];
        self.launch_over_rows(self.layout.kernels.embed, batch.tokens, &arguments)
    }

    /// The layer norm of the sum of rows, of shape `[rows, hidden]`.
    pub(super) fn add_norm(&self, norm: LayerNorm, sum: &ResidualSum<'_, G::Memory>) -> Result<(), GpuError> {
        let arguments = [
            whole(sum.left),
            whole(sum.right),
            self.weight(norm.weight),
            self.weight(norm.bias),
            KernelArgument::F32(self.layout.sizes.epsilon),
            count(self.layout.sizes.hidden),
            count(sum.rows),
            whole(sum.output),
        ];
        self.launch_over_rows(self.layout.kernels.add_norm, sum.rows, &arguments)
    }

    /// The rows of first tokens, of shape `[sequences, hidden]`.
    pub(super) fn gather_cls(&self, input: &G::Memory, output: &G::Memory) -> Result<(), GpuError> {
        self.by_sequence(Kernel::GatherRows, input, output)
    }

    /// The mean row of each sequence, of shape `[sequences, hidden]` in f32.
    pub(super) fn means(&self, input: &G::Memory, output: &G::Memory) -> Result<(), GpuError> {
        self.by_sequence(self.layout.kernels.mean, input, output)
    }

    /// A row for each sequence out of those of its tokens.
    fn by_sequence(&self, kernel: Kernel, input: &G::Memory, output: &G::Memory) -> Result<(), GpuError> {
        let rows = self.batch.sequences;
        let arguments = [
            whole(input),
            self.number(self.batch.starts),
            count(self.layout.sizes.hidden),
            count(rows),
            whole(output),
        ];
        self.launch_over_rows(kernel, rows, &arguments)
    }

    /// The outputs of a head for rows of its hidden layer, of shape `[sequences, outputs]` in f32.
    pub(super) fn classify(
        &self,
        head: &Head,
        input: &G::Memory,
        output: &G::Memory,
    ) -> Result<(), GpuError> {
        let rows = self.batch.sequences;
        let arguments = [
            whole(input),
            self.weight(head.weight),
            self.weight(head.bias),
            count(usize::from(head.activation == HeadActivation::Tanh)),
            count(self.layout.sizes.hidden),
            count(head.outputs),
            count(rows),
            whole(output),
        ];
        self.launch_over_rows(self.layout.kernels.classify, rows, &arguments)
    }

    /// Attention, of shape `[queries, heads * head_dim]`; keys come before values in their rows. Of all tokens, or only of first
    /// ones.
    pub(super) fn attend(
        &self,
        queries: StridedRows<'_, G::Memory>,
        keys_values: StridedRows<'_, G::Memory>,
        output: &G::Memory,
        only_cls: bool,
    ) -> Result<(), GpuError> {
        let (sizes, batch) = (&self.layout.sizes, self.batch);
        let (tiles, tile_count) = match only_cls {
            true => (batch.cls_tiles, batch.sequences),
            false => (batch.tiles, batch.tile_count),
        };
        let width = sizes.attention();
        let keys = keys_values.0;
        let values = DevicePointer { offset: keys.offset + 2 * width, ..keys };
        let arguments = [
            KernelArgument::Pointer(queries.0),
            count(queries.1),
            KernelArgument::Pointer(keys),
            KernelArgument::Pointer(values),
            count(keys_values.1),
            self.number(tiles),
            KernelArgument::F32(sizes.scale),
            whole(output),
            count(width),
        ];
        self.gpu.launch(&Launch {
            kernel: self.layout.kernels.attend,
            grid: [tile_count as u32, sizes.heads as u32],
            threads: ATTENTION_THREADS,
            shared_bytes: 0,
            arguments: &arguments,
        })
    }

    /// A dense layer, of shape `[rows, outputs]`. Both sides must have room for [`padded`] rows.
    pub(super) fn dense(
        &self,
        layer: &Dense,
        input: &G::Memory,
        output: &G::Memory,
        rows: usize,
    ) -> Result<(), GpuError> {
        let weight = |offset| DevicePointer { memory: self.weights, offset };
        self.gpu.matmul(&Matmul {
            numbers: self.layout.numbers,
            left: MatmulOperand { at: DevicePointer::start(input), transposed: false },
            right: MatmulOperand { at: weight(layer.weight), transposed: true },
            output: DevicePointer::start(output),
            accumulation: Accumulation::Biased(layer.epilogue),
            bias: Some(weight(layer.bias)),
            rows: padded(rows),
            inner: layer.inputs,
            columns: layer.outputs,
        })
    }

    /// Runs a kernel in which a warp works on a row.
    fn launch_over_rows(
        &self,
        kernel: Kernel,
        rows: usize,
        arguments: &[KernelArgument<'_, G::Memory>],
    ) -> Result<(), GpuError> {
        let row_bytes = self.layout.sizes.hidden * size_of::<f32>();
        let warps = (SHARED_BYTES / row_bytes).clamp(1, ROWS);
        self.gpu.launch(&Launch {
            kernel,
            grid: [rows.div_ceil(warps) as u32, 1],
            threads: (warps * WARP) as u32,
            shared_bytes: (warps * row_bytes) as u32,
            arguments,
        })
    }

    fn weight(&self, offset: usize) -> KernelArgument<'_, G::Memory> {
        KernelArgument::Pointer(DevicePointer { memory: self.weights, offset })
    }

    fn number(&self, offset: usize) -> KernelArgument<'_, G::Memory> {
        KernelArgument::Pointer(DevicePointer { memory: self.numbers, offset })
    }
}

/// Rows that a product of so many rows computes.
pub(super) fn padded(rows: usize) -> usize {
    rows.next_multiple_of(ROW_STEP)
}

fn whole<M>(memory: &M) -> KernelArgument<'_, M> {
    KernelArgument::Pointer(DevicePointer::start(memory))
}

fn count<'a, M>(number: usize) -> KernelArgument<'a, M> {
    // Sizes are capped by `ModelConfig`, tokens by the passes.
    KernelArgument::U32(number as u32)
}
