//! Where the forward pass runs. It must not know models or requests.
//!
//! Invariant: a [`Device`] that was opened works; what this build or machine lacks is refused on opening.

use ecommerce_ml_protocol::{EngineError, ErrorKind};

/// A device that models can be loaded to.
#[derive(Debug, Clone)]
pub struct Device(candle_core::Device);

impl Device {
    /// Opens the device that setting `ecommerce_ml.device` names: `auto`, `cpu`, `cuda` or `cuda:N`.
    ///
    /// # Errors
    /// [`ErrorKind::NotCompiledIn`] for CUDA, [`ErrorKind::InvalidRequest`] for anything else.
    pub fn parse(spec: &str) -> Result<Self, EngineError> {
        match spec.trim().to_ascii_lowercase().as_str() {
            "auto" | "cpu" => Ok(Self(candle_core::Device::Cpu)),
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
        match self.0.location() {
            candle_core::DeviceLocation::Cpu => "cpu".to_owned(),
            candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
            candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
        }
    }

    /// The device as candle knows it.
    pub(crate) fn candle(&self) -> &candle_core::Device {
        &self.0
    }
}

/// Whether a lower-case device name is `cuda` or `cuda:N`.
fn is_cuda(spec: &str) -> bool {
    let Some(rest) = spec.strip_prefix("cuda") else { return false };
    rest.is_empty() || rest.strip_prefix(':').is_some_and(|ordinal| ordinal.parse::<u16>().is_ok())
}
