//! Fine-tuning of text models: rows and a base to a new model.
//!
//! # Layout
//! - [`recipe`]: what fine-tuning needs apart from a network: options, data order, loss, optimizer.
//! - [`nn`]: the network as it is trained on the CPU.
//! - [`cuda`]: its encoder under training on a GPU.
//! - [`trainer`]: rows and a model to a new model.
//! - [`attribution`]: which tokens made a model say what it says, by the backward pass of `nn`.
//!
//! It must not know PostgreSQL, the command line, clients, nor how models are served: what the held-out texts get from a model is
//! asked of an [`Evaluate`](ecommerce_ml_predictor::Evaluate). What trainings of other kinds have too is in `ecommerce_ml_training`.
//! Invariant: the same rows, options, seed and base give the same model.

#![forbid(unsafe_code)]

pub mod attribution;
pub mod cuda;
pub mod nn;
pub mod recipe;
pub mod trainer;
