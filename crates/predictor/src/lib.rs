//! What a loaded model promises to those who serve it.
//!
//! # Layout
//! - [`served`]: a model, and how files become one.
//! - [`begun`]: a forward pass that may go on elsewhere.
//! - [`output`]: what is asked of a forward pass, and what comes of it.
//!
//! It must not know how a model computes, nor requests or clients: text-model keeps these promises, serving relies on them, and
//! neither knows the other.
//! Invariant: what is promised here can be kept by a model that sleeps, fails or panics on purpose; tests have one.

#![forbid(unsafe_code)]

pub mod begun;
pub mod output;
pub mod served;

pub use begun::Begun;
pub use ecommerce_ml_checkpoint::tokenizer::Window;
pub use output::{ModelPrecision, Output, Row};
pub use served::{Load, Loaded, Served, guarded};
