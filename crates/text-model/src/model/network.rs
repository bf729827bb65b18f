//! The network of a model on whichever device: windows in, rows of numbers out.
//!
//! It must not know text or labels. Invariant: every number that comes out is finite.

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_tensor_cuda::HalfPrecision;

use super::candle::CandleNetwork;
use super::device_network::DeviceNetwork;
use super::packed::PackedNetwork;
use super::{ForwardOutput, Window};
use crate::deferred::Deferred;

/// A network, ready to compute.
#[derive(Debug)]
pub(super) enum Network {
    /// On the CPU.
    Packed(Box<PackedNetwork>),
    /// On a device with memory of its own.
    Device(DeviceNetwork),
    /// By candle.
    Candle(Box<CandleNetwork>),
}

impl Network {
    /// Begins to compute a row for each window.
    /// `[outputs]` each, or `[hidden]` of an embedding.
    pub(super) fn begin(
        &self,
        windows: &[&Window],
        output: ForwardOutput,
    ) -> Result<Deferred<Vec<Vec<f32>>>, EngineError> {
        let rows = match self {
            Network::Packed(network) => Deferred::Ready(network.forward(windows, output)?),
            Network::Device(network) => network.begin(windows, output)?,
            Network::Candle(network) => Deferred::Ready(network.forward(windows, output)?),
        };
        // Who chose the numbers can choose others.
        let is_f16 = matches!(self, Network::Device(network) if network.numbers() == HalfPrecision::F16);
        rows.and_then(move |rows| finite(rows, is_f16))
    }

    /// What the head reads, a row for each window, where candle computes it.
    /// `[hidden]` each.
    pub(super) fn features(&self, windows: &[&Window]) -> Result<Vec<Vec<f32>>, EngineError> {
        match self {
            Network::Candle(network) => finite(network.features(windows)?, false),
            Network::Packed(_) | Network::Device(_) => {
                Err(EngineError::new(ErrorKind::Internal, "the model keeps what its head reads to itself"))
            }
        }
    }
}

/// Finite weights can still overflow on the way.
fn finite(rows: Vec<Vec<f32>>, is_f16: bool) -> Result<Vec<Vec<f32>>, EngineError> {
    if rows.iter().flatten().all(|value| value.is_finite()) {
        return Ok(rows);
    }
    let error = EngineError::new(ErrorKind::DamagedModel, "the model computes values that are not finite");
    Err(if is_f16 { error.with_hint("Set ecommerce_ml.precision to \"bf16\".") } else { error })
}

/// The error for asking a model without a head for what only a head gives.
pub(super) fn without_head() -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, "the model has no head, it can only embed")
}
