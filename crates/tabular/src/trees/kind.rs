//! The kind `boosted_trees`.
//!
//! It must not know other kinds. Invariant: its name never changes, since versions carry it.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Load, ModelKind, Predictor, Trainer};
use ecommerce_ml_protocol::{EngineError, ModelSource};

use super::files;
use super::model::KIND;
use super::scoring::Scorer;
use super::trainer::TreesTrainer;
use crate::predictor::ColumnsPredictor;
use crate::texts::{self, TextModels};
use crate::threads::Threads;

/// Boosted trees over table columns. Only trainings need XGBoost's library: models answer without it.
#[derive(Debug)]
pub struct BoostedTrees {
    threads: Arc<Threads>,
    texts: TextModels,
    trainer: TreesTrainer,
}

impl BoostedTrees {
    /// With models that compute large inputs, and trainings, on so many threads; 0 for one a core.
    pub fn new(threads: usize) -> Self {
        Self::with(threads, TextModels::default())
    }

    /// The same, with columns of text that are read by text models.
    pub fn reading_texts(threads: usize, models: Arc<dyn Load>) -> Self {
        Self::with(threads, TextModels::new(models))
    }

    fn with(threads: usize, texts: TextModels) -> Self {
        let threads = Arc::new(Threads::new(threads));
        Self { trainer: TreesTrainer::new(Arc::clone(&threads), texts.clone()), threads, texts }
    }
}

impl ModelKind for BoostedTrees {
    fn name(&self) -> &'static str {
        KIND
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files::recognises(files, KIND)
    }

    fn load(&self, _: Option<&ModelSource>, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        texts::load(files, self.texts.get(), |files| {
            let model = files::read(files, KIND)?;
            let scorer = Arc::new(Scorer::new(&model));
            let threads = Arc::clone(&self.threads);
            Ok(Arc::new(ColumnsPredictor::new(model.info(), "f32", scorer, threads)))
        })
    }

    fn trainer(&self) -> Option<&dyn Trainer> {
        Some(&self.trainer)
    }
}
