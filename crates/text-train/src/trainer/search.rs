//! Learning rates and numbers of epochs, tried on parts of the rows to learn from that are measured on the others: the rows held out of
//! the training have no say in it.
//!
//! It must not know layers. Invariant: what a search leaves behind is settings; examples and everything else are as they were.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_checkpoint::open::OpenModel;
use ecommerce_ml_predictor::Sink;
use ecommerce_ml_protocol::training::{JobOutput, Trial};
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_training::Dataset;
use ecommerce_ml_training::random::{SplitMix64, hash};
use ecommerce_ml_training::search::{Measured, Search, log_uniform, rungs};
use ecommerce_ml_training::split::by_time;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::setup::{LearningDevices, Setup};
use super::training::{Training, TrainingContext};
use crate::recipe::options::{EvalStrategy, TrainingOptions};

/// Set what chance decides here apart from others with the same seed.
const SETTINGS: u64 = u64::from_be_bytes(*b"settings");
const PARTS: u64 = u64::from_be_bytes(*b"in parts");

/// One of so many rows to learn from is measured on.
const PART: u64 = 5;

/// Fewest rows that a trial learns from, unless there are fewer.
const LEAST_ROWS: usize = 300;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) learning_rate: f64,
    pub(super) num_train_epochs: u32,
}

impl Settings {
    /// Those that the options say.
    pub(super) fn of(options: &TrainingOptions) -> Self {
        let TrainingOptions { learning_rate, num_train_epochs, .. } = *options;
        Self { learning_rate, num_train_epochs }
    }

    /// So many to try: first those of the options, then what chance draws where the user has given nothing.
    fn drawn(options: &TrainingOptions, trials: usize) -> Vec<Self> {
        let own = Self::of(options);
        let mut random = SplitMix64::of_part(options.seed, SETTINGS);
        let mut draw = |_| {
            let learning_rate =
                log_uniform(&mut random, own.learning_rate / 5.0, (own.learning_rate * 5.0).min(1.0));
            let epochs = 1 + random.below(2 * own.num_train_epochs as usize) as u32;
            Self {
                learning_rate: if options.gives_learning_rate { own.learning_rate } else { learning_rate },
                num_train_epochs: if options.gives_epochs { own.num_train_epochs } else { epochs },
            }
        };
        let others: Vec<Self> = (1..trials).map(&mut draw).collect();
        std::iter::once(own).chain(others).collect()
    }

    /// Puts them into options.
    pub(super) fn apply(self, options: &mut TrainingOptions) {
        (options.learning_rate, options.num_train_epochs) = (self.learning_rate, self.num_train_epochs);
    }

    /// Under the names of the options.
    pub(super) fn to_json(self) -> serde_json::Value {
        json!({"learning_rate": self.learning_rate, "num_train_epochs": self.num_train_epochs})
    }
}

/// Rows to learn from that trials learn from, and those that they are measured on.
#[derive(Debug, Clone, Default)]
pub(super) struct TrialRows {
    learned: Vec<usize>,
    measured: Vec<usize>,
}

impl TrialRows {
    /// Of the rows to learn from: the latest are measured on, where rows have times, else any, copies of one together.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if there are too few.
    pub(super) fn of(dataset: &Dataset, training: &[usize], seed: u64) -> Result<Self, EngineError> {
        let (learned, measured): (Vec<usize>, Vec<usize>) = if dataset.times.is_empty() {
            let keys = dataset.fold_keys();
            training.iter().partition(|&&row| !hash(seed, PARTS, &keys[row]).is_multiple_of(PART))
        } else {
            let times: Vec<i64> = training.iter().map(|&row| dataset.times[row]).collect();
            let split = by_time(&times, 1.0 / PART as f64).unwrap_or_default();
            let rows = |places: Vec<usize>| places.into_iter().map(|place| training[place]).collect();
            (rows(split.training), rows(split.held_out))
        };
        if learned.is_empty() || measured.is_empty() {
            return Err(EngineError::new(
                ErrorKind::InvalidRequest,
                "there are too few rows to look for settings",
            )
            .with_hint("Leave out \"hyperparameter_search\"."));
        }
        Ok(Self { learned, measured })
    }
}

/// Looks for settings, if the options say so, and lets the training have them.
///
/// # Errors
/// Those of trainings, but for one that diverges; and if nobody listens.
pub(super) fn search(
    setup: &mut Setup,
    files: &ModelFiles,
    devices: LearningDevices<'_>,
    sink: &mut dyn Sink,
) -> Result<(), EngineError> {
    let (Some(search), Some(rows)) = (setup.options.search, setup.trial_rows.take()) else { return Ok(()) };
    let settings = Settings::drawn(&setup.options, search.trials as usize);
    let divisors = rungs(rows.learned.len(), settings.len(), LEAST_ROWS);
    let deadline = search.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let own = (setup.options.clone(), setup.examples.training.clone(), setup.examples.held_out.clone());
    setup.options.eval_strategy = EvalStrategy::Epoch;
    setup.examples.held_out = rows.measured;
    let mut rung_of: BTreeMap<usize, usize> = BTreeMap::new();
    let best = Search { kept: 1, deadline }.best(settings.len(), divisors.len(), &mut |trial, rung| {
        let (Some(&settings), Some(&divisor)) = (settings.get(trial), divisors.get(rung)) else {
            return Ok(Measured::OutOfTime);
        };
        settings.apply(&mut setup.options);
        // Rows are in an order of their own, so that every so-many-th is any.
        setup.examples.training = rows.learned.iter().copied().step_by(divisor).collect();
        let began = Instant::now();
        let measured = measure(setup, files, devices, deadline)?;
        rung_of.insert(trial, rung);
        sink.send(JobOutput::Trial(Trial {
            number: trial as u32 + 1,
            settings: settings.to_json().to_string(),
            rung: rung as u32 + 1,
            rows: setup.examples.training.len() as u64,
            loss: match measured {
                Measured::Loss(loss) => Some(loss).filter(|loss| loss.is_finite()),
                Measured::OutOfTime => None,
            },
            seconds: began.elapsed().as_secs_f64(),
        }))?;
        Ok(measured)
    });
    (setup.options, setup.examples.training, setup.examples.held_out) = own;
    let best = best?;
    if rung_of.contains_key(&best) {
        sink.send(JobOutput::TrialChosen { number: best as u32 + 1 })?;
    }
    settings.get(best).map_or(Ok(()), |settings| setup.take(*settings))
}

/// The loss of a training with the options and examples as they are: the least of its epochs, one of which a training ends with, or that
/// of the last where all are learned from to the end.
fn measure(
    setup: &mut Setup,
    files: &ModelFiles,
    devices: LearningDevices<'_>,
    deadline: Option<Instant>,
) -> Result<Measured, EngineError> {
    let (learner, _) = setup.learner(OpenModel::open(files)?, devices)?;
    let task = TrainingContext {
        options: &setup.options,
        targets: &setup.targets,
        examples: &setup.examples,
        criterion: &setup.criterion,
        scale: setup.scale,
        ids: &setup.ids,
        fingerprint: &setup.fingerprint,
        interval: Duration::MAX,
    };
    let (mut least, mut is_over) = (f64::INFINITY, false);
    let mut sink = |output| {
        if let JobOutput::Epoch(epoch) = &output {
            let loss =
                epoch.evaluation.iter().find(|metric| metric.name == "loss").map(|metric| metric.value);
            least = least.min(loss.filter(|loss| !loss.is_nan()).unwrap_or(f64::INFINITY));
        }
        is_over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if is_over { Err(EngineError::new(ErrorKind::Cancelled, "time is up")) } else { Ok(()) }
    };
    match Training::new(task, learner, None)?.run(&mut sink) {
        Ok(_) => Ok(Measured::Loss(least)),
        Err(_) if is_over => Ok(Measured::OutOfTime),
        // One that diverges, or says nothing that is a number, is the worst.
        Err(error) if error.kind == ErrorKind::InvalidRequest => Ok(Measured::Loss(f64::INFINITY)),
        Err(error) => Err(error),
    }
}
