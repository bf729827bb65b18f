//! Where the forward pass runs. It must not know models or requests.
//!
//! Invariant: a [`Device`] that was opened works; what this build or machine lacks is refused on opening.

use std::sync::Arc;

use ecommerce_ml_protocol::{EngineError, ErrorKind};

use crate::cpu::{Kernels, Team};

/// A device that models can be loaded to.
#[derive(Debug, Clone)]
pub enum Device {
    /// The CPU, by the engine's own kernels.
    Cpu(Cpu),
    /// A device of candle's. Its own CPU can't be asked for in settings; it is the reference of the kernels.
    Candle(candle_core::Device),
}

/// The processor, and the threads that compute on it.
#[derive(Debug, Clone)]
pub struct Cpu {
    /// What all models compute with.
    pub kernels: Kernels,
    /// One batch at a time is divided among these.
    pub team: Arc<Team>,
}

impl Device {
    /// Opens the device that setting `ecommerce_ml.device` names: `auto`, `cpu`, `cuda` or `cuda:N`. On the CPU, `threads`
    /// compute.
    ///
    /// # Errors
    /// [`ErrorKind::NotCompiledIn`] for CUDA, [`ErrorKind::InvalidRequest`] for anything else.
    pub fn open(spec: &str, threads: usize) -> Result<Self, EngineError> {
        match spec.trim().to_ascii_lowercase().as_str() {
            "auto" | "cpu" => Ok(Self::Cpu(Cpu::new(Kernels::best(), threads))),
            cuda if is_cuda(cuda) => Err(EngineError::new(
                ErrorKind::NotCompiledIn,
                format!("device \"{cuda}\" is not available: this engine was built without CUDA"),
            )
            .with_hint("Set ecommerce_ml.device to \"auto\" or \"cpu\".")),
            _ => Err(EngineError::new(ErrorKind::InvalidRequest, format!("invalid device \"{spec}\""))
                .with_hint("Valid devices are \"auto\", \"cpu\", \"cuda\" and \"cuda:N\".")),
        }
    }

    /// The name that statistics show, for example `cpu`.
    pub fn name(&self) -> String {
        match self {
            Device::Cpu(_) => "cpu".to_owned(),
            Device::Candle(device) => match device.location() {
                candle_core::DeviceLocation::Cpu => "cpu".to_owned(),
                candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
                candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
            },
        }
    }
}

impl Cpu {
    /// The processor with certain kernels and a team of its own.
    pub fn new(kernels: Kernels, threads: usize) -> Self {
        Self { kernels, team: Arc::new(Team::new(threads.max(1))) }
    }
}

/// Whether a lower-case device name is `cuda` or `cuda:N`.
fn is_cuda(spec: &str) -> bool {
    let Some(rest) = spec.strip_prefix("cuda") else { return false };
    rest.is_empty() || rest.strip_prefix(':').is_some_and(|ordinal| ordinal.parse::<u16>().is_ok())
}
