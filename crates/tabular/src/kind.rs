//! The kind `linear`.
//!
//! It must not know other kinds. Invariant: its name never changes, since versions carry it.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{ModelKind, Predictor, Trainer};
use ecommerce_ml_protocol::{EngineError, ModelSource};

use crate::files;
use crate::model::KIND;
use crate::predictor::LinearPredictor;
use crate::threads::Threads;

/// Linear models of table columns: logistic and ridge regression.
#[derive(Debug)]
pub struct Linear {
    threads: Arc<Threads>,
}

impl Linear {
    /// With models that compute large inputs, and trainings, on so many threads; 0 for one a core.
    pub fn new(threads: usize) -> Self {
        Self { threads: Arc::new(Threads::new(threads)) }
    }
}

impl ModelKind for Linear {
    fn name(&self) -> &'static str {
        KIND
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files::recognises(files)
    }

    fn load(&self, _: &ModelSource, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        let model = files::read(files)?;
        Ok(Arc::new(LinearPredictor::new(&model, Arc::clone(&self.threads))))
    }

    fn trainer(&self) -> Option<&dyn Trainer> {
        None
    }
}
