//! Rows to a model: series, what they are worth to forecast, and the methods of the whole of them.
//!
//! The last periods are held out: all methods are chosen and fitted without them, their forecasts are measured beside those of the
//! seasonal naive, and then everything is done again with all periods. It must not know PostgreSQL, or who asks. Invariant: nothing
//! that is measured was known to what is measured.

use ecommerce_ml_forecast::held_out::Evaluation;
use ecommerce_ml_predictor::{Evaluate, Job, Sink, Trainer};
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_protocol::training::{
    BaselineComparison, Comparison, Finished, JobOutput, Objective, Phase, TrainingCall, TrainingChecked,
    TrainingInput,
};
use ecommerce_ml_training::comparison::compare_means_with_baseline;
use ecommerce_ml_training::model;

use crate::fitting::SeriesToFit;
use crate::incumbent::{New, compare};
use crate::measures::metrics;
use crate::model::{ForecastModel, KIND};
use crate::options::{Method, Options};
use crate::setup::{LEVEL, Setup, event_columns, trees_library};
use crate::{files, refused};

/// What models are compared by: root mean squared scaled errors, which the mean of what may come minimises, the mean over series.
const METRIC: &str = "rmsse";
/// Makes forecasting models.
#[derive(Debug)]
pub struct ForecastTrainer {
    threads: usize,
}

impl ForecastTrainer {
    /// On so many threads.
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads }
    }
}

impl Trainer for ForecastTrainer {
    fn accepts(&self, call: &TrainingCall) -> bool {
        call.objective == Objective::Forecast && matches!(call.input, TrainingInput::Events { .. })
    }

    fn check(&self, call: &TrainingCall) -> Result<TrainingChecked, EngineError> {
        let (_, features) = event_columns(call)?;
        let options = Options::read(&call.options)?;
        if options.method == Method::Local && !features.is_empty() {
            return Err(refused("training option \"method\": \"local\" reads no feature_columns"));
        }
        if options.method == Method::Trees {
            trees_library()?;
        }
        Ok(TrainingChecked { kind: KIND.to_owned(), default_base: None })
    }

    fn train(&self, job: Job, _: &dyn Evaluate, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let Setup { series, prepared, evaluation, incumbent, seed } = Setup::new(job, self.threads)?;
        sink.send(JobOutput::Prepared(Box::new(prepared)))?;
        let comparison = match incumbent.filter(|_| evaluation.is_some()) {
            None => None,
            Some(incumbent) => {
                sink.send(JobOutput::Phase(Phase::EvaluatingIncumbent))?;
                compared(&series, &incumbent, seed)?
            }
        };
        sink.send(JobOutput::Phase(Phase::Training))?;
        let model = series.fit()?;
        let files = files::write(&model)?;
        let bytes = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let finished = Finished {
            info: model.info(bytes),
            metrics: evaluation.as_ref().map_or_else(Vec::new, |found| metrics(&found.own, true)),
            epoch: 1,
            stopped_early: false,
            uses_base: false,
            comparison,
            against_baseline: evaluation.as_ref().and_then(|found| against_baseline(found, seed)),
            reference: None,
        };
        model::send(&files, sink)?;
        sink.send(JobOutput::Finished(Box::new(finished)))
    }
}

/// The new model beside the live one.
fn compared(
    series: &SeriesToFit,
    incumbent: &ForecastModel,
    seed: u64,
) -> Result<Option<Comparison>, EngineError> {
    let known = series.global.as_ref().map(|global| (&global.layout.columns[..], &global.known[..]));
    let new = New { columns: &series.columns, keys: &series.keys, panel: &series.panel, known };
    let held_out = |horizon: usize| series.held_out(horizon, LEVEL);
    compare(new, incumbent, series.fitting.horizon, held_out, (METRIC, seed))
}

fn against_baseline(found: &Evaluation, seed: u64) -> Option<BaselineComparison> {
    let (own, naive): (Vec<f64>, Vec<f64>) = found.pairs.iter().copied().unzip();
    (!own.is_empty()).then(|| compare_means_with_baseline(METRIC, false, (&own, &naive), 0.0, seed))
}
