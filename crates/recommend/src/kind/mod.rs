//! The kind `recommendation`.
//!
//! # Layout
//! - [`files`]: a model as files; [`options`]: what the user may choose; [`trainer`]: a job to a model; [`predictor`]: a model
//!   that answers.
//!
//! It must not know other kinds. Invariant: its name never changes, since versions carry it.

pub mod files;
pub mod options;
pub mod predictor;
pub mod trainer;

use std::sync::{Arc, OnceLock};

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{ModelKind, Predictor, Trainer};
use ecommerce_ml_protocol::{EngineError, ErrorKind, ModelSource};
use rayon::{ThreadPool, ThreadPoolBuilder};

use predictor::RecommenderPredictor;
use trainer::RecommendationTrainer;

/// What the catalog calls the kind.
pub const KIND: &str = "recommendation";

/// Models that recommend items to customers.
#[derive(Debug)]
pub struct Recommendation {
    threads: Arc<Threads>,
    trainer: RecommendationTrainer,
}

impl Recommendation {
    /// With models that answer, and trainings, on so many threads; 0 for one a core.
    pub fn new(threads: usize) -> Self {
        let threads = Arc::new(Threads { count: threads, pool: OnceLock::new() });
        Self { trainer: RecommendationTrainer::new(Arc::clone(&threads)), threads }
    }
}

impl ModelKind for Recommendation {
    fn name(&self) -> &'static str {
        KIND
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files::recognises(files)
    }

    fn load(&self, _: Option<&ModelSource>, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        let (keys, model) = files::read(files)?;
        Ok(Arc::new(RecommenderPredictor::new(files::info(&keys, &model), model, Arc::clone(&self.threads))))
    }

    fn trainer(&self) -> Option<&dyn Trainer> {
        Some(&self.trainer)
    }
}

/// A pool of threads that is started when it is first needed.
#[derive(Debug)]
pub(crate) struct Threads {
    count: usize,
    pool: OnceLock<Option<ThreadPool>>,
}

impl Threads {
    /// The pool.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if the system gives no threads.
    pub(crate) fn pool(&self) -> Result<&ThreadPool, EngineError> {
        let start = || {
            let name = |number| format!("recommend {number}");
            ThreadPoolBuilder::new().num_threads(self.count).thread_name(name).build().ok()
        };
        self.pool.get_or_init(start).as_ref().ok_or_else(|| {
            EngineError::new(ErrorKind::Internal, "could not start threads for recommendations")
        })
    }
}

/// Something wrong with what is asked for.
pub(crate) fn refused(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}
