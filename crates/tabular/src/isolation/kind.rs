//! The kind `isolation_forest`.
//!
//! It must not know other kinds. Invariant: its name never changes, since versions carry it.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{ModelKind, Predictor, Trainer};
use ecommerce_ml_protocol::{EngineError, ModelSource};

use super::trainer::IsolationTrainer;
use crate::predictor::ColumnsPredictor;
use crate::threads::Threads;
use crate::trees::files;
use crate::trees::scoring::Scorer;
use ecommerce_ml_predictor::files::{SIGNATURE, kind_in};

/// What the catalog calls the kind.
pub const KIND: &str = "isolation_forest";

/// Trees that tell how unlike others a row is.
#[derive(Debug)]
pub struct IsolationForest {
    threads: Arc<Threads>,
    trainer: IsolationTrainer,
}

impl IsolationForest {
    /// With models that compute large inputs, and trainings, on so many threads; 0 for one a core.
    pub fn new(threads: usize) -> Self {
        let threads = Arc::new(Threads::new(threads));
        Self { trainer: IsolationTrainer::new(Arc::clone(&threads)), threads }
    }
}

impl ModelKind for IsolationForest {
    fn name(&self) -> &'static str {
        KIND
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        kind_in(files, SIGNATURE).is_some_and(|kind| kind == KIND)
    }

    fn load(&self, _: Option<&ModelSource>, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        let model = files::read(files, KIND)?;
        let scorer = Arc::new(Scorer::new(&model));
        Ok(Arc::new(ColumnsPredictor::new(model.info(), "f32", scorer, Arc::clone(&self.threads))))
    }

    fn trainer(&self) -> Option<&dyn Trainer> {
        Some(&self.trainer)
    }
}
