//! What texts are learned on.
//!
//! It must not know how models are loaded or served. Invariant: what it answers depends on the settings of the program only, so
//! that it is the same whenever a training asks.

use std::sync::Arc;

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_tensor_cpu::Cpu;

use crate::cuda::TrainingBackend;

/// The devices that a training may use.
pub trait Devices: Send + Sync {
    /// The processor.
    ///
    /// # Errors
    /// If the device that was asked for isn't there.
    fn require_cpu(&self) -> Result<&Cpu, EngineError>;

    /// The GPU that encoders are trained on, if they aren't on the processor.
    fn training_backend(&self) -> Option<Arc<dyn TrainingBackend>>;
}

impl<D: Devices + ?Sized> Devices for Arc<D> {
    fn require_cpu(&self) -> Result<&Cpu, EngineError> {
        (**self).require_cpu()
    }

    fn training_backend(&self) -> Option<Arc<dyn TrainingBackend>> {
        (**self).training_backend()
    }
}
