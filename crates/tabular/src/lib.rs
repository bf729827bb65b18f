//! Models of table columns.
//!
//! # Layout
//! - `columns`: the columns that a model reads, found among those that came.
//! - [`encoding`]: values to features.
//! - [`model`]: a linear model: an encoding and a coefficient for each feature.
//! - [`files`]: its files, `signature.json` and `model.json`.
//! - `scoring`: rows to answers; `contributions`: what each column contributes to them.
//! - [`predictor`]: a loaded model behind the boundary of all kinds.
//! - `threads`: the threads that models of this crate compute on.
//! - [`trainer`]: rows to a model.
//! - [`kind`]: the kind `linear`.
//!
//! It must not know texts to read, tokens or encoders, nor requests, clients and PostgreSQL.
//! Invariant: what a row is answered depends on that row and the model alone: not on the other rows, their order, or the number
//! of threads.

#![forbid(unsafe_code)]

mod columns;
mod contributions;
pub mod encoding;
pub mod files;
pub mod kind;
pub mod model;
pub mod predictor;
mod scoring;
mod threads;
pub mod trainer;

pub use kind::Linear;
