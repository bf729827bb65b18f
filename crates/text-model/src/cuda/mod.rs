//! The encoder on a machine with memory of its own, in numbers of 16 bits on packed sequences: NVIDIA GPUs, by CUDA.
//!
//! # Layout
//! - [`weights`]: the weights of a model as they lie in a machine's memory.
//! - `batch`: sequences as kernels read them.
//! - `work`: each kernel behind a function.
//! - [`encoder`]: batches of sequences through the kernels.
//! - [`several`]: more than one machine.
//!
//! It must not know text, labels, files or names of weights.
//! Invariant: a sequence's row does not depend on what else is in the batch, but for the way in which a matrix product of another
//! size is summed up.

use std::fmt::Debug;
use std::sync::Arc;

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_tensor_cpu::Sequence;
use ecommerce_ml_tensor_cuda::{Machine, MemoryUse};

use crate::begun::Begun;

mod batch;
pub mod encoder;
pub mod several;
pub mod weights;
mod work;

pub use encoder::Encoder;
pub use several::Several;
pub use weights::{NetworkWeights, WeightsBuilder};

/// What is wanted of each sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The outputs of the head before softmax.
    Logits,
    /// The mean of the last hidden states of all tokens.
    Mean,
}

/// A machine that networks can be brought to.
pub trait Accelerator: Debug + Send + Sync {
    /// The name that statistics show, for example `cuda:0`.
    fn name(&self) -> String;

    /// Its memory; `None` if it doesn't tell.
    fn memory(&self) -> Option<MemoryUse>;

    /// Brings a network into its memory.
    ///
    /// # Errors
    /// If there is no room, or the machine fails.
    fn load(self: Arc<Self>, weights: &NetworkWeights) -> Result<Box<dyn Resident>, EngineError>;
}

/// A network in the memory of a machine, until it is dropped.
pub trait Resident: Debug + Send + Sync {
    /// Gives the machine all work for a row of numbers for each sequence, without waiting for it. Sequences that don't fit into
    /// memory together are computed one part after the other.
    ///
    /// # Errors
    /// If there is no room for a single sequence, the machine fails, or logits are wanted of a network without a head.
    fn begin(&self, sequences: &[Sequence<'_>], wanted: Wanted) -> Result<Begun<Vec<Vec<f32>>>, EngineError>;
}

impl<M: Machine> Accelerator for M {
    fn name(&self) -> String {
        Machine::name(self)
    }

    fn memory(&self) -> Option<MemoryUse> {
        Machine::memory(self).ok()
    }

    fn load(self: Arc<Self>, weights: &NetworkWeights) -> Result<Box<dyn Resident>, EngineError> {
        Ok(Box::new(Encoder::new(self, weights)?))
    }
}
