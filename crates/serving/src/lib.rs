//! Models for many clients at once: connections, and loaded models that are kept.
//!
//! # Layout
//! - [`cache`]: loaded models, least recently used first out.
//! - [`server`]: connections, handshake, uploads, cancellation.
//! - [`activity`], [`clock`]: what is going on, and since when.
//!
//! It must not know what a model is beyond what [`ecommerce_ml_predictor`] promises, nor what requests mean.
//! Invariant: whatever comes in, by socket or upload, is answered with a value or an
//! [`EngineError`](ecommerce_ml_protocol::EngineError); the process goes on.

#![forbid(unsafe_code)]

pub mod activity;
pub mod cache;
pub mod clock;
pub mod server;
