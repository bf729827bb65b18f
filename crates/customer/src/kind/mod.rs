//! The kind `lifetime`.
//!
//! # Layout
//! - [`model`]: what was learned, and what is known of each customer; [`options`]: what the user may choose;
//!   [`trainer`]: a job to a model; [`incumbent`]: beside the live one; [`predictor`]: a model that answers.
//!
//! It must not know other kinds. Invariant: its name never changes, since versions carry it.

pub mod incumbent;
pub mod model;
pub mod options;
pub mod predictor;
pub mod trainer;

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{ModelKind, Predictor, Trainer};
use ecommerce_ml_protocol::{EngineError, ErrorKind, ModelSource};

use crate::files;
use model::{KIND, LifetimeModel};
use predictor::LifetimePredictor;
use trainer::LifetimeTrainer;

/// Models of what customers will do.
#[derive(Debug, Default)]
pub struct Lifetimes {
    trainer: LifetimeTrainer,
}

impl ModelKind for Lifetimes {
    fn name(&self) -> &'static str {
        KIND
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files::recognises::<LifetimeModel>(files)
    }

    fn load(&self, _: Option<&ModelSource>, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        Ok(Arc::new(LifetimePredictor::new(files::read(files)?)))
    }

    fn trainer(&self) -> Option<&dyn Trainer> {
        Some(&self.trainer)
    }
}

/// Something wrong with what is asked for.
fn refused(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}
