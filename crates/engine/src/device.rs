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
    /// Opens the device that setting `ecommerce_ml.device` names: `cpu`, `cuda` for all GPUs, `cuda:N` for one, or `auto` for
    /// all GPUs if there is one and else the CPU. On the CPU, `threads` compute.
    ///
    /// # Errors
    /// [`ErrorKind::DeviceMissing`] for a GPU that isn't there, [`ErrorKind::NotCompiledIn`] for any in a build without CUDA,
    /// [`ErrorKind::InvalidRequest`] for anything else.
    pub fn open(spec: &str, threads: usize) -> Result<Self, EngineError> {
        let cpu = || Self::Cpu(Cpu::new(Kernels::best(), threads));
        let spec = spec.trim().to_ascii_lowercase();
        match (spec.as_str(), gpu_named(&spec)) {
            ("cpu", _) => Ok(cpu()),
            ("auto", _) => Ok(any_gpu().map_or_else(cpu, Self::Accelerator)),
            (_, Some(which)) => open_gpu(&spec, which).map(Self::Accelerator),
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

/// Which GPU `cuda:N` means, `None` for `cuda`, which means all.
fn gpu_named(spec: &str) -> Option<Option<usize>> {
    match spec.strip_prefix("cuda")? {
        "" => Some(None),
        rest => Some(Some(rest.strip_prefix(':')?.parse::<u16>().ok()?.into())),
    }
}

/// All GPUs, if there is one. If there is a driver but something else is missing, the server log tells it: somebody wanted a GPU.
#[cfg(feature = "cuda")]
fn any_gpu() -> Option<Arc<dyn Accelerator>> {
    let has_driver = crate::cuda::Gpu::has_driver();
    let note = |error: &EngineError| {
        let detail = error.detail.as_deref().unwrap_or_default();
        crate::server::note(&format!("computing on the CPU: {error}. {detail}"));
    };
    has_driver.then(|| open_gpu("cuda", None).inspect_err(note).ok()).flatten()
}

#[cfg(not(feature = "cuda"))]
fn any_gpu() -> Option<Arc<dyn Accelerator>> {
    None
}

#[cfg(feature = "cuda")]
fn open_gpu(_: &str, which: Option<usize>) -> Result<Arc<dyn Accelerator>, EngineError> {
    use crate::cuda::{Gpu, Several};
    if let Some(ordinal) = which {
        return Ok(Gpu::open(ordinal)?);
    }
    let all = Gpu::open_all()?.into_iter().map(|gpu| gpu as Arc<dyn Accelerator>);
    Ok(Several::of(all.collect()))
}

#[cfg(not(feature = "cuda"))]
fn open_gpu(spec: &str, _: Option<usize>) -> Result<Arc<dyn Accelerator>, EngineError> {
    let message = format!("device \"{spec}\" is not available: this engine was built without CUDA");
    Err(EngineError::new(ErrorKind::NotCompiledIn, message)
        .with_hint("Set ecommerce_ml.device to \"auto\" or \"cpu\"."))
}
