//! Columns of text that a text model reads: what it says of each text becomes columns of numbers, which the models of this crate
//! read as any other.
//!
//! # Layout
//! - [`choice`]: which columns are read.
//! - `reading`: what the text model says of texts, each asked once.
//! - [`encoding`]: answers to numbers; `components`: directions in which embeddings differ most.
//! - `learning`: rows to learn from to an encoding and rows of numbers.
//! - [`files`]: the files of a model that holds a text model; `models`: who loads that.
//! - `predictor`: such a model, loaded.
//!
//! It must not know tokens or encoders, nor trees or coefficients: a text model is something that answers
//! [`Prediction`](ecommerce_ml_protocol::Output::Prediction) and [`Embedding`](ecommerce_ml_protocol::Output::Embedding) of texts.
//! Invariant: the numbers of a text depend on that text and the model alone, and a version holds all that it takes to compute them.

pub mod choice;
mod components;
pub mod encoding;
pub mod files;
mod learning;
mod models;
mod predictor;
mod reading;

pub(crate) use choice::{Choice, DEFAULT_BASE, TEXT_FEATURES};
pub(crate) use learning::{Learned, Plan};
pub(crate) use models::TextModels;
pub(crate) use predictor::load;
