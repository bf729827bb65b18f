//! Rows to a model: series, what they are worth to forecast, and the methods of the whole of them.
//!
//! The last periods are held out: all methods are chosen and fitted without them, their forecasts are measured beside those of the
//! seasonal naive, and then everything is done again with all periods. It must not know PostgreSQL, or who asks. Invariant: nothing
//! that is measured was known to what is measured.

use ecommerce_ml_forecast::accuracy::Accuracy;
use ecommerce_ml_forecast::components::Components;
use ecommerce_ml_forecast::forecaster::{Evaluation, Forecaster, Options as Fitting, evaluate};
use ecommerce_ml_forecast::parallel::map;
use ecommerce_ml_forecast::series::{Options as Regular, Panel, Row};
use ecommerce_ml_predictor::{Evaluate, Job, Sink, Trainer};
use ecommerce_ml_protocol::training::{
    Baseline, BaselineComparison, Comparison, Finished, JobOutput, Label, Metric, Objective, Phase, Prepared,
    TrainingCall, TrainingChecked, TrainingInput,
};
use ecommerce_ml_protocol::{EngineError, ErrorKind, Field, Input};
use ecommerce_ml_training::comparison::compare_means_with_baseline;
use ecommerce_ml_training::{Dataset, model};

use crate::incumbent::{New, compare};
use crate::keys::keyed;
use crate::model::{ForecastModel, KIND};
use crate::options::Options;
use crate::table::RESERVED;
use crate::{files, invalid, refused};

/// What models are compared by: root mean squared scaled errors, which the mean of what may come minimises, the mean over series.
const METRIC: &str = "rmsse";
/// Part of the values that the intervals that are measured cover.
const LEVEL: f64 = 0.8;
/// Bytes that a row takes while series are made of it, and a fitted series beside its values.
const ROW_BYTES: usize = 160;
const SERIES_BYTES: usize = 6_000;
/// Bytes of a value: in its series, in the part that isn't held out, and among errors.
const VALUE_BYTES: usize = 40;

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
        key_columns(call)?;
        Options::read(&call.options)?;
        Ok(TrainingChecked { kind: KIND.to_owned(), default_base: None })
    }

    fn train(&self, job: Job, _: &dyn Evaluate, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let Setup { series, prepared, evaluation, incumbent, seed } = Setup::new(job, self.threads)?;
        sink.send(JobOutput::Prepared(Box::new(prepared)))?;
        let comparison = match incumbent.filter(|_| evaluation.is_some()) {
            None => None,
            Some(incumbent) => {
                sink.send(JobOutput::Phase(Phase::EvaluatingIncumbent))?;
                series.compare(&incumbent, seed)
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

/// The columns that tell series apart.
fn key_columns(call: &TrainingCall) -> Result<&[Field], EngineError> {
    let TrainingInput::Events { keys, fields } = &call.input else {
        return Err(refused("a forecast is made of events, each with a time"));
    };
    if !call.has_time {
        return Err(refused("a forecast needs the time of each row"));
    }
    if let Some(feature) = fields.get(keys.len()) {
        return Err(refused(format!("a forecast does not read column \"{}\" yet", feature.name))
            .with_detail("Forecasts go by keys, time and quantity alone.")
            .with_hint("Leave out feature_columns."));
    }
    match keys.iter().find(|key| RESERVED.contains(&key.name.as_str())) {
        Some(key) => {
            Err(refused(format!("key column \"{}\" is called like a column of forecasts", key.name))
                .with_hint("Train on a view that gives it another name."))
        }
        None => Ok(keys),
    }
}

/// What a training begins with, and what it found out before.
struct Setup {
    series: SeriesToFit,
    prepared: Prepared,
    evaluation: Option<Evaluation>,
    /// The live version, if it is of this kind.
    incumbent: Option<ForecastModel>,
    seed: u64,
}

/// Series, ready to be fitted.
struct SeriesToFit {
    columns: Vec<Field>,
    keys: Vec<Vec<String>>,
    panel: Panel,
    regular: Regular,
    fitting: Fitting,
}

impl Setup {
    fn new(job: Job, threads: usize) -> Result<Self, EngineError> {
        let Job { plan, base, incumbent, rows, .. } = job;
        if plan.base.is_some() || base.is_some() {
            return Err(refused("a forecast begins with nothing, and takes no base"));
        }
        let columns = key_columns(&plan.call)?.to_vec();
        let options = Options::read(&plan.call.options)?;
        let dataset = Dataset::new(&plan.call, rows)?;
        let Input::Rows(columns_of_rows) = &dataset.input else {
            return Err(refused("a forecast does not read a text"));
        };
        let keyed = keyed(columns_of_rows, &columns)?;
        let rows = rows_of(&dataset, &keyed.series)?;
        let regular =
            Regular { period: options.frequency, gaps: options.gaps, whole_periods: options.drop_partial };
        let panel = Panel::new(&rows, regular).map_err(invalid)?;
        let period = panel.calendar.period;
        let season = options.season_length.unwrap_or(period.season());
        let fitting = Fitting { season, horizon: options.horizon_of(period), threads };
        let memory = memory(&dataset, &panel, plan.memory_limit)?;
        let evaluation = match options.common.eval_fraction {
            0.0 => None,
            // Series that are all too short to hold anything out are fitted all the same.
            _ => evaluate(&panel.series, fitting, LEVEL).ok(),
        };
        let first_held_out = panel.calendar.start(panel.end.saturating_sub(fitting.horizon as i64));
        let held_out = match &evaluation {
            Some(_) => dataset.times.iter().filter(|time| **time >= first_held_out).count(),
            None => 0,
        };
        let prepared = Prepared {
            training_rows: (dataset.len() - held_out) as u64,
            held_out_rows: held_out as u64,
            labels: Vec::new(),
            rows_sha256: dataset.sha256(),
            ignored_rows: panel.left_out as u64,
            epochs: 1,
            steps: 1,
            resumed_at: 0,
            memory,
            options: options.effective(period, season),
            baseline: evaluation.as_ref().map(baseline),
            findings: Default::default(),
        };
        let series = SeriesToFit { columns, keys: keyed.keys, panel, regular, fitting };
        let incumbent = incumbent.filter(files::recognises).map(|files| files::read(&files)).transpose()?;
        let incumbent = incumbent.map(|(model, _)| model);
        Ok(Self { series, prepared, evaluation, incumbent, seed: options.common.seed })
    }
}

impl SeriesToFit {
    fn compare(&self, incumbent: &ForecastModel, seed: u64) -> Option<Comparison> {
        let new = New { columns: &self.columns, keys: &self.keys, panel: &self.panel };
        compare(new, incumbent, self.fitting, METRIC, seed)
    }

    fn fit(self) -> Result<ForecastModel, EngineError> {
        let Self { columns, keys, panel, regular, fitting } = self;
        let forecaster = Forecaster::fit(&panel.series, panel.end, fitting).map_err(invalid)?;
        let components =
            map(&panel.series, fitting.threads, |one| Components::of(&one.values, fitting.season));
        // Keys whose rows are all in periods that are left out have no series.
        let key = |series: &ecommerce_ml_forecast::series::Series| {
            usize::try_from(series.key).ok().and_then(|key| keys.get(key)).cloned().unwrap_or_default()
        };
        Ok(ForecastModel {
            columns,
            keys: panel.series.iter().map(key).collect(),
            calendar: panel.calendar,
            end: panel.end,
            horizon: fitting.horizon,
            season: fitting.season,
            gaps: regular.gaps,
            whole_periods: regular.whole_periods && !panel.one_day_each,
            components: Components::mean(components.into_iter().flatten()),
            forecaster,
        })
    }
}

/// Events with the numbers of their series.
fn rows_of(dataset: &Dataset, series: &[u32]) -> Result<Vec<Row>, EngineError> {
    let row = |((label, time), key): ((&Label, &i64), &u32)| match label {
        // Times without a zone are those of UTC here, and so are all others.
        Label::Number(quantity) => Ok(Row { key: *key, time: *time, offset: 0, quantity: *quantity }),
        Label::Class(_) | Label::Range(..) => Err(refused("quantities of a forecast must be numbers")),
    };
    dataset.labels.iter().zip(&dataset.times).zip(series).map(row).collect()
}

/// Bytes that it takes.
fn memory(dataset: &Dataset, panel: &Panel, limit: u64) -> Result<u64, EngineError> {
    let values: usize = panel.series.iter().map(|one| one.values.len()).sum();
    let bytes = dataset.input.bytes()
        + dataset.len().saturating_mul(ROW_BYTES)
        + values.saturating_mul(VALUE_BYTES)
        + panel.series.len().saturating_mul(SERIES_BYTES);
    if bytes as u64 > limit {
        let message = format!(
            "training on {} series of {values} periods in all takes {bytes} bytes, more than {limit}",
            panel.series.len()
        );
        return Err(EngineError::new(ErrorKind::OutOfMemory, message)
            .with_hint("Choose a longer frequency, or increase ecommerce_ml.training_memory."));
    }
    Ok(bytes as u64)
}

/// Under the names that all have; those of intervals only where there are some.
fn metrics(found: &Accuracy, with_intervals: bool) -> Vec<Metric> {
    let of_values =
        [("mase", found.mase()), ("rmsse", found.rmsse()), ("wape", found.wape()), ("smape", found.smape())];
    let of_intervals = [
        ("coverage", found.coverage()),
        ("interval_width", found.width()),
        ("pinball_loss", found.pinball()),
    ];
    let all = of_values.into_iter().chain(of_intervals.into_iter().filter(|_| with_intervals));
    all.filter_map(|(name, value)| Some(Metric { name: name.to_owned(), class: None, value: value? }))
        .collect()
}

fn baseline(found: &Evaluation) -> Baseline {
    Baseline {
        method: Some("forecasting what was a season ago".to_owned()),
        label: None,
        mean: None,
        median: None,
        metrics: metrics(&found.naive, false),
    }
}

fn against_baseline(found: &Evaluation, seed: u64) -> Option<BaselineComparison> {
    let (own, naive): (Vec<f64>, Vec<f64>) = found.pairs.iter().copied().unzip();
    (!own.is_empty()).then(|| compare_means_with_baseline(METRIC, false, (&own, &naive), 0.0, seed))
}
