//! What a training needs of the program around it.
//!
//! It must not know how models are loaded or served. Invariant: what it answers depends on the settings of the program only, so
//! that it is the same whenever a training asks.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_tensor_cpu::Cpu;

use super::comparison::Predicted;
use crate::cuda::TrainingMachine;

/// The program around a training.
pub trait Surroundings {
    /// The processor.
    ///
    /// # Errors
    /// If the device that was asked for isn't there.
    fn require_cpu(&self) -> Result<&Cpu, EngineError>;

    /// The machine that encoders are trained on, if it isn't the processor.
    fn training_machine(&self) -> Option<Arc<dyn TrainingMachine>>;

    /// What the model of these files says of texts, as queries would get it: one answer for each text, in order; none at all if
    /// the model has no head.
    ///
    /// # Errors
    /// If the model can't be loaded or fails.
    fn predict(&self, files: &ModelFiles, texts: &[&str]) -> Result<Predicted, EngineError>;
}
