//! Each kernel behind a function.
//!
//! It must not know the order in which a network calls them. Invariant: shapes and arguments fit the source of the kernel.

use ecommerce_ml_tensor_cpu::HeadActivation;
use ecommerce_ml_tensor_cuda::machine::{
    Argument, At, Factor, Kernel, Launch, Machine, MachineError, Product, SHARED_BYTES, Sums,
};

use super::batch::Batch;
use super::weights::{Dense, Head, Layout, Norm};

/// Rows of products are a multiple of this: it is what GPUs compute at least, and so there are few shapes for which cuBLASLt has to
/// be asked how.
const ROW_STEP: usize = 128;

/// Threads that work on a row.
const WARP: usize = 32;

/// Rows that a block works on, if they fit into its shared memory.
const ROWS: usize = 4;

/// Threads of the attention kernel.
const ATTENTION_THREADS: u32 = 128;

/// A batch under way.
pub(super) struct Work<'a, M: Machine> {
    pub(super) machine: &'a M,
    pub(super) weights: &'a M::Memory,
    pub(super) layout: &'a Layout,
    pub(super) batch: &'a Batch,
    /// The numbers of the batch.
    pub(super) numbers: &'a M::Memory,
}

/// Rows of queries, or of keys and values: where they are, and how far one is from the next.
pub(super) type Strided<'a, M> = (At<'a, M>, usize);

/// What is to be normalised, and where to.
pub(super) struct Sum<'a, M> {
    pub(super) left: &'a M,
    pub(super) right: &'a M,
    pub(super) output: &'a M,
    pub(super) rows: usize,
}

impl<'a, M: Machine> Work<'a, M> {
    /// Embeddings of all tokens, of shape `[tokens, hidden]`.
    pub(super) fn embed(&self, output: &M::Memory) -> Result<(), MachineError> {
        let (layout, batch) = (self.layout, self.batch);
        let arguments = [
            self.number(0),
            self.number(batch.positions),
            self.weight(layout.words),
            self.weight(layout.positions),
            self.weight(layout.embedding_norm.gain),
            self.weight(layout.embedding_norm.shift),
            Argument::Number(layout.sizes.epsilon),
            count(layout.sizes.hidden),
            count(batch.tokens),
            whole(output),
        ];
        self.over_rows(self.layout.kernels.embed, batch.tokens, &arguments)
    }

    /// The layer norm of the sum of rows, of shape `[rows, hidden]`.
    pub(super) fn add_norm(&self, norm: Norm, sum: &Sum<'_, M::Memory>) -> Result<(), MachineError> {
        let arguments = [
            whole(sum.left),
            whole(sum.right),
            self.weight(norm.gain),
            self.weight(norm.shift),
            Argument::Number(self.layout.sizes.epsilon),
            count(self.layout.sizes.hidden),
            count(sum.rows),
            whole(sum.output),
        ];
        self.over_rows(self.layout.kernels.add_norm, sum.rows, &arguments)
    }

    /// The rows of first tokens, of shape `[sequences, hidden]`.
    pub(super) fn firsts(&self, input: &M::Memory, output: &M::Memory) -> Result<(), MachineError> {
        self.by_sequence(Kernel::Choose, input, output)
    }

    /// The mean row of each sequence, of shape `[sequences, hidden]` in f32.
    pub(super) fn means(&self, input: &M::Memory, output: &M::Memory) -> Result<(), MachineError> {
        self.by_sequence(self.layout.kernels.mean, input, output)
    }

    /// A row for each sequence out of those of its tokens.
    fn by_sequence(&self, kernel: Kernel, input: &M::Memory, output: &M::Memory) -> Result<(), MachineError> {
        let rows = self.batch.sequences;
        let arguments = [
            whole(input),
            self.number(self.batch.starts),
            count(self.layout.sizes.hidden),
            count(rows),
            whole(output),
        ];
        self.over_rows(kernel, rows, &arguments)
    }

    /// The outputs of a head for rows of its hidden layer, of shape `[sequences, outputs]` in f32.
    pub(super) fn classify(
        &self,
        head: &Head,
        input: &M::Memory,
        output: &M::Memory,
    ) -> Result<(), MachineError> {
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
        self.over_rows(self.layout.kernels.classify, rows, &arguments)
    }

    /// Attention, of shape `[queries, heads * depth]`; keys come before values in their rows. Of all tokens, or only of first
    /// ones.
    pub(super) fn attend(
        &self,
        queries: Strided<'_, M::Memory>,
        keys_values: Strided<'_, M::Memory>,
        output: &M::Memory,
        only_firsts: bool,
    ) -> Result<(), MachineError> {
        let (sizes, batch) = (&self.layout.sizes, self.batch);
        let (tiles, tile_count) = match only_firsts {
            true => (batch.first_tiles, batch.sequences),
            false => (batch.tiles, batch.tile_count),
        };
        let width = sizes.attention();
        let keys = keys_values.0;
        let values = At { offset: keys.offset + 2 * width, ..keys };
        let arguments = [
            Argument::At(queries.0),
            count(queries.1),
            Argument::At(keys),
            Argument::At(values),
            count(keys_values.1),
            self.number(tiles),
            Argument::Number(sizes.scale),
            whole(output),
            count(width),
        ];
        self.machine.launch(&Launch {
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
        input: &M::Memory,
        output: &M::Memory,
        rows: usize,
    ) -> Result<(), MachineError> {
        let weight = |offset| At { memory: self.weights, offset };
        self.machine.multiply(&Product {
            numbers: self.layout.numbers,
            left: Factor { at: At::start(input), transposed: false },
            right: Factor { at: weight(layer.weight), transposed: true },
            output: At::start(output),
            sums: Sums::Biased(layer.epilogue),
            bias: Some(weight(layer.bias)),
            rows: padded(rows),
            inner: layer.inputs,
            columns: layer.outputs,
        })
    }

    /// Runs a kernel in which a warp works on a row.
    fn over_rows(
        &self,
        kernel: Kernel,
        rows: usize,
        arguments: &[Argument<'_, M::Memory>],
    ) -> Result<(), MachineError> {
        let row_bytes = self.layout.sizes.hidden * size_of::<f32>();
        let warps = (SHARED_BYTES / row_bytes).clamp(1, ROWS);
        self.machine.launch(&Launch {
            kernel,
            grid: [rows.div_ceil(warps) as u32, 1],
            threads: (warps * WARP) as u32,
            shared_bytes: (warps * row_bytes) as u32,
            arguments,
        })
    }

    fn weight(&self, offset: usize) -> Argument<'_, M::Memory> {
        Argument::At(At { memory: self.weights, offset })
    }

    fn number(&self, offset: usize) -> Argument<'_, M::Memory> {
        Argument::At(At { memory: self.numbers, offset })
    }
}

/// Rows that a product of so many rows computes.
pub(super) fn padded(rows: usize) -> usize {
    rows.next_multiple_of(ROW_STEP)
}

fn whole<M>(memory: &M) -> Argument<'_, M> {
    Argument::At(At::start(memory))
}

fn count<'a, M>(number: usize) -> Argument<'a, M> {
    // Sizes are capped by `ModelConfig`, tokens by the passes.
    Argument::Count(number as u32)
}
