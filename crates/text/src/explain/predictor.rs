//! A model that explains, behind the boundary of all kinds.
//!
//! It must not know clients. Invariant: what can't be explained is refused before any work is done for it.

use std::sync::Arc;

use ecommerce_ml_predictor::{Answered, ModelPrecision, Pending, Predictor};
use ecommerce_ml_protocol::{Answers, EngineError, ErrorKind, Input, ModelInfo, Output};

use super::model::ExplainModel;
use super::target;
use super::worker::ExplainWorker;
use crate::predictor::texts_of;
use crate::scheduler::Scheduler;

/// A model that was loaded to explain, and what it shares with others.
pub struct ExplainPredictor {
    model: Arc<ExplainModel>,
    worker: Arc<ExplainWorker>,
    scheduler: Arc<Scheduler>,
}

impl ExplainPredictor {
    /// A model that has just been loaded.
    pub fn new(model: ExplainModel, worker: &Arc<ExplainWorker>, scheduler: &Arc<Scheduler>) -> Self {
        Self { model: Arc::new(model), worker: Arc::clone(worker), scheduler: Arc::clone(scheduler) }
    }

    fn accept(&self, input: Input, output: Output) -> Result<(Vec<String>, Option<u32>), EngineError> {
        let Output::Contributions { class } = output else {
            let message = "the model was loaded to explain, not to predict";
            return Err(EngineError::new(ErrorKind::InvalidRequest, message));
        };
        target::check(self.model.labels(), class)?;
        Ok((texts_of(input)?, class))
    }
}

impl Predictor for ExplainPredictor {
    fn info(&self) -> &ModelInfo {
        self.model.info()
    }

    fn precision(&self) -> &ModelPrecision {
        self.model.precision()
    }

    fn submit(&self, input: Input, output: Output) -> Pending {
        let (texts, class) = match self.accept(input, output) {
            Ok(accepted) => accepted,
            Err(error) => return Pending::ready(Err(error)),
        };
        let promised = self.worker.submit(&self.model, texts, class, &self.scheduler);
        Pending::new(async move {
            let explained = promised.await?;
            // Whoever asks why is told, whatever the text is in.
            let answers = Answers::Explanations(explained.rows);
            Ok(Answered { tokens: explained.tokens, ..Answered::computed(answers) })
        })
    }
}
