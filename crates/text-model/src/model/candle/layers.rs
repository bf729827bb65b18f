//! The layers that the network is made of, read from the weights under their names.
//!
//! It must not know families. Invariant: a layer exists only with weights of the shape it computes with.

use candle_core::{Device, Result as CandleResult, Tensor};
use candle_nn::{LayerNorm, Linear};
use ecommerce_ml_checkpoint::config::Activation;
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_protocol::EngineError;

use super::internal;

/// The tensor of this name and shape, on the device.
pub(super) fn tensor(
    weights: &mut Weights<'_>,
    name: &str,
    shape: &[usize],
    device: &Device,
) -> Result<Tensor, EngineError> {
    Tensor::from_vec(weights.values(name, shape)?, shape, device).map_err(internal)
}

/// The dense layer `name`, from `inputs` to `outputs` features.
pub(super) fn linear(
    weights: &mut Weights<'_>,
    name: &str,
    inputs: usize,
    outputs: usize,
    device: &Device,
) -> Result<Linear, EngineError> {
    let weight = tensor(weights, &format!("{name}.weight"), &[outputs, inputs], device)?;
    let bias = tensor(weights, &format!("{name}.bias"), &[outputs], device)?;
    Ok(Linear::new(weight, Some(bias)))
}

/// As [`linear`], of a layer without bias.
pub(super) fn linear_without_bias(
    weights: &mut Weights<'_>,
    name: &str,
    inputs: usize,
    outputs: usize,
    device: &Device,
) -> Result<Linear, EngineError> {
    Ok(Linear::new(tensor(weights, &format!("{name}.weight"), &[outputs, inputs], device)?, None))
}

/// As [`layer_norm`], of one without bias.
pub(super) fn layer_norm_without_bias(
    weights: &mut Weights<'_>,
    name: &str,
    width: usize,
    eps: f64,
    device: &Device,
) -> Result<LayerNorm, EngineError> {
    Ok(LayerNorm::new_no_bias(tensor(weights, &format!("{name}.weight"), &[width], device)?, eps))
}

/// Several dense layers of the same input as one, with their outputs side by side.
pub(super) fn stacked(layers: &[Linear]) -> Result<Linear, EngineError> {
    let weights: Vec<&Tensor> = layers.iter().map(Linear::weight).collect();
    let biases: Vec<&Tensor> = layers.iter().filter_map(Linear::bias).collect();
    let weight = Tensor::cat(&weights, 0).map_err(internal)?;
    let bias = Tensor::cat(&biases, 0).map_err(internal)?;
    Ok(Linear::new(weight, Some(bias)))
}

/// The layer norm `name` over `width` features.
pub(super) fn layer_norm(
    weights: &mut Weights<'_>,
    name: &str,
    width: usize,
    eps: f64,
    device: &Device,
) -> Result<LayerNorm, EngineError> {
    let weight = tensor(weights, &format!("{name}.weight"), &[width], device)?;
    let bias = tensor(weights, &format!("{name}.bias"), &[width], device)?;
    Ok(LayerNorm::new(weight, bias, eps))
}

/// The nonlinearity of each number.
pub(super) fn activate(activation: Activation, input: &Tensor) -> CandleResult<Tensor> {
    match activation {
        Activation::GeluErf => input.gelu_erf(),
        Activation::GeluTanh => input.gelu(),
        Activation::Relu => input.relu(),
    }
}
