//! The kind of models that read text.
//!
//! # Layout
//! - [`kind`]: what a kind promises, for text.
//! - [`predictor`]: a loaded text model that answers requests.
//! - [`loader`]: files to text models, by the settings.
//! - [`scheduler`]: requests of all clients, cut into batches.
//! - [`results`]: the results cache.
//! - [`explain`]: what each token contributes to what a model says.
//!
//! It must not know clients, connections, other kinds, nor how a model computes.
//! Invariant: an answer has the same bits however requests share batches, as far as the model's rows do.

#![forbid(unsafe_code)]

pub mod explain;
pub mod kind;
pub mod loader;
pub mod predictor;
pub mod results;
pub mod scheduler;

pub use kind::TextKind;
pub use loader::{ComputeSettings, ModelLoader};
pub use predictor::TextPredictor;
