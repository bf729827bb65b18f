//! An encoder that is trained on another machine than the CPU, with its gradients and moments, while the head stays
//! here.
//!
//! It must not know which machine. Invariant: what is computed there is of the parameters that [`Distant::refresh`]
//! brought or [`Distant::update`] made, whichever came last.

use std::fmt::Debug;

use ecommerce_ml_protocol::EngineError;

use super::dropout::Dropout;
use super::network::Batch;
use super::parameters::{Gradients, Parameters};
use crate::train::optimizer::Factors;

/// Means of gradients and of their squares, each of all parameters that are trained elsewhere, end to end.
pub type Moments = (Vec<f32>, Vec<f32>);

/// The encoder of a network, elsewhere.
pub trait Distant: Debug + Send {
    /// Brings parameters there that may have changed here: those that are trained there, or weights with adapters.
    ///
    /// # Errors
    /// If the machine fails.
    fn refresh(&mut self, parameters: &Parameters) -> Result<(), EngineError>;

    /// Brings parameters back that updates have changed.
    ///
    /// # Errors
    /// If the machine fails.
    fn bring_back(&mut self, parameters: &mut Parameters) -> Result<(), EngineError>;

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
    /// If the machine fails, or its memory is full: then only a part may have been added, and all has to be
    /// [forgotten](Self::forget).
    fn backward(&mut self, d_states: &[f32]) -> Result<(), EngineError>;

    /// Makes all gradients there 0, and leaves embeddings where the parameters have them.
    ///
    /// # Errors
    /// If the machine fails.
    fn forget(&mut self) -> Result<(), EngineError>;

    /// Adds gradients of weights with adapters to those on the CPU, and clears them.
    ///
    /// # Errors
    /// If the machine fails.
    fn collect(&mut self, gradients: &mut Gradients) -> Result<(), EngineError>;

    /// Sum of the squares of the gradients of what is trained there; not finite if one of them isn't.
    ///
    /// # Errors
    /// If the machine fails.
    fn squares(&self) -> Result<f64, EngineError>;

    /// Lets passes read embeddings of words that lie `epsilon` further along their gradients, all of them together,
    /// until the next update. Nothing moves if they aren't trained, or where gradients are zero or not finite. The
    /// parameters stay.
    ///
    /// # Errors
    /// If the machine fails.
    fn move_embeddings(&mut self, epsilon: f64) -> Result<(), EngineError>;

    /// Changes what is trained there by a step of AdamW, and clears its gradients.
    ///
    /// # Errors
    /// If the machine fails.
    fn update(&mut self, factors: Factors) -> Result<(), EngineError>;

    /// The moments of what is trained there; `None` if nothing is.
    ///
    /// # Errors
    /// If the machine fails.
    fn moments(&self) -> Result<Option<Moments>, EngineError>;

    /// Sets them.
    ///
    /// # Errors
    /// If the machine fails.
    fn set_moments(&mut self, firsts: &[f32], seconds: &[f32]) -> Result<(), EngineError>;
}
