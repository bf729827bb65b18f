//! The network as it is trained on the CPU: BERT, DistilBERT and RoBERTa with a head, forward and backward, in `f32`.
//!
//! # Layout
//! - [`parameters`]: all numbers that training may change, and their gradients, each in one piece.
//! - `layout`: which parameters a model has, under which names.
//! - [`tuning`]: which of them are trained.
//! - [`lora`]: low-rank changes to weights.
//! - [`network`]: the whole network, forward and backward.
//! - `embeddings`, `layer`, `attention`, `norm`, `dense`, `head`: its parts.
//! - [`encoder`]: the encoder under training, on the CPU or on a device.
//! - [`dropout`]: what is left out at random.
//! - [`adversarial`]: embeddings perturbed for a second pass.
//!
//! Sequences lie end to end, without padding. It must not know text, files other than of weights, or, but for what
//! [`encoder`] passes on, optimizers.
//! Invariant: losses and gradients have the same bits however many threads there are.

pub mod adversarial;
mod attention;
mod dense;
pub mod dropout;
mod embeddings;
pub mod encoder;
mod head;
mod layer;
pub(crate) mod layout;
pub mod lora;
pub mod network;
mod norm;
pub mod parameters;
pub mod tuning;

pub use adversarial::PerturbedEmbeddings;
pub use dropout::Dropout;
pub use encoder::{CpuEncoder, TrainableEncoder};
pub use head::HeadTape;
pub use lora::Lora;
pub use network::{Network, Tape};
pub use parameters::{Gradients, Parameter, Parameters};
pub use tuning::Tuning;
