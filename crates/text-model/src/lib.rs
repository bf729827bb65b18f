//! Encoders of text with a head, on CPU and GPU: windows of tokens in, rows of numbers and their meaning out.
//!
//! # Layout
//! - [`text_model`]: a text model as its scheduler uses it; [`deferred`]: a forward pass that a device may go on with;
//!   [`output`]: what is asked of one, and what comes of it.
//! - [`model`]: a loaded model: weights prepared in the precision that suits them, the forward pass, its reading.
//! - [`device`]: where the forward pass runs.
//! - [`cuda`]: how it runs on a GPU; on the CPU the encoder is [`ecommerce_ml_tensor_cpu`]'s.
//! - [`shape`]: a configuration in the terms of the kernels.
//! - [`store`]: prepacked weights kept on disk.
//!
//! It must not know requests, clients, caches or training.
//! Invariant: a row of a batch equals the row alone, whatever else is in the batch; but for the last digits where candle computes.

#![forbid(unsafe_code)]

pub mod cuda;
pub mod deferred;
pub mod device;
pub mod model;
pub mod output;
pub mod shape;
pub mod store;
pub mod text_model;

pub use deferred::Deferred;
pub use device::Device;
pub use ecommerce_ml_checkpoint::tokenizer::Window;
pub use model::{KIND, Model, Operations, PrecisionChoice, describe};
pub use output::{ForwardOutput, Prediction, WindowRow};
pub use store::Store;
pub use text_model::TextModel;
