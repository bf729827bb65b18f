//! The kinds of models that this engine has.
//!
//! It must not know what a kind does beyond its promises. Invariant: files are loaded by the first kind that recognises them, and
//! a training is done by the first that accepts it, so that both are settled by the order here.

use std::io;
use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Load, ModelKind, Predictor, Trainer, Workload};
use ecommerce_ml_protocol::training::{Objective, TrainingCall, TrainingInput};
use ecommerce_ml_protocol::{EngineError, ErrorKind, ModelSource};
use ecommerce_ml_text::scheduler::SchedulerOptions;
use ecommerce_ml_text::{ModelLoader, TextKind};

use crate::shared::{MemberModels, SharedModels};

/// Kinds of models, in the order in which they are asked.
pub struct Registry {
    kinds: Vec<Arc<dyn ModelKind>>,
}

impl Registry {
    /// All kinds: a line each.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(loader: ModelLoader, scheduling: SchedulerOptions) -> io::Result<Self> {
        let threads = scheduling.tokenizing_threads;
        let text: Arc<dyn ModelKind> = Arc::new(TextKind::start(Arc::new(loader), scheduling)?);
        let texts = Arc::new(SharedModels::of(Arc::clone(&text)));
        let trees = ecommerce_ml_tabular::BoostedTrees::reading_texts(threads, Arc::clone(&texts) as _);
        let linear = ecommerce_ml_tabular::Linear::reading_texts(threads, Arc::clone(&texts) as _);
        let isolation = ecommerce_ml_tabular::IsolationForest::new(threads);
        let recommendation = ecommerce_ml_recommend::Recommendation::new(threads);
        let forecasts = ecommerce_ml_forecast_model::Forecasts::new(threads);
        let lifetimes = ecommerce_ml_customer::kind::Lifetimes::default();
        let elasticities = ecommerce_ml_customer::elasticity::Elasticities::default();
        let mut kinds: Vec<Arc<dyn ModelKind>> = vec![
            text,
            Arc::new(trees),
            Arc::new(linear),
            Arc::new(isolation),
            Arc::new(recommendation),
            Arc::new(forecasts),
            Arc::new(lifetimes),
            Arc::new(elasticities),
        ];
        // First of all: what the others would accept of a training isn't theirs if it names members.
        let members = MemberModels::of(kinds.clone(), texts);
        kinds.insert(0, Arc::new(ecommerce_ml_ensemble::Ensembles::new(Arc::new(members))));
        Ok(Self { kinds })
    }

    /// These kinds.
    pub fn of(kinds: Vec<Box<dyn ModelKind>>) -> Self {
        Self { kinds: kinds.into_iter().map(Arc::from).collect() }
    }

    /// Who does such a training.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if no kind does.
    pub fn trainer(&self, call: &TrainingCall) -> Result<&dyn Trainer, EngineError> {
        let mut trainers = self.kinds.iter().filter_map(|kind| kind.trainer());
        trainers.find(|trainer| trainer.accepts(call)).ok_or_else(|| untrainable(call))
    }

    /// What the models of all kinds have to do: the sum of what is queued, and the part of the time in which the busiest kind was
    /// running.
    pub fn workload(&self) -> Workload {
        let kinds = self.kinds.iter().map(|kind| kind.workload());
        kinds.fold(Workload::default(), |all, one| Workload {
            queued: all.queued + one.queued,
            utilisation: all.utilisation.max(one.utilisation),
        })
    }

    fn kind_of(&self, files: &ModelFiles) -> Result<&dyn ModelKind, EngineError> {
        let kind = self.kinds.iter().find(|kind| kind.recognises(files));
        kind.map(|kind| &**kind).ok_or_else(|| self.unrecognised(files))
    }

    fn unrecognised(&self, files: &ModelFiles) -> EngineError {
        let names: Vec<&str> = files.iter().map(|(name, _)| name).collect();
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
        let detail = match names.as_slice() {
            [] => "There are no files.".to_owned(),
            names => format!("Its files are: {}.", names.join(", ")),
        };
        EngineError::new(ErrorKind::UnsupportedModel, "files are no model of a kind that this build knows")
            .with_detail(detail)
            .with_hint(format!("Kinds of models are: {}.", kinds.join(", ")))
    }
}

impl Load for Registry {
    fn load(
        &self,
        source: Option<&ModelSource>,
        files: &ModelFiles,
    ) -> Result<Arc<dyn Predictor>, EngineError> {
        self.kind_of(files)?.load(source, files)
    }

    fn load_to_explain(&self, files: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        self.kind_of(files)?.load_to_explain(files)
    }

    fn load_cached(&self, source: &ModelSource) -> Option<Arc<dyn Predictor>> {
        self.kinds.iter().find_map(|kind| kind.load_cached(source))
    }
}

fn untrainable(call: &TrainingCall) -> EngineError {
    let objective = match call.objective {
        Objective::Classification => "classification",
        Objective::Rating => "rating",
        Objective::Regression => "regression",
        Objective::Forecast => "a forecast",
        Objective::Recommendation => "recommendations",
        Objective::Lifetime => "lifetimes",
        Objective::Anomaly => "anomalies",
        Objective::Elasticity => "elasticities",
    };
    let input = match call.input {
        TrainingInput::Text => "a text",
        TrainingInput::Columns { .. } => "these columns",
        TrainingInput::Events { .. } => "events",
    };
    let message = format!("no kind of model can be trained for {objective} on {input}");
    EngineError::new(ErrorKind::InvalidRequest, message)
}
