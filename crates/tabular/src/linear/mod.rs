//! Linear models.
//!
//! # Layout
//! - [`encoding`]: values to features.
//! - [`model`]: an encoding and a coefficient for each feature.
//! - [`files`]: its files, `signature.json` and `model.json`.
//! - `scoring`: rows to sums; `contributions`: what each column contributes to them.
//! - [`trainer`]: rows to a model.
//! - [`kind`]: the kind `linear`.
//!
//! It must not know other models. Invariant: a feature adds a product, so that what it adds can be told exactly.

mod contributions;
pub mod encoding;
pub mod files;
pub mod kind;
pub mod model;
mod scoring;
pub mod trainer;

pub use kind::Linear;
