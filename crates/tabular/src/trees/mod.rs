//! Boosted trees.
//!
//! # Layout
//! - [`encoding`]: values to features; `moment`: a moment as numbers.
//! - `forest`: trees and their sums; `contributions`: what each feature adds to them.
//! - [`model`]: an encoding and trees over its features.
//! - [`isotonic`]: a rising map from sums to probabilities.
//! - [`files`]: its files; `booster_file`: trees in XGBoost's JSON.
//! - `scoring`: rows to answers, and what each column contributes.
//! - [`trainer`]: rows to a model, by XGBoost's library.
//! - [`kind`]: the kind `boosted_trees`.
//!
//! It must not know other models. Invariant: what trees say is computed here, the same with and without the library that grew them.

mod booster_file;
pub(crate) mod contributions;
pub mod encoding;
pub mod files;
pub(crate) mod forest;
pub mod isotonic;
pub mod kind;
pub mod model;
mod moment;
pub(crate) mod scoring;
pub mod trainer;

pub use kind::BoostedTrees;
