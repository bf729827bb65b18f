//! The kind `linear`.
//!
//! It must not know other kinds. Invariant: its name never changes, since versions carry it.

use std::ops::Range;
use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Load, ModelKind, Predictor, Trainer};
use ecommerce_ml_protocol::{Answers, EngineError, ModelSource, Rows};

use crate::linear::contributions::explain;
use crate::linear::files;
use crate::linear::model::KIND;
use crate::linear::scoring::{Prepared, Scorer};
use crate::linear::trainer::LinearTrainer;
use crate::predictor::ColumnsPredictor;
use crate::score::{Answering, Score};
use crate::texts::{self, TextModels};
use crate::threads::Threads;

/// Linear models of table columns: logistic and ridge regression.
#[derive(Debug)]
pub struct Linear {
    threads: Arc<Threads>,
    texts: TextModels,
    trainer: LinearTrainer,
}

impl Linear {
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
        Self { trainer: LinearTrainer::new(Arc::clone(&threads), texts.clone()), threads, texts }
    }
}

impl ModelKind for Linear {
    fn name(&self) -> &'static str {
        KIND
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files::recognises(files)
    }

    fn load(&self, _: Option<&ModelSource>, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        texts::load(files, self.texts.get(), |files| {
            let model = files::read(files)?;
            let scorer = Arc::new(Scorer::new(&model));
            let threads = Arc::clone(&self.threads);
            Ok(Arc::new(ColumnsPredictor::new(model.info(), "f64", scorer, threads)))
        })
    }

    fn trainer(&self) -> Option<&dyn Trainer> {
        Some(&self.trainer)
    }
}

impl Score for Scorer {
    fn work(&self, rows: &Rows, _: bool) -> usize {
        (rows.count as usize).saturating_mul((self.columns.len() + 1) * self.intercepts.len())
    }

    fn prepare<'a>(&'a self, rows: &'a Rows) -> Result<Box<dyn Answering + 'a>, EngineError> {
        Ok(Box::new(Scorer::prepare(self, rows)?))
    }

    fn explain(
        &self,
        rows: &Rows,
        class: Option<u32>,
        is_given_up: &(dyn Fn() -> bool + Sync),
    ) -> Result<Answers, EngineError> {
        explain(self, rows, (self.head.labels().len(), class), is_given_up)
    }
}

impl Answering for Prepared<'_> {
    fn answer(&self, rows: Range<usize>) -> Result<Answers, EngineError> {
        Prepared::answer(self, rows)
    }
}
