//! What a kind promises, for text.
//!
//! It must not know other kinds. Invariant: all its models share one scheduler, and so the device.

use std::io;
use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{ModelKind, Predictor, Trainer, Workload};
use ecommerce_ml_protocol::{EngineError, ModelSource};
use ecommerce_ml_text_model::{KIND, TextModel};
use ecommerce_ml_text_train::trainer::{Devices, TextTrainer};

use crate::explain::{ExplainModel, ExplainPredictor, ExplainWorker};
use crate::loader::ModelLoader;
use crate::predictor::TextPredictor;
use crate::scheduler::{Scheduler, SchedulerOptions, Turns};

/// Files that only a text model has; any of them is enough, so that what lacks the others is said to be damaged.
const FILES: [&str; 4] = ["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"];

/// What says that files are of another kind, which may hold a text model.
const SIGNATURE: &str = "signature.json";

/// Text models.
pub struct TextKind {
    loader: Arc<ModelLoader>,
    scheduler: Arc<Scheduler>,
    explaining: Arc<ExplainWorker>,
    trainer: TextTrainer<Arc<ModelLoader>>,
}

impl TextKind {
    /// Starts the threads of the scheduler.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(loader: Arc<ModelLoader>, options: SchedulerOptions) -> io::Result<Self> {
        let scheduler = Arc::new(Scheduler::start(options)?);
        // Explanations are computed on the processor, wherever predictions are.
        let turns = if loader.cpu().is_some() { scheduler.turns().clone() } else { Turns::default() };
        let explaining = Arc::new(ExplainWorker::start(turns, &scheduler)?);
        let trainer = TextTrainer::new(Arc::clone(&loader));
        Ok(Self { loader, scheduler, explaining, trainer })
    }

    fn predictor(&self, model: impl TextModel + 'static) -> Arc<dyn Predictor> {
        Arc::new(TextPredictor::new(Arc::new(model), &self.scheduler))
    }
}

impl ModelKind for TextKind {
    fn name(&self) -> &'static str {
        KIND
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files.get(SIGNATURE).is_none() && FILES.iter().any(|name| files.get(name).is_some())
    }

    fn load(
        &self,
        source: Option<&ModelSource>,
        files: &ModelFiles,
    ) -> Result<Arc<dyn Predictor>, EngineError> {
        self.loader.load(source, files).map(|model| self.predictor(model))
    }

    fn load_cached(&self, source: &ModelSource) -> Option<Arc<dyn Predictor>> {
        self.loader.load_cached(source).map(|model| self.predictor(model))
    }

    fn load_to_explain(&self, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        let model = ExplainModel::load(files, self.loader.require_cpu()?)?;
        Ok(Arc::new(ExplainPredictor::new(model, &self.explaining, &self.scheduler)))
    }

    fn trainer(&self) -> Option<&dyn Trainer> {
        Some(&self.trainer)
    }

    fn workload(&self) -> Workload {
        Workload { queued: self.scheduler.queued_texts(), utilisation: self.scheduler.utilisation() }
    }
}
