//! The encoder on a GPU, in numbers of 16 bits on packed sequences: NVIDIA GPUs, by CUDA.
//!
//! # Layout
//! - [`weights`]: the weights of a model as they lie in a GPU's memory.
//! - `batch`: sequences as kernels read them.
//! - `ops`: each kernel behind a function.
//! - [`encoder`]: batches of sequences through the kernels.
//! - [`data_parallel`]: more than one GPU.
//!
//! It must not know text, labels, files or names of weights.
//! Invariant: a sequence's row does not depend on what else is in the batch, but for the way in which a matrix product of another
//! size is summed up.

use std::fmt::Debug;
use std::sync::Arc;

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_tensor_cpu::Sequence;
use ecommerce_ml_tensor_cuda::{GpuBackend, MemoryUse};

use crate::deferred::Deferred;
use crate::output::ForwardOutput;

mod batch;
pub mod data_parallel;
pub mod encoder;
mod ops;
pub mod weights;

pub use data_parallel::DataParallel;
pub use encoder::Encoder;
pub use weights::{NetworkWeights, WeightsBuilder};

/// A GPU that networks can be brought to.
pub trait Accelerator: Debug + Send + Sync {
    /// The name that statistics show, for example `cuda:0`.
    fn name(&self) -> String;

    /// Its memory; `None` if it doesn't tell.
    fn memory(&self) -> Option<MemoryUse>;

    /// Brings a network into its memory.
    ///
    /// # Errors
    /// If there is no room, or the GPU fails.
    fn load(self: Arc<Self>, weights: &NetworkWeights) -> Result<Box<dyn DeviceModel>, EngineError>;
}

/// A network in the memory of a GPU, until it is dropped.
pub trait DeviceModel: Debug + Send + Sync {
    /// Gives the GPU all work for a row of numbers for each sequence, without waiting for it: of [`ForwardOutput::Head`] the head's
    /// outputs before softmax, `[sequences, outputs]`, else means, `[sequences, hidden]`. Sequences that don't fit into memory together are computed one part after the other.
    ///
    /// # Errors
    /// If there is no room for a single sequence, the GPU fails, or a network without a head is asked for its outputs.
    fn begin(
        &self,
        sequences: &[Sequence<'_>],
        output: ForwardOutput,
    ) -> Result<Deferred<Vec<Vec<f32>>>, EngineError>;
}

impl<G: GpuBackend> Accelerator for G {
    fn name(&self) -> String {
        GpuBackend::name(self)
    }

    fn memory(&self) -> Option<MemoryUse> {
        GpuBackend::memory(self).ok()
    }

    fn load(self: Arc<Self>, weights: &NetworkWeights) -> Result<Box<dyn DeviceModel>, EngineError> {
        Ok(Box::new(Encoder::new(self, weights)?))
    }
}
