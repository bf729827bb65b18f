//! Isolation forests: how unlike others a row is, learned from rows without labels.
//!
//! Liu, Ting and Zhou, "Isolation forest" (ICDM 2008): trees that split small samples at random values leave few rows around what is
//! unlike the others after few splits. The score is 2 to the power of minus the mean number of splits, in units of what it is
//! expected to be in a sample.
//!
//! # Layout
//! - `encoding`: how values become features where no label says anything.
//! - `growing`: a sample to a tree.
//! - `options`: what the user may choose; [`trainer`]: rows to a model.
//! - [`kind`]: the kind `isolation_forest`. Its models are those of [`trees`](crate::trees).
//!
//! It must not know other kinds. Invariant: the same rows, options and seed give the same model, with any number of threads.

mod encoding;
mod growing;
pub mod kind;
mod options;
pub mod trainer;

pub use kind::IsolationForest;
