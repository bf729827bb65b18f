//! The kind `boosted_trees`.
//!
//! It must not know other kinds. Invariant: its name never changes, since versions carry it.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{ModelKind, Predictor, Trainer};
use ecommerce_ml_protocol::{EngineError, ModelSource};

use super::files;
use super::model::KIND;
use super::scoring::Scorer;
use super::trainer::TreesTrainer;
use crate::predictor::ColumnsPredictor;
use crate::threads::Threads;

/// Boosted trees over table columns. Only trainings need XGBoost's library: models answer without it.
#[derive(Debug)]
pub struct BoostedTrees {
    threads: Arc<Threads>,
    trainer: TreesTrainer,
}

impl BoostedTrees {
    /// With models that compute large inputs, and trainings, on so many threads; 0 for one a core.
    pub fn new(threads: usize) -> Self {
        let threads = Arc::new(Threads::new(threads));
        Self { trainer: TreesTrainer::new(Arc::clone(&threads)), threads }
    }
}

impl ModelKind for BoostedTrees {
    fn name(&self) -> &'static str {
        KIND
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files::recognises(files)
    }

    fn load(&self, _: Option<&ModelSource>, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        let model = files::read(files)?;
        let scorer = Arc::new(Scorer::new(&model));
        Ok(Arc::new(ColumnsPredictor::new(model.info(), "f32", scorer, Arc::clone(&self.threads))))
    }

    fn trainer(&self) -> Option<&dyn Trainer> {
        Some(&self.trainer)
    }
}
