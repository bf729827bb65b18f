//! The boundary of a kind of model: what each kind promises to those who load, serve and train models.
//!
//! # Layout
//! - [`kind`]: a kind: which files are its own, how they become a model, how a model is made from rows.
//! - [`predictor`]: a loaded model; [`pending`]: its answer, which may take a while.
//! - [`files`]: `signature.json`, which says of which kind a model is, and how files are read.
//! - [`trainer`]: how a model is trained; [`job`]: what a training is asked to do, put together from messages.
//! - [`guarded`]: calls into what isn't trusted not to panic.
//!
//! It must not know a kind, nor requests or clients: kinds keep these promises, serving and the engine rely on them, and neither
//! knows the other.
//! Invariant: what is promised here can be kept by a model that sleeps, fails or panics on purpose; tests have one.

#![forbid(unsafe_code)]

pub mod files;
pub mod guarded;
pub mod job;
pub mod kind;
pub mod pending;
pub mod predictor;
pub mod trainer;

pub use guarded::guarded;
pub use job::{Job, JobAssembler, JobMember};
pub use kind::{Load, ModelKind, Workload};
pub use pending::{Answered, Pending};
pub use predictor::{ModelHandle, ModelPrecision, Predictor};
pub use trainer::{Evaluate, Sink, Trainer};
