//! The kind `elasticity`.
//!
//! # Layout
//! - [`options`]: what the user may choose; [`sales`]: rows of a job to sales of series; [`levels`]: which series belong together;
//!   [`trainer`]: a job to a model; [`model`]: what was learned; [`predictor`]: a model that answers.
//!
//! It must not know other kinds. Invariant: its name never changes, since versions carry it.

pub mod levels;
pub mod model;
pub mod options;
pub mod predictor;
pub mod sales;
pub mod trainer;

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{ModelKind, Predictor, Trainer};
use ecommerce_ml_protocol::{EngineError, ErrorKind, ModelSource};

use crate::files;
use model::{ElasticityModel, KIND};
use predictor::ElasticityPredictor;
use trainer::ElasticityTrainer;

/// Models of how sales respond to prices.
#[derive(Debug, Default)]
pub struct Elasticities {
    trainer: ElasticityTrainer,
}

impl ModelKind for Elasticities {
    fn name(&self) -> &'static str {
        KIND
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files::recognises::<ElasticityModel>(files)
    }

    fn load(&self, _: Option<&ModelSource>, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        Ok(Arc::new(ElasticityPredictor::new(files::read(files)?)))
    }

    fn trainer(&self) -> Option<&dyn Trainer> {
        Some(&self.trainer)
    }
}

/// Something wrong with what is asked for.
fn refused(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}
