//! A model's configuration in the terms of the kernels.
//!
//! It must not know weights. Invariant: a size is named once here, whoever computes with it.

use ecommerce_ml_checkpoint::config::{self, ModelConfig};
use ecommerce_ml_tensor_cpu::{Activation, EncoderSizes, Shape};

/// The sizes that all layers of a model share.
pub fn shape(config: &ModelConfig) -> Shape {
    Shape {
        hidden: config.hidden_size,
        heads: config.heads,
        inner: config.intermediate_size,
        activation: activation(config.activation),
        eps: config.layer_norm_eps as f32,
    }
}

/// The sizes of a model's encoder.
pub fn sizes(config: &ModelConfig) -> EncoderSizes {
    EncoderSizes {
        shape: shape(config),
        layers: config.layers,
        vocabulary: config.vocab_size,
        positions: config.positions,
    }
}

/// The kernels' name for a nonlinearity.
pub fn activation(named: config::Activation) -> Activation {
    match named {
        config::Activation::GeluErf => Activation::GeluErf,
        config::Activation::GeluTanh => Activation::GeluTanh,
        config::Activation::Relu => Activation::Relu,
    }
}
