//! Which tokens made a model say what it says: integrated gradients over the embeddings of words (Sundararajan, Taly and Yan 2017).
//!
//! The contribution of a token is `(e - b) ∫₀¹ ∂f/∂e (b + α (e - b)) dα`, where `e` is the embedding of its word and `b` that of
//! padding: the way from a text of nothing to the text. All contributions add up to `f(e) - f(b)`, and how far they are from it
//! tells how well the integral was computed.
//!
//! # Layout
//! - [`network`]: a model's outputs and gradients at points of the way.
//! - [`explained`]: the number that is explained, made of a model's outputs.
//! - [`path`]: where on the way the integral wants to know them.
//! - `quadrature`: the rule that it is computed by.
//!
//! It must not know texts, windows, requests, nor who explains what to whom.
//! Invariant: special tokens and positions are the same all along the way, so that they contribute nothing.

pub mod explained;
pub mod network;
pub mod path;
mod quadrature;

pub use explained::Explained;
pub use network::{AttributionNetwork, PathPoint};
pub use path::{PathIntegral, Wanted};
