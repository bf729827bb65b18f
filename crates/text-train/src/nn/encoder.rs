//! The encoder under training: on the CPU, or on a device that keeps its gradients and moments there, while the head stays here.
//!
//! It must not know which device. Invariant: what is computed on one is of the parameters that
//! [`TrainableEncoder::upload_parameters`] brought there or [`TrainableEncoder::update`] made, whichever came last.

use std::fmt::Debug;

use ecommerce_ml_protocol::{EngineError, ErrorKind};

use super::adversarial::PerturbedEmbeddings;
use super::dropout::Dropout;
use super::network::{EncoderTape, Network, TokenBatch};
use super::parameters::{Gradients, Parameters};
use crate::recipe::optimizer::Factors;

/// Means of gradients and of their squares, each of all parameters that are trained on a device, end to end.
pub type Moments = (Vec<f32>, Vec<f32>);

/// The encoder of a network. What isn't said of the CPU a device has of its own, and the CPU has nothing to do for it.
pub trait TrainableEncoder: Debug + Send {
    /// The last states of first tokens, shape `[sequences, hidden]`. With gradients, what the backward pass to them needs is kept.
    ///
    /// # Errors
    /// If the device fails, or its memory is full.
    fn forward(
        &mut self,
        model: (&Network, &Parameters),
        batch: TokenBatch,
        dropout: Option<Dropout>,
        gradients: Option<&Gradients>,
    ) -> Result<Vec<f32>, EngineError>;

    /// Adds to the gradients, these or those of the device, those of the states that came out last.
    /// `d_states`: `[sequences, hidden]`.
    ///
    /// # Errors
    /// If the device fails, or its memory is full: then only a part may have been added, and all has to be
    /// [cleared](Self::zero_grad).
    fn backward(
        &mut self,
        model: (&Network, &Parameters),
        d_states: Vec<f32>,
        gradients: &mut Gradients,
    ) -> Result<(), EngineError>;

    /// Lets passes read embeddings of words that lie `epsilon` further along their gradients, all of them together. On a device
    /// they lie there until the next update, and the parameters stay; on the CPU they have to be moved back. Nothing moves if they
    /// aren't trained, or where gradients are zero or not finite.
    ///
    /// # Errors
    /// If the device fails.
    fn perturb_embeddings(
        &mut self,
        model: (&Network, &mut Parameters),
        gradients: &Gradients,
        epsilon: f64,
    ) -> Result<Option<PerturbedEmbeddings>, EngineError>;

    /// Brings parameters to the device that may have changed here: those that are trained there, or weights with adapters.
    ///
    /// # Errors
    /// If the device fails.
    fn upload_parameters(&mut self, _parameters: &Parameters) -> Result<(), EngineError> {
        Ok(())
    }

    /// Brings parameters back that updates have changed.
    ///
    /// # Errors
    /// If the device fails.
    fn download_parameters(&mut self, _parameters: &mut Parameters) -> Result<(), EngineError> {
        Ok(())
    }

    /// Makes all gradients of the device 0, and leaves embeddings where the parameters have them.
    ///
    /// # Errors
    /// If the device fails.
    fn zero_grad(&mut self) -> Result<(), EngineError> {
        Ok(())
    }

    /// Adds gradients of weights with adapters to those on the CPU, and clears them.
    ///
    /// # Errors
    /// If the device fails.
    fn add_adapter_gradients(&mut self, _gradients: &mut Gradients) -> Result<(), EngineError> {
        Ok(())
    }

    /// Sum of the squares of the gradients of what is trained on the device; not finite if one of them isn't.
    ///
    /// # Errors
    /// If the device fails.
    fn gradient_sum_of_squares(&self) -> Result<f64, EngineError> {
        Ok(0.0)
    }

    /// Changes what is trained on the device by a step of AdamW, and clears its gradients.
    ///
    /// # Errors
    /// If the device fails.
    fn update(&mut self, _factors: Factors) -> Result<(), EngineError> {
        Ok(())
    }

    /// The moments of what is trained on the device; `None` if nothing is.
    ///
    /// # Errors
    /// If the device fails.
    fn moments(&self) -> Result<Option<Moments>, EngineError> {
        Ok(None)
    }

    /// Sets them.
    /// Both `[parameters]`, those trained on the device, end to end.
    ///
    /// # Errors
    /// If the device fails.
    fn set_moments(&mut self, _exp_avg: &[f32], _exp_avg_sq: &[f32]) -> Result<(), EngineError> {
        Ok(())
    }
}

/// The encoder on the CPU, whose parameters and gradients are those that it is given.
#[derive(Debug, Default)]
pub struct CpuEncoder {
    tape: Option<EncoderTape>,
}

impl TrainableEncoder for CpuEncoder {
    fn forward(
        &mut self,
        (network, parameters): (&Network, &Parameters),
        batch: TokenBatch,
        dropout: Option<Dropout>,
        gradients: Option<&Gradients>,
    ) -> Result<Vec<f32>, EngineError> {
        let (tape, states) = network.forward_encoder(parameters, batch, dropout, gradients);
        self.tape = gradients.map(|_| tape);
        Ok(states)
    }

    fn backward(
        &mut self,
        (network, parameters): (&Network, &Parameters),
        d_states: Vec<f32>,
        gradients: &mut Gradients,
    ) -> Result<(), EngineError> {
        let tape = self.tape.take().ok_or_else(without_forward)?;
        network.backward_encoder(parameters, &tape, d_states, gradients);
        Ok(())
    }

    fn perturb_embeddings(
        &mut self,
        (network, parameters): (&Network, &mut Parameters),
        gradients: &Gradients,
        epsilon: f64,
    ) -> Result<Option<PerturbedEmbeddings>, EngineError> {
        Ok(Some(network.perturb_embeddings(parameters, gradients, epsilon)))
    }
}

/// The error for a backward pass that has nothing to go back through.
pub(crate) fn without_forward() -> EngineError {
    EngineError::new(ErrorKind::Internal, "a backward pass without a forward pass")
}
