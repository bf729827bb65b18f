//! Ensembles: models whose inputs are what other models say.
//!
//! # Layout
//! - `head`: what is answered; [`model`]: weights, and how what members say becomes an answer and an explanation.
//! - [`member`]: asking a member of rows; [`says`]: its answers as numbers that can be added.
//! - [`files`]: the files of an ensemble, those of its members among them.
//! - `predictor`: a loaded one; [`kind`]: the kind `ensemble`.
//! - [`weights`]: weights from rows that members have not learned from; [`trainer`]: a job to an ensemble.
//!
//! It must not know kinds of models, nor requests, clients and PostgreSQL: a member is something that answers
//! [`Prediction`](ecommerce_ml_protocol::Output::Prediction) of a text or of columns.
//! Invariant: a version holds its members whole, so that it answers whatever becomes of the versions that they were.

#![forbid(unsafe_code)]

pub mod files;
mod head;
pub mod kind;
pub mod member;
pub mod model;
mod predictor;
pub mod says;
pub mod trainer;
pub mod weights;

pub use kind::Ensembles;
