//! An encoder that is trained on another machine than the CPU, while the parameters and the head stay there.
//!
//! It must not know which machine. Invariant: gradients are those of the parameters that [`Distant::refresh`] brought last.

use std::fmt::Debug;

use ecommerce_ml_protocol::EngineError;

use super::dropout::Dropout;
use super::network::Batch;
use super::parameters::{Gradients, Parameters};

/// The encoder of a network, elsewhere.
pub trait Distant: Debug + Send {
    /// Brings parameters there that have changed.
    ///
    /// # Errors
    /// If the machine fails.
    fn refresh(&mut self, parameters: &Parameters) -> Result<(), EngineError>;

    /// The last states of first tokens, shape `[sequences, hidden]`. `keeps` what the backward pass needs.
    ///
    /// # Errors
    /// If the machine fails, or its memory is full.
    fn forward(
        &mut self,
        batch: Batch,
        dropout: Option<Dropout>,
        keeps: bool,
    ) -> Result<Vec<f32>, EngineError>;

    /// Adds to the gradients there those of the states that came out last.
    ///
    /// # Errors
    /// If the machine fails, or its memory is full.
    fn backward(&mut self, d_states: &[f32]) -> Result<(), EngineError>;

    /// Adds the gradients to those on the CPU, and clears them.
    ///
    /// # Errors
    /// If the machine fails.
    fn collect(&mut self, gradients: &mut Gradients) -> Result<(), EngineError>;
}
