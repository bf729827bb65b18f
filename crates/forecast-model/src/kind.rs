//! The kind `forecast`.
//!
//! It must not know other kinds. Invariant: as of all kinds: files are this kind's only if their signature says so.

use std::sync::Arc;
use std::thread;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{ModelKind, Predictor, Trainer};
use ecommerce_ml_protocol::{EngineError, ModelSource};

use crate::files;
use crate::model::KIND;
use crate::predictor::ForecastPredictor;
use crate::trainer::ForecastTrainer;

/// The kind.
#[derive(Debug)]
pub struct Forecasts {
    trainer: ForecastTrainer,
}

impl Forecasts {
    /// On at most so many threads; 0 for one a core.
    pub fn new(threads: usize) -> Self {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        Self { trainer: ForecastTrainer::new(if threads == 0 { cores() } else { threads }) }
    }
}

impl ModelKind for Forecasts {
    fn name(&self) -> &'static str {
        KIND
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files::recognises(files)
    }

    fn load(&self, _: Option<&ModelSource>, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        Ok(Arc::new(ForecastPredictor::new(files::read(files)?)))
    }

    fn trainer(&self) -> Option<&dyn Trainer> {
        Some(&self.trainer)
    }
}
