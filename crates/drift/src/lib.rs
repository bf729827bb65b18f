//! Whether rows, and what a model says of them, are still what they were.
//!
//! # Layout
//! - [`sample`]: some rows, and what a model says of them, as they come.
//! - [`reference`]: what is kept of rows to compare others with.
//! - [`comparison`]: rows compared with a reference: measures, thresholds, which are crossed.
//! - [`distribution`]: numbers and categories, counted in cells; [`stability`]: how far counts are apart.
//! - [`mean`]: means and shares; [`unseen`]: categories that are new; [`energy`]: embeddings; [`pieces`]: those of texts.
//! - [`null_distribution`]: what a measure is where nothing has changed; [`gamma`]: the gamma distribution.
//!
//! It must not know where rows come from: no PostgreSQL, no I/O. Invariant: what crosses a threshold does so by chance with the
//! probability that was asked for, all measures of a comparison together, and a difference too small to matter crosses none,
//! however many rows show it.

#![forbid(unsafe_code)]

pub mod comparison;
pub mod distribution;
pub mod energy;
pub mod gamma;
pub mod mean;
pub mod null_distribution;
pub mod pieces;
pub mod reference;
pub mod sample;
pub mod stability;
pub mod unseen;

pub use comparison::{Measure, compare};
pub use reference::Reference;
pub use sample::Sample;
