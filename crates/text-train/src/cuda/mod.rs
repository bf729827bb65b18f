//! The encoder under training: forward and backward in bf16, gradients of parameters summed up in f32.
//!
//! Parameters, gradients and the moments of AdamW stay here in f32, so an update moves nothing over the bus but the
//! states of first tokens and their gradients. They are what they would be on the CPU, so a job can go on there, or
//! come from there.
//!
//! # Layout
//! - `optimizer_state`: parameters, gradients and moments.
//! - `device_batch`: batches as the kernels read them.
//! - `kernels`: each kernel and each product behind a function.
//! - `layer`: a layer, forward and backward.
//! - `passes`: batches through the layers.
//!
//! It must not know losses, schedules or text. Invariant: numbers are left out where the training on the CPU leaves
//! them out.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_tensor_cuda::backend::{
    DevicePointer, GpuBackend, GpuError, Kernel, KernelArgument, SHARED_BYTES,
};
use ecommerce_ml_text_model::device::Gpus;

mod device_batch;
mod kernels;
mod layer;
mod optimizer_state;
mod passes;

use crate::nn::adversarial::PerturbedEmbeddings;
use crate::nn::dropout::Dropout;
use crate::nn::encoder::{Moments, TrainableEncoder, without_forward};
use crate::nn::layout::ParameterLayout;
use crate::nn::network::TokenBatch;
use crate::nn::parameters::{Gradients, Parameters};
use crate::nn::{Network, Tuning};
use crate::recipe::optimizer::Factors;
use optimizer_state::OptimizerState;
use passes::Tape;

/// A GPU that the encoder of a network can be trained on.
pub trait TrainingBackend: Debug + Send + Sync {
    /// Brings the encoder of a network there to be trained; `None` if there are no kernels for it, or nothing of it is trained.
    ///
    /// # Errors
    /// If there is no room, or the GPU fails.
    fn train(
        self: Arc<Self>,
        network: &Network,
        parameters: &Parameters,
        tuning: Tuning,
    ) -> Result<Option<Box<dyn TrainableEncoder>>, EngineError>;
}

impl<G: GpuBackend> TrainingBackend for G {
    fn train(
        self: Arc<Self>,
        network: &Network,
        parameters: &Parameters,
        tuning: Tuning,
    ) -> Result<Option<Box<dyn TrainableEncoder>>, EngineError> {
        let encoder = DeviceEncoder::new(self, network, parameters, tuning)?;
        Ok(encoder.map(|encoder| Box::new(encoder) as Box<dyn TrainableEncoder>))
    }
}

/// The GPU that trains, of several the first; `None` if there is none.
#[cfg(feature = "cuda")]
pub fn training_backend(gpus: &Gpus) -> Option<Arc<dyn TrainingBackend>> {
    gpus.all.first().map(|gpu| Arc::clone(gpu) as Arc<dyn TrainingBackend>)
}

/// The GPU that trains; in this build there is none.
#[cfg(not(feature = "cuda"))]
pub fn training_backend(_: &Gpus) -> Option<Arc<dyn TrainingBackend>> {
    None
}

/// Bytes of a number in bf16, and in f32.
const BF16: usize = 2;
const F32: usize = 4;

/// What of the encoder is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trained {
    /// Embeddings and all layers.
    All,
    /// Layers from this one on; none if there are no more.
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

/// The kernels of training for heads of this width, which must be just that of the kernels.
fn training_kernels(head_width: usize) -> Option<AttentionKernels> {
    let [forward, queries, keys] = match head_width {
        32 => [Kernel::AttendTraining32, Kernel::AttendBackQueries32, Kernel::AttendBackKeys32],
        64 => [Kernel::AttendTraining64, Kernel::AttendBackQueries64, Kernel::AttendBackKeys64],
        128 => [Kernel::AttendTraining128, Kernel::AttendBackQueries128, Kernel::AttendBackKeys128],
        _ => return None,
    };
    Some(AttentionKernels { forward, queries, keys })
}

/// An encoder on a GPU.
#[derive(Debug)]
pub struct DeviceEncoder<G: GpuBackend> {
    gpu: Arc<G>,
    config: ModelConfig,
    layout: ParameterLayout,
    kernels: AttentionKernels,
    trained: Trained,
    state: OptimizerState<G>,
    tape: Option<Tape<G>>,
}

impl<G: GpuBackend> DeviceEncoder<G> {
    /// Brings the encoder of a network to a GPU; `None` if it has no kernels for it.
    ///
    /// # Errors
    /// If the GPU fails, or its memory is full.
    pub fn new(
        gpu: Arc<G>,
        network: &Network,
        parameters: &Parameters,
        tuning: Tuning,
    ) -> Result<Option<Self>, EngineError> {
        let (config, layout) = (network.config().clone(), network.layout().clone());
        let (width, layers, end) = (config.hidden_size, config.layers, layout.hidden.weight.start);
        let start = layout.first_trained(tuning);
        let trained = match tuning {
            Tuning::Full => Trained::All,
            Tuning::Frozen { layers: frozen } => Trained::Layers(frozen),
            Tuning::Lora { frozen } => Trained::Adapted(frozen.min(layers)),
            Tuning::Head => Trained::Layers(layers),
        };
        let Some(kernels) = training_kernels(width / config.heads) else { return Ok(None) };
        if width % 8 != 0 || config.intermediate_size % 8 != 0 || 3 * width * F32 > SHARED_BYTES {
            return Ok(None);
        }
        let adapters = if let Trained::Adapted(first) = trained { 2 * (layers - first) } else { 0 };
        let state = OptimizerState::new(&*gpu, parameters, (start, end), (adapters, width * width))?;
        let encoder = Self { gpu, config, layout, kernels, trained, state, tape: None };
        encoder.round()?;
        Ok(Some(encoder))
    }

    fn width(&self) -> usize {
        self.config.hidden_size
    }

    fn allocate_half(&self, numbers: usize) -> Result<G::Memory, GpuError> {
        self.gpu.allocate(numbers * BF16)
    }

    fn allocate_f32(&self, numbers: usize) -> Result<G::Memory, GpuError> {
        self.gpu.allocate(numbers * F32)
    }

    fn weight(&self, place: usize) -> DevicePointer<'_, G::Memory> {
        DevicePointer { memory: &self.state.half, offset: place * BF16 }
    }

    fn master_weight(&self, place: usize) -> KernelArgument<'_, G::Memory> {
        KernelArgument::Pointer(DevicePointer { memory: &self.state.master, offset: place * F32 })
    }

    /// Where the gradients of some parameters are, if these are trained.
    fn gradient(&self, range: &Range<usize>) -> Option<DevicePointer<'_, G::Memory>> {
        let from_first = range.start.checked_sub(self.state.start)?;
        Some(DevicePointer { memory: &self.state.gradients, offset: from_first * F32 })
    }
}

/// What is done there, whoever asks.
impl<G: GpuBackend> DeviceEncoder<G> {
    /// The last states of first tokens, `[sequences, hidden]`; `keeps` what the backward pass needs.
    ///
    /// # Errors
    /// If the GPU fails, or its memory is full.
    pub fn forward(
        &mut self,
        batch: TokenBatch,
        dropout: Option<Dropout>,
        keeps: bool,
    ) -> Result<Vec<f32>, EngineError> {
        self.tape = None;
        let (tape, states) = self.run(batch, dropout, keeps)?;
        self.tape = keeps.then_some(tape);
        Ok(states)
    }

    /// Adds to the gradients there those of the states, `[sequences, hidden]`, that came out last.
    ///
    /// # Errors
    /// If the GPU fails, or its memory is full.
    pub fn backward(&mut self, d_states: &[f32]) -> Result<(), EngineError> {
        let tape = self.tape.take().ok_or_else(without_forward)?;
        Ok(self.back(&tape, d_states)?)
    }

    /// Moves embeddings along their gradients there.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn perturb_embeddings(&mut self, epsilon: f64) -> Result<(), EngineError> {
        Ok(self.perturb_half_weights(epsilon)?)
    }
}

impl<G: GpuBackend> TrainableEncoder for DeviceEncoder<G> {
    fn forward(
        &mut self,
        _: (&Network, &Parameters),
        batch: TokenBatch,
        dropout: Option<Dropout>,
        gradients: Option<&Gradients>,
    ) -> Result<Vec<f32>, EngineError> {
        self.forward(batch, dropout, gradients.is_some())
    }

    fn backward(
        &mut self,
        _: (&Network, &Parameters),
        d_states: Vec<f32>,
        _: &mut Gradients,
    ) -> Result<(), EngineError> {
        self.backward(&d_states)
    }

    fn perturb_embeddings(
        &mut self,
        _: (&Network, &mut Parameters),
        _: &Gradients,
        epsilon: f64,
    ) -> Result<Option<PerturbedEmbeddings>, EngineError> {
        self.perturb_embeddings(epsilon).map(|()| None)
    }

    fn upload_parameters(&mut self, parameters: &Parameters) -> Result<(), EngineError> {
        Ok(self.upload_parameters(parameters)?)
    }

    fn download_parameters(&mut self, parameters: &mut Parameters) -> Result<(), EngineError> {
        Ok(self.download_parameters(parameters)?)
    }

    fn zero_grad(&mut self) -> Result<(), EngineError> {
        Ok(self.zero_gradients()?)
    }

    fn add_adapter_gradients(&mut self, gradients: &mut Gradients) -> Result<(), EngineError> {
        Ok(self.download_adapted_gradients(gradients)?)
    }

    fn gradient_sum_of_squares(&self) -> Result<f64, EngineError> {
        Ok(self.all_squares()?)
    }

    fn update(&mut self, factors: Factors) -> Result<(), EngineError> {
        Ok(self.step(factors)?)
    }

    fn moments(&self) -> Result<Option<Moments>, EngineError> {
        Ok(self.download_moments()?)
    }

    fn set_moments(&mut self, exp_avg: &[f32], exp_avg_sq: &[f32]) -> Result<(), EngineError> {
        Ok(self.upload_moments(exp_avg, exp_avg_sq)?)
    }
}
