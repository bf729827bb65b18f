//! What trainings of all kinds of models have in common: rows, targets, what is held out, and what a model is worth on it.
//!
//! # Layout
//! - [`dataset`]: rows in an order of their own, and which of them look alike; [`columns`]: those of columns.
//! - [`targets`]: what their labels mean.
//! - [`split`]: which rows are held out by chance, which by time.
//! - [`held_out`]: the rows held out of a training, and what models are worth on them, to the end of the training.
//! - [`baseline`]: what the labels alone are worth.
//! - [`evaluation`]: metrics of predictions.
//! - [`reference`]: what is kept of the rows held out, for later ones to be compared with.
//! - [`comparison`]: whether what the new model says is better than what another does, and than the baseline.
//! - [`options`]: what the user may choose, whatever the kind; [`class_weights`]: how much each class counts.
//! - [`early_stopping`]: which evaluation was the best, and when the training ends.
//! - [`residuals`]: how far off numbers may be.
//! - [`search`]: settings that are tried, and which are the best.
//! - [`temperature`]: what makes a classifier as sure as it is right.
//! - [`progress`]: how fast it is; [`memory`]: whether it fits.
//! - [`model`]: sending the new one.
//! - [`random`]: what a seed decides.
//!
//! It must not know a kind of model, how one learns, or in what it computes; nor PostgreSQL, or who asks.
//! Invariant: the same rows, options and seed give the same data set, the same targets and the same rows held out, in whatever
//! order the rows came.

#![forbid(unsafe_code)]

pub mod baseline;
pub mod class_weights;
pub mod columns;
pub mod comparison;
pub mod dataset;
pub mod early_stopping;
pub mod evaluation;
pub mod held_out;
pub mod memory;
pub mod model;
pub mod options;
pub mod progress;
pub mod random;
pub mod reference;
pub mod residuals;
pub mod search;
pub mod split;
pub mod targets;
pub mod temperature;

pub use dataset::{Dataset, RowId};
pub use held_out::HeldOut;
pub use options::{CommonOptions, Reader};
pub use targets::{Actual, Stars, Targets};
