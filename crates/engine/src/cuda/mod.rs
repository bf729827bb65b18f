//! The encoder on a machine with memory of its own, in numbers of 16 bits on packed sequences: NVIDIA GPUs, by CUDA.
//!
//! # Layout
//! - [`machine`]: what such a machine can do: keep bytes, run kernels, multiply matrices.
//! - [`weights`]: the weights of a model as they lie in its memory.
//! - `batch`: sequences as kernels read them.
//! - `work`: each kernel behind a function. Their source is in `kernels/` of this crate.
//! - [`encoder`]: batches of sequences through the kernels.
//! - [`several`]: more than one of them.
//! - [`training`]: the encoder under training.
//! - `gpu`: the machine that is a GPU; only with feature `cuda`. Tests have another, which runs the same kernels on the CPU.
//!
//! candle has a CUDA backend too. A binary that links it doesn't start where there is no driver, and it has no attention for
//! sequences without padding nor layer norms fused with the sums before them.
//!
//! It must not know text, labels, files or names of weights.
//! Invariant: a sequence's row does not depend on what else is in the batch, but for the way in which a matrix product of another
//! size is summed up.

use std::fmt::Debug;
use std::sync::Arc;

use ecommerce_ml_protocol::EngineError;

mod batch;
pub mod encoder;
#[cfg(feature = "cuda")]
#[allow(unsafe_code)]
mod gpu;
pub mod machine;
pub mod several;
pub mod training;
pub mod weights;
mod work;

pub use encoder::Encoder;
#[cfg(feature = "cuda")]
pub use gpu::Gpu;
pub use machine::{Machine, MachineError, MemoryUse, Narrow};
pub use several::Several;
pub use weights::{NetworkWeights, WeightsBuilder};

use crate::begun::Begun;
use crate::cpu::Sequence;
use crate::nn::elsewhere::Distant;
use crate::nn::{Network, Parameters, Tuning};
use training::DistantEncoder;

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

    /// Brings the encoder of a network there to be trained; `None` if there are no kernels for it, or nothing of it is trained.
    ///
    /// # Errors
    /// If there is no room, or the machine fails.
    fn train(
        self: Arc<Self>,
        network: &Network,
        parameters: &Parameters,
        tuning: Tuning,
    ) -> Result<Option<Box<dyn Distant>>, EngineError>;
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

    fn train(
        self: Arc<Self>,
        network: &Network,
        parameters: &Parameters,
        tuning: Tuning,
    ) -> Result<Option<Box<dyn Distant>>, EngineError> {
        let encoder = DistantEncoder::new(self, network, parameters, tuning)?;
        Ok(encoder.map(|encoder| Box::new(encoder) as Box<dyn Distant>))
    }
}
