//! Where the forward pass runs. It must not know models or requests.
//!
//! Invariant: a [`Device`] that was opened works; what this build or machine lacks is refused on opening.

use std::sync::Arc;

use ecommerce_ml_protocol::{EngineError, ErrorKind};

use crate::cpu::{Kernels, Team};
use crate::cuda::Accelerator;

/// A device that models can be loaded to.
#[derive(Debug, Clone)]
pub enum Device {
    /// The CPU, by the engine's own kernels.
    Cpu(Cpu),
    /// A machine with memory of its own.
    Accelerator(Arc<dyn Accelerator>),
    /// A device of candle's. None can be asked for in settings; its CPU is the reference of the kernels.
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
    /// Opens the device that setting `ecommerce_ml.device` names: `cpu`, `cuda` for the first GPU, `cuda:N`, or `auto` for the
    /// first GPU if there is one and else the CPU. On the CPU, `threads` compute.
    ///
    /// # Errors
    /// [`ErrorKind::DeviceMissing`] for a GPU that isn't there, [`ErrorKind::NotCompiledIn`] for any in a build without CUDA,
    /// [`ErrorKind::InvalidRequest`] for anything else.
    pub fn open(spec: &str, threads: usize) -> Result<Self, EngineError> {
        let cpu = || Self::Cpu(Cpu::new(Kernels::best(), threads));
        let spec = spec.trim().to_ascii_lowercase();
        match (spec.as_str(), cuda_ordinal(&spec)) {
            ("cpu", _) => Ok(cpu()),
            ("auto", _) => Ok(open_gpu("cuda", 0).map_or_else(|_| cpu(), Self::Accelerator)),
            (_, Some(ordinal)) => open_gpu(&spec, ordinal).map(Self::Accelerator),
            (_, None) => {
                Err(EngineError::new(ErrorKind::InvalidRequest, format!("invalid device \"{spec}\""))
                    .with_hint("Valid devices are \"auto\", \"cpu\", \"cuda\" and \"cuda:N\"."))
            }
        }
    }

    /// The name that statistics show, for example `cpu`.
    pub fn name(&self) -> String {
        match self {
            Device::Cpu(_) => "cpu".to_owned(),
            Device::Accelerator(machine) => machine.name(),
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

/// Which GPU `cuda` or `cuda:N` means.
fn cuda_ordinal(spec: &str) -> Option<usize> {
    match spec.strip_prefix("cuda")? {
        "" => Some(0),
        rest => rest.strip_prefix(':')?.parse::<u16>().ok().map(usize::from),
    }
}

#[cfg(feature = "cuda")]
fn open_gpu(_: &str, ordinal: usize) -> Result<Arc<dyn Accelerator>, EngineError> {
    Ok(crate::cuda::Gpu::open(ordinal)?)
}

#[cfg(not(feature = "cuda"))]
fn open_gpu(spec: &str, _: usize) -> Result<Arc<dyn Accelerator>, EngineError> {
    Err(EngineError::new(
        ErrorKind::NotCompiledIn,
        format!("device \"{spec}\" is not available: this engine was built without CUDA"),
    )
    .with_hint("Set ecommerce_ml.device to \"auto\" or \"cpu\"."))
}
