//! A training job, read and checked: rows to series, what is held out of them measured.
//!
//! It must not know PostgreSQL, or who asks. Invariant: the same rows give the same series in whatever order they come.

use std::collections::BTreeMap;
use std::sync::Arc;

use ecommerce_ml_forecast::forecaster::Options as Fitting;
use ecommerce_ml_forecast::held_out::Evaluation;
use ecommerce_ml_forecast::series::{Gaps, Options as Regular, Panel, Row};
use ecommerce_ml_predictor::Job;
use ecommerce_ml_protocol::training::{Label, Prepared, TrainingCall, TrainingInput};
use ecommerce_ml_protocol::{EngineError, ErrorKind, Field, Input, Rows, ValueType};
use ecommerce_ml_training::Dataset;
use ecommerce_ml_xgboost::Library;

use crate::fitting::{GlobalTraining, SeriesToFit};
use crate::global::boosting;
use crate::global::known::Known;
use crate::global::layout::Layout;
use crate::global::rows::{known, schemes};
use crate::keys::keyed;
use crate::measures::baseline;
use crate::model::ForecastModel;
use crate::options::{Method, Options};
use crate::sums::Levels;
use crate::table::RESERVED;
use crate::{files, invalid, refused};

/// Part of the values that the intervals that are measured cover.
pub const LEVEL: f64 = 0.8;
/// Trees are tried without columns to go by from so many series and values on: fewer tell too little of each other.
const MANY_SERIES: usize = 50;
const MANY_VALUES: usize = 2_000;
/// Bytes that a row takes while series are made of it, and a fitted series beside its values.
const ROW_BYTES: usize = 160;
const SERIES_BYTES: usize = 6_000;
/// Bytes of a value: in its series, in the part that isn't held out, and among errors.
const VALUE_BYTES: usize = 40;

/// The columns that tell series apart, and those that are known ahead.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] for events that can't be forecast.
pub fn event_columns(call: &TrainingCall) -> Result<(&[Field], &[Field]), EngineError> {
    let TrainingInput::Events { keys, fields } = &call.input else {
        return Err(refused("a forecast is made of events, each with a time"));
    };
    if !call.has_time {
        return Err(refused("a forecast needs the time of each row"));
    }
    if let Some(key) = keys.iter().find(|key| RESERVED.contains(&key.name.as_str())) {
        return Err(refused(format!("key column \"{}\" is called like a column of forecasts", key.name))
            .with_hint("Train on a view that gives it another name."));
    }
    let features = fields.get(keys.len()..).unwrap_or_default();
    match features.iter().find(|field| field.value_type == ValueType::Timestamp) {
        Some(field) => {
            Err(refused(format!("a forecast does not read column \"{}\", which is a moment", field.name))
                .with_hint("Leave it out of feature_columns, or train on a view that makes a number of it."))
        }
        None => Ok((keys, features)),
    }
}

/// What a training begins with, and what it found out before.
pub struct Setup {
    pub series: SeriesToFit,
    pub prepared: Prepared,
    pub evaluation: Option<Evaluation>,
    /// The live version, if it is of this kind.
    pub incumbent: Option<ForecastModel>,
    pub seed: u64,
}

impl Setup {
    pub fn new(job: Job, threads: usize) -> Result<Self, EngineError> {
        let Job { plan, base, incumbent, rows, .. } = job;
        if plan.base.is_some() || base.is_some() {
            return Err(refused("a forecast begins with nothing, and takes no base"));
        }
        let (columns, features) = event_columns(&plan.call)?;
        let (columns, features) = (columns.to_vec(), features.to_vec());
        let options = Options::read(&plan.call.options)?;
        let dataset = Dataset::new(&plan.call, rows)?;
        let Input::Rows(columns_of_rows) = &dataset.input else {
            return Err(refused("a forecast does not read a text"));
        };
        let keyed = keyed(columns_of_rows, &columns)?;
        let levels = options.reconcile.then(|| Levels::of(&keyed));
        if levels.is_some() && (options.gaps == Gaps::Missing || columns.is_empty()) {
            return Err(refused(
                "training option \"reconcile\" needs key_columns, and gaps that are \"zero\"",
            ));
        }
        let mut rows = rows_of(&dataset, &keyed.series)?;
        if let Some(levels) = &levels {
            rows = levels.rows(&rows);
        }
        let keys = levels.as_ref().map_or(&keyed.keys, |levels| &levels.keys).clone();
        let own = |key: u32| levels.as_ref().map_or(Some(key), |levels| levels.own(key));
        let regular =
            Regular { period: options.frequency, gaps: options.gaps, whole_periods: options.drop_partial };
        let panel = Panel::new(&rows, regular).map_err(invalid)?;
        let period = panel.calendar.period;
        let season = options.season_length.unwrap_or(period.season());
        let fitting = Fitting { season, horizon: options.horizon_of(period), threads };
        let global = match library(options.method, &features, &panel)? {
            None => None,
            Some(library) => {
                let forced = options.method == Method::Trees;
                let seed = options.common.seed;
                let source = Source {
                    rows: columns_of_rows,
                    fields: &features,
                    times: &dataset.times,
                    keys: keys.len(),
                };
                let of_row = |row: usize| keyed.series.get(row).copied().and_then(own);
                Some(global_training(source, of_row, (&panel, fitting), (library, forced, seed))?)
            }
        };
        let mut series = SeriesToFit {
            columns,
            keys,
            panel,
            regular,
            fitting,
            reconciled: options.reconcile,
            global,
            grown: Default::default(),
        };
        let memory = match memory(&dataset, &series, plan.memory_limit) {
            // Trees are one method of several: without them there may be room.
            Err(_) if options.method == Method::Auto && series.global.is_some() => {
                series.global = None;
                memory(&dataset, &series, plan.memory_limit)?
            }
            memory => memory?,
        };
        let evaluation = match options.common.eval_fraction {
            0.0 => None,
            // Series that are all too short to hold anything out are fitted all the same.
            _ => series.held_out(fitting.horizon, LEVEL)?.map(|all| Evaluation::of(&all, LEVEL)),
        };
        let end = series.panel.end;
        let first_held_out = series.panel.calendar.start(end.saturating_sub(fitting.horizon as i64));
        let held_out = match &evaluation {
            Some(_) => dataset.times.iter().filter(|time| **time >= first_held_out).count(),
            None => 0,
        };
        let prepared = Prepared {
            training_rows: (dataset.len() - held_out) as u64,
            held_out_rows: held_out as u64,
            labels: Vec::new(),
            rows_sha256: dataset.sha256(),
            ignored_rows: series.panel.left_out as u64,
            epochs: 1,
            steps: 1,
            resumed_at: 0,
            memory,
            options: options.effective(period, season),
            baseline: evaluation.as_ref().map(baseline),
            findings: Default::default(),
        };
        let incumbent = incumbent.filter(files::recognises).map(|files| files::read(&files)).transpose()?;
        let incumbent = incumbent.map(|(model, _)| model);
        Ok(Self { series, prepared, evaluation, incumbent, seed: options.common.seed })
    }
}

/// The library of trees; none if they aren't tried, be it for want of it where they are one method of several.
fn library(method: Method, features: &[Field], panel: &Panel) -> Result<Option<Arc<Library>>, EngineError> {
    let values: usize = panel.series.iter().map(|one| one.values.len()).sum();
    let many = panel.series.len() >= MANY_SERIES && values >= MANY_VALUES;
    match method {
        Method::Local => Ok(None),
        Method::Auto if features.is_empty() && !many => Ok(None),
        Method::Auto => Ok(Library::get().ok()),
        Method::Trees => trees_library().map(Some),
    }
}

/// That grows trees.
///
/// # Errors
/// [`ErrorKind::NotCompiledIn`] if it isn't installed, with how it is.
pub fn trees_library() -> Result<Arc<Library>, EngineError> {
    Library::get().map_err(|error| {
        let message = "trees need XGBoost's library, which is not installed";
        EngineError::new(ErrorKind::NotCompiledIn, message)
            .with_detail(format!("The system says: {error}."))
            .with_hint("Install the package libxgboost0, or train with the option \"method\": \"auto\".")
    })
}

/// Rows with columns that are known ahead.
struct Source<'a> {
    rows: &'a Rows,
    fields: &'a [Field],
    times: &'a [i64],
    /// How many series there are.
    keys: usize,
}

fn global_training(
    source: Source<'_>,
    series: impl Fn(usize) -> Option<u32>,
    (panel, fitting): (&Panel, Fitting),
    (library, forced, seed): (Arc<Library>, bool, u64),
) -> Result<GlobalTraining, EngineError> {
    let Source { rows, fields, times, keys } = source;
    let schemes = schemes(rows, fields)?;
    let place = |row: usize| {
        let period = panel.calendar.index(*times.get(row)?);
        Some((series(row)?, period)).filter(|_| period < panel.end)
    };
    let mut periods = known(rows, &schemes, place)?;
    let firsts: BTreeMap<u32, i64> = panel.series.iter().map(|one| (one.key, one.first)).collect();
    let of_key = |key: u32| {
        let periods = periods.remove(&key).unwrap_or_default();
        Known::new(firsts.get(&key).copied().unwrap_or_default(), schemes.len(), &periods)
    };
    let known = (0..).take(keys).map(of_key).collect();
    let longest = panel.series.iter().map(|one| one.values.len()).max().unwrap_or(0);
    let layout = Layout::new(panel.calendar.period, fitting.season, fitting.horizon, schemes, longest);
    Ok(GlobalTraining { library, layout, known, forced, seed })
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
fn memory(dataset: &Dataset, series: &SeriesToFit, limit: u64) -> Result<u64, EngineError> {
    let panel = &series.panel;
    let trees = series.global.as_ref().map_or(0, |global| {
        let known: usize = global.known.iter().map(Known::bytes).sum();
        known + boosting::memory(&panel.series, &global.layout)
    });
    let values: usize = panel.series.iter().map(|one| one.values.len()).sum();
    let bytes = dataset.input.bytes()
        + dataset.len().saturating_mul(ROW_BYTES)
        + values.saturating_mul(VALUE_BYTES)
        + panel.series.len().saturating_mul(SERIES_BYTES)
        + trees;
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
