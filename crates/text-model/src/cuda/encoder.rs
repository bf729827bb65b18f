//! Batches of sequences through the kernels.
//!
//! It must not know text, labels or files of models. Invariant: of the last layer only first tokens are computed where only they
//! are wanted; all tokens are keys and values all the same.

use std::sync::Arc;

use bytemuck::{cast_slice, cast_slice_mut};
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_tensor_cpu::Sequence;
use ecommerce_ml_tensor_cuda::backend::{DevicePointer, GpuBackend, GpuError, HalfPrecision};

use super::DeviceModel;
use super::batch::BatchLayout;
use super::ops::{BatchOps, ResidualSum, padded};
use super::weights::{Head, Layer, Layout, NetworkWeights};
use crate::deferred::Deferred;
use crate::output::ForwardOutput;

/// Tokens of a pass, unless a single sequence has more: enough for all processors of a large GPU.
const PASS_TOKENS: usize = 32_768;

/// Bytes of a number.
const BYTES: usize = HalfPrecision::BYTES;

/// A network in a GPU's memory.
#[derive(Debug)]
pub struct Encoder<G: GpuBackend> {
    gpu: Arc<G>,
    weights: G::Memory,
    layout: Arc<Layout>,
}

impl<G: GpuBackend> Encoder<G> {
    /// Brings the weights to the GPU.
    ///
    /// # Errors
    /// If there is no room, or the GPU fails.
    pub fn new(gpu: Arc<G>, weights: &NetworkWeights) -> Result<Self, GpuError> {
        let memory = gpu.upload(&weights.bytes)?;
        Ok(Self { gpu, weights: memory, layout: Arc::clone(&weights.layout) })
    }

    /// Begins with sequences together, or with half of them after the other if there is no room.
    fn pass_or_halves(
        &self,
        sequences: &[Sequence<'_>],
        output: ForwardOutput,
        parts: &mut Vec<PassOutput<G>>,
    ) -> Result<(), EngineError> {
        match self.pass(sequences, output) {
            Ok(part) => {
                parts.push(part);
                Ok(())
            }
            Err(PassError::Gpu(GpuError::OutOfMemory)) if sequences.len() > 1 => {
                let (first, second) = sequences.split_at(sequences.len() / 2);
                self.pass_or_halves(first, output, parts)?;
                self.pass_or_halves(second, output, parts)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the GPU all work for some sequences.
    fn pass(&self, sequences: &[Sequence<'_>], output: ForwardOutput) -> Result<PassOutput<G>, PassError> {
        let (batch, numbers) = BatchLayout::new(sequences);
        let numbers = self.gpu.upload(cast_slice(&numbers))?;
        let ops = BatchOps {
            gpu: &*self.gpu,
            weights: &self.weights,
            layout: &self.layout,
            batch: &batch,
            numbers: &numbers,
        };
        let activations = Activations::new(&*self.gpu, &self.layout, batch.tokens)?;
        ops.embed(&activations.hidden)?;
        let (width, numbers) = match (output, &self.layout.head) {
            (ForwardOutput::Embedding, _) => {
                for layer in &self.layout.layers {
                    activations.layer(&ops, layer)?;
                }
                let width = self.layout.sizes.hidden;
                let means = self.gpu.allocate(batch.sequences * width * size_of::<f32>())?;
                ops.means(&activations.hidden, &means)?;
                (width, means)
            }
            (ForwardOutput::Head, Some(head)) => {
                let cls = activations.layers_to_cls(&ops, &self.layout.layers)?;
                (head.outputs, activations.head(&ops, head, &cls)?)
            }
            (ForwardOutput::Head, None) => return Err(PassError::WithoutHead),
        };
        let download = self.gpu.start_download(&numbers, batch.sequences * width * size_of::<f32>())?;
        Ok(PassOutput { download, sequences: batch.sequences, width })
    }
}

impl<G: GpuBackend> DeviceModel for Encoder<G> {
    fn begin(
        &self,
        sequences: &[Sequence<'_>],
        output: ForwardOutput,
    ) -> Result<Deferred<Vec<Vec<f32>>>, EngineError> {
        let mut parts = Vec::new();
        for pass in passes(sequences) {
            self.pass_or_halves(pass, output, &mut parts)?;
        }
        let gpu = Arc::clone(&self.gpu);
        Ok(Deferred::Pending(Box::new(move || {
            let rows = parts.into_iter().map(|part| part.rows(&*gpu)).collect::<Result<Vec<_>, _>>()?;
            Ok(rows.concat())
        })))
    }
}

/// What a pass will come to: a row of `width` numbers in f32 for each sequence.
struct PassOutput<G: GpuBackend> {
    download: G::Download,
    sequences: usize,
    width: usize,
}

impl<G: GpuBackend> PassOutput<G> {
    /// Waits for it.
    fn rows(self, gpu: &G) -> Result<Vec<Vec<f32>>, GpuError> {
        let mut numbers = vec![0.0_f32; self.sequences * self.width];
        gpu.finish_download(self.download, cast_slice_mut(&mut numbers))?;
        Ok(numbers.chunks_exact(self.width).map(<[f32]>::to_vec).collect())
    }
}

/// Why a pass failed.
enum PassError {
    Gpu(GpuError),
    WithoutHead,
}

impl From<GpuError> for PassError {
    fn from(error: GpuError) -> Self {
        PassError::Gpu(error)
    }
}

impl From<PassError> for EngineError {
    fn from(error: PassError) -> Self {
        match error {
            PassError::Gpu(error) => error.into(),
            PassError::WithoutHead => EngineError::new(ErrorKind::InvalidRequest, "the network has no head"),
        }
    }
}

/// Memory of a pass.
struct Activations<G: GpuBackend> {
    /// Shape `[tokens, hidden]`.
    hidden: G::Memory,
    /// What is added to the hidden states; the same shape.
    change: G::Memory,
    /// Shape `[tokens, attention]`.
    context: G::Memory,
    /// Queries, keys and values, later the inner states of the feed-forward part.
    wide: G::Memory,
}

impl<G: GpuBackend> Activations<G> {
    fn new(gpu: &G, layout: &Layout, tokens: usize) -> Result<Self, GpuError> {
        let sizes = &layout.sizes;
        let room = |width: usize| gpu.allocate(padded(tokens) * width * BYTES);
        Ok(Self {
            hidden: room(sizes.hidden)?,
            change: room(sizes.hidden)?,
            context: room(sizes.attention())?,
            wide: room(sizes.inner.max(3 * sizes.attention()))?,
        })
    }

    /// A layer over all tokens.
    fn layer(&self, ops: &BatchOps<'_, G>, layer: &Layer) -> Result<(), GpuError> {
        let (tokens, width) = (ops.batch.tokens, ops.layout.sizes.attention());
        ops.dense(&layer.projections, &self.hidden, &self.wide, tokens)?;
        let keys = DevicePointer { memory: &self.wide, offset: width * BYTES };
        ops.attend((DevicePointer::start(&self.wide), 3 * width), (keys, 3 * width), &self.context, false)?;
        self.rest_of_layer(ops, layer, &self.hidden, tokens)
    }

    /// All layers, the last one over first tokens only; their hidden states, of shape `[sequences, hidden]`.
    fn layers_to_cls(&self, ops: &BatchOps<'_, G>, layers: &[Layer]) -> Result<G::Memory, GpuError> {
        let sizes = &ops.layout.sizes;
        let (tokens, sequences, width) = (ops.batch.tokens, ops.batch.sequences, sizes.attention());
        let cls = ops.gpu.allocate(padded(sequences) * sizes.hidden * BYTES)?;
        let Some((last, before)) = layers.split_last() else {
            ops.gather_cls(&self.hidden, &cls)?;
            return Ok(cls);
        };
        for layer in before {
            self.layer(ops, layer)?;
        }
        ops.gather_cls(&self.hidden, &cls)?;
        let queries = ops.gpu.allocate(padded(sequences) * width * BYTES)?;
        ops.dense(&last.projections.part(0..width), &cls, &queries, sequences)?;
        ops.dense(&last.projections.part(width..3 * width), &self.hidden, &self.wide, tokens)?;
        let keys = DevicePointer::start(&self.wide);
        ops.attend((DevicePointer::start(&queries), width), (keys, 2 * width), &self.context, true)?;
        self.rest_of_layer(ops, last, &cls, sequences)?;
        Ok(cls)
    }

    /// What comes after attention, for hidden states that are replaced.
    fn rest_of_layer(
        &self,
        ops: &BatchOps<'_, G>,
        layer: &Layer,
        hidden: &G::Memory,
        rows: usize,
    ) -> Result<(), GpuError> {
        let sum = ResidualSum { left: &self.change, right: hidden, output: hidden, rows };
        ops.dense(&layer.attention_output, &self.context, &self.change, rows)?;
        ops.add_norm(layer.attention_norm, &sum)?;
        ops.dense(&layer.up, hidden, &self.wide, rows)?;
        ops.dense(&layer.down, &self.wide, &self.change, rows)?;
        ops.add_norm(layer.output_norm, &sum)
    }

    /// The head's outputs for the hidden states of first tokens.
    fn head(&self, ops: &BatchOps<'_, G>, head: &Head, cls: &G::Memory) -> Result<G::Memory, GpuError> {
        let sequences = ops.batch.sequences;
        ops.dense(&head.hidden, cls, &self.change, sequences)?;
        let output = ops.gpu.allocate(sequences * head.outputs * size_of::<f32>())?;
        ops.classify(head, &self.change, &output)?;
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
