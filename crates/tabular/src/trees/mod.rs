//! Boosted trees.
//!
//! # Layout
//! - [`encoding`]: values to features; `moment`: a moment as numbers.
//! - `contributions`: what each feature adds to the sums of trees, which are those of `crates/trees`.
//! - [`model`]: an encoding and trees over its features.
//! - [`isotonic`]: a rising map from sums to probabilities.
//! - [`files`]: its files.
//! - `scoring`: rows to answers, and what each column contributes.
//! - [`trainer`]: rows to a model, by XGBoost's library.
//! - [`kind`]: the kind `boosted_trees`.
//!
//! It must not know other models. Invariant: what trees say is computed here, the same with and without the library that grew them.

pub(crate) mod contributions;
pub mod encoding;
pub mod files;
pub mod isotonic;
pub mod kind;
pub mod model;
mod moment;
pub(crate) mod scoring;
pub mod trainer;

pub use kind::BoostedTrees;

pub(crate) use ecommerce_ml_trees::{booster_file, forest};
