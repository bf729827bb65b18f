//! Where the forward pass runs. It must not know models or requests.
//!
//! Invariant: a [`Device`] that was opened works; what this build or machine lacks is refused on opening.

use std::sync::Arc;

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_tensor_cpu::{Cpu, KERNELS_VARIABLE, Kernels};
#[cfg(feature = "cuda")]
use ecommerce_ml_tensor_cuda::Gpu;

use crate::cuda::Accelerator;
#[cfg(feature = "cuda")]
use crate::cuda::DataParallel;

/// A device that models can be loaded to.
#[derive(Debug, Clone)]
pub enum Device {
    /// The CPU, by the engine's own kernels.
    Cpu(Cpu),
    /// A device with memory of its own.
    Accelerator(Arc<dyn Accelerator>),
    /// A device of candle's. None can be asked for in settings; its CPU is the reference of the kernels.
    Candle(candle_core::Device),
}

/// The GPUs that were opened, for what else is done with them; none in a build without feature `cuda`.
#[derive(Debug, Clone, Default)]
pub struct Gpus {
    /// In the order of their numbers.
    #[cfg(feature = "cuda")]
    pub all: Vec<Arc<Gpu>>,
}

impl Device {
    /// Opens the device that setting `ecommerce_ml.device` names: `cpu`, `cuda` for all GPUs, `cuda:N` for one, or `auto` for
    /// all GPUs if there is one and else the CPU. On the CPU, `threads` compute.
    ///
    /// # Errors
    /// [`ErrorKind::DeviceMissing`] for a GPU that isn't there, or kernels that this processor can't run;
    /// [`ErrorKind::NotCompiledIn`] for any GPU in a build without CUDA, [`ErrorKind::InvalidRequest`] for anything else.
    pub fn open(spec: &str, threads: usize) -> Result<Self, EngineError> {
        Self::open_with_gpus(spec, threads).map(|(device, _)| device)
    }

    /// As [`open`](Self::open); with the GPUs that the device is.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_gpus(spec: &str, threads: usize) -> Result<(Self, Gpus), EngineError> {
        let cpu = || Ok((Self::Cpu(open_cpu(threads)?), Gpus::default()));
        let spec = spec.trim().to_ascii_lowercase();
        match (spec.as_str(), gpu_named(&spec)) {
            ("cpu", _) => cpu(),
            ("auto", _) => any_gpu().map_or_else(cpu, Ok),
            (_, Some(which)) => open_gpus(&spec, which),
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
            Device::Accelerator(accelerator) => accelerator.name(),
            Device::Candle(device) => match device.location() {
                candle_core::DeviceLocation::Cpu => "cpu".to_owned(),
                candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
                candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
            },
        }
    }
}

/// The processor, with so many threads that compute.
///
/// # Errors
/// [`ErrorKind::DeviceMissing`] if the environment asks for kernels that it can't run.
pub fn open_cpu(threads: usize) -> Result<Cpu, EngineError> {
    Cpu::open(threads).map_err(|missing| {
        let names: Vec<&str> = Kernels::supported().iter().map(Kernels::name).collect();
        EngineError::new(ErrorKind::DeviceMissing, missing.to_string())
            .with_detail(format!("Environment variable {KERNELS_VARIABLE} of the engine asks for them."))
            .with_hint(format!("This processor can run {}.", names.join(", ")))
    })
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
fn any_gpu() -> Option<(Device, Gpus)> {
    let note = |error: &EngineError| {
        let detail = error.detail.as_deref().unwrap_or_default();
        ecommerce_ml_log::note(&format!("computing on the CPU: {error}. {detail}"));
    };
    Gpu::has_driver().then(|| open_gpus("cuda", None).inspect_err(note).ok()).flatten()
}

#[cfg(not(feature = "cuda"))]
fn any_gpu() -> Option<(Device, Gpus)> {
    None
}

#[cfg(feature = "cuda")]
fn open_gpus(_: &str, which: Option<usize>) -> Result<(Device, Gpus), EngineError> {
    let all = match which {
        Some(ordinal) => vec![Gpu::open(ordinal)?],
        None => Gpu::open_all()?,
    };
    let together = all.iter().map(|gpu| Arc::clone(gpu) as Arc<dyn Accelerator>).collect();
    Ok((Device::Accelerator(DataParallel::of(together)), Gpus { all }))
}

#[cfg(not(feature = "cuda"))]
fn open_gpus(spec: &str, _: Option<usize>) -> Result<(Device, Gpus), EngineError> {
    let message = format!("device \"{spec}\" is not available: this engine was built without CUDA");
    Err(EngineError::new(ErrorKind::NotCompiledIn, message)
        .with_hint("Set ecommerce_ml.device to \"auto\" or \"cpu\"."))
}
