//! Rows of columns to boosted trees, grown by XGBoost's library.
//!
//! # Layout
//! - `options`: what the user may choose.
//! - `fit`: how values become features; `loss`: what labels ask, and its derivatives.
//! - `folds`: parts of the rows to learn from and to measure on.
//! - `settings`: what is found by trying; `search`: how well trees do that are grown so, and how many there should be.
//! - `calibration`: how sure probabilities should be.
//! - `setup`: a job, read and checked; `memory`: how much it takes.
//!
//! It must not know PostgreSQL, or who asks. Invariant: that of all trainers: the same rows, options and seed give the same model,
//! bit by bit, in whatever order the rows came, with any number of threads, interrupted or not. An interrupted training begins
//! anew: it takes seconds, and a booster can't be kept to the same bits.

mod calibration;
mod fit;
mod folds;
mod loss;
mod memory;
mod options;
mod search;
mod settings;
mod setup;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ecommerce_ml_predictor::{Evaluate, Job, Sink, Trainer};
use ecommerce_ml_protocol::training::{
    Epoch, JobOutput, Metric, Phase, TrainingCall, TrainingChecked, Trial,
};
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_training::held_out::Ending;
use ecommerce_ml_training::model;
use ecommerce_ml_training::progress::{Reporter, Update};
use ecommerce_ml_training::residuals::quantiles;
use ecommerce_ml_training::search::{Measured as TrialResult, Search};
use ecommerce_ml_xgboost::{Error, Library};
use rayon::ThreadPool;

use super::booster_file;
use super::files;
use super::model::{KIND, TreesModel};
use crate::call::{Algorithm, check_columns, checked, reads_labelled_columns};
use crate::score::Head;
use crate::texts::TextModels;
use crate::threads::Threads;
use options::Options;
use search::{Growing, Limits, Measured};
use settings::Settings;
use setup::{Setup, check_monotone};

/// Depths of which the best is taken.
const DEPTHS: [u32; 3] = [2, 4, 6];

/// Rounds where no rows are left to measure on.
const UNMEASURED_ROUNDS: u32 = 50;

/// From so many numbers on the library shares out the work of a tree.
const NUMBERS_OF_THREADS: usize = 200_000;

/// Rounds between two reports of the last training.
const REPORTED: u32 = 10;

/// Makes boosted trees.
#[derive(Debug)]
pub struct TreesTrainer {
    threads: Arc<Threads>,
    texts: TextModels,
}

impl TreesTrainer {
    /// On these threads, with columns of text that are read by these models.
    pub(crate) fn new(threads: Arc<Threads>, texts: TextModels) -> Self {
        Self { threads, texts }
    }
}

impl Trainer for TreesTrainer {
    fn accepts(&self, call: &TrainingCall) -> bool {
        reads_labelled_columns(call) && Algorithm::of(call) == Algorithm::BoostedTrees
    }

    fn check(&self, call: &TrainingCall) -> Result<TrainingChecked, EngineError> {
        check_columns(&call.input)?;
        let (options, _) = Options::read(call)?;
        check_monotone(call.objective, 0, &options)?;
        library()?;
        checked(call, KIND)
    }

    fn train(&self, job: Job, models: &dyn Evaluate, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let library = library()?;
        let pool = self.threads.pool()?;
        let setup = pool.install(|| Setup::new(job, &library, &self.texts, sink))?;
        sink.send(JobOutput::Prepared(Box::new(setup.prepared.clone())))?;
        let Setup { held_out, held_out_rows, targets, .. } = &setup;
        let incumbent = held_out.ask_incumbent(setup.incumbent.as_ref(), held_out_rows, models, sink)?;
        sink.send(JobOutput::Phase(Phase::Training))?;
        let mut run = Run::new(&setup, (&library, pool), sink);
        let best = run.search()?;
        let trained = run.finish(&best)?;
        let epoch = run.epoch;
        let files = files::write(&trained)?;
        let files = setup.texts.as_ref().map_or(Ok(files.clone()), |texts| texts.files(&files))?;
        let seed = setup.options.common.seed;
        let stopped_early = best.rounds < setup.options.n_estimators;
        let ending = Ending { epoch, stopped_early, seed, uses_base: setup.texts.is_some() };
        let finished = held_out.finish(
            targets,
            (&files, held_out_rows),
            incumbent.as_ref(),
            ending,
            (models, &mut *sink),
        )?;
        model::send(&files, sink)?;
        sink.send(JobOutput::Finished(Box::new(finished)))
    }
}

/// A training under way.
struct Run<'a> {
    setup: &'a Setup,
    library: &'a Arc<Library>,
    pool: &'a ThreadPool,
    sink: &'a mut dyn Sink,
    reporter: Reporter,
    /// Counted from 1: a depth that is tried, or the last training.
    epoch: u32,
}

impl<'a> Run<'a> {
    fn new(
        setup: &'a Setup,
        (library, pool): (&'a Arc<Library>, &'a ThreadPool),
        sink: &'a mut dyn Sink,
    ) -> Self {
        let reporter = Reporter::new(0, setup.prepared.steps);
        Self { setup, library, pool, sink, reporter, epoch: 0 }
    }

    /// Tries settings.
    fn search(&mut self) -> Result<Measured, EngineError> {
        let setup = self.setup;
        let timeout = setup.options.search.and_then(|search| search.timeout);
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let search = Search { kept: setup.own_trials, deadline };
        let mut found: BTreeMap<usize, Measured> = BTreeMap::new();
        let mut best = search.best(setup.trials.len(), setup.rungs.len(), &mut |trial, rung| {
            let Some(measured) = self.measure(trial, rung, deadline)? else {
                return Ok(TrialResult::OutOfTime);
            };
            let loss = measured.loss;
            found.insert(trial, measured);
            Ok(TrialResult::Loss(loss))
        })?;
        // There was no time for any: what holds without a search is measured all the same.
        if found.is_empty()
            && let Some(last) = setup.rungs.len().checked_sub(1)
            && let Some(measured) = self.measure(0, last, None)?
        {
            best = 0;
            found.insert(best, measured);
        }
        if setup.options.search.is_some() && found.contains_key(&best) {
            self.sink.send(JobOutput::TrialChosen { number: best as u32 + 1 })?;
        }
        let unmeasured = || Measured {
            settings: Settings::of(&setup.options, setup.options.max_depth.unwrap_or(DEPTHS[0])),
            rounds: UNMEASURED_ROUNDS.min(setup.options.n_estimators),
            loss: f64::NAN,
            margins: Vec::new(),
        };
        Ok(found.remove(&best).unwrap_or_else(unmeasured))
    }

    /// Measures a trial on the folds of a rung; none if time is up meanwhile.
    fn measure(
        &mut self,
        trial: usize,
        rung: usize,
        deadline: Option<Instant>,
    ) -> Result<Option<Measured>, EngineError> {
        let setup = self.setup;
        let (Some(&settings), Some(folds)) = (setup.trials.get(trial), setup.rungs.get(rung)) else {
            return Ok(None);
        };
        let limits =
            Limits { rounds: setup.options.n_estimators, patience: setup.options.early_stopping_rounds };
        let began = Instant::now();
        self.epoch += 1;
        // Several folds are grown at once.
        let threads = if folds.len() > 1 { 1 } else { self.threads_of_library() };
        let parameters = setup.parameters(settings, threads);
        let (library, pool) = (self.library, self.pool);
        let what = (library, parameters.as_slice(), settings);
        let mut report = |rounds, loss| {
            self.report(rounds, loss)?;
            Ok(deadline.is_none_or(|deadline| Instant::now() < deadline))
        };
        let measured = search::measure(folds, &setup.wanted, (what, pool), limits, &mut report)?;
        let loss = measured.as_ref().map(|measured| measured.loss);
        match (setup.options.search, loss) {
            (None, Some(loss)) => self.end_epoch(loss, Some(loss), began)?,
            (None, None) => {}
            (Some(_), loss) => self.sink.send(JobOutput::Trial(Trial {
                number: trial as u32 + 1,
                settings: settings.to_json().to_string(),
                rung: rung as u32 + 1,
                rows: folds.iter().map(|fold| fold.learned.len() as u64).max().unwrap_or(0),
                loss,
                seconds: began.elapsed().as_secs_f64(),
            }))?,
        }
        Ok(measured)
    }

    /// Trains on all rows to learn from.
    fn finish(&mut self, best: &Measured) -> Result<TreesModel, EngineError> {
        let setup = self.setup;
        let began = Instant::now();
        self.epoch += 1;
        let parameters = setup.parameters(best.settings, self.threads_of_library());
        let mut growing = Growing::new(self.library, &setup.whole, &setup.wanted, &parameters)?;
        for round in 1..=best.rounds {
            growing.grow()?;
            if round % REPORTED == 0 || round == best.rounds {
                self.report(round, growing.loss())?;
            }
        }
        self.end_epoch(growing.loss(), None, began)?;
        let json = growing.to_json()?;
        let mut forest = booster_file::read(&json, setup.encoding.features())
            .map_err(|what| EngineError::new(ErrorKind::Internal, format!("XGBoost's model: {what}")))?;
        let measured: Vec<usize> = setup.folds().iter().flat_map(|fold| fold.measured.clone()).collect();
        let margins = best.margins.concat();
        let (mut residuals, mut isotonic) = (Vec::new(), None);
        if setup.wanted.is_number() {
            let (mean, deviation) = setup.wanted.scale();
            forest.rescale(deviation, mean);
            residuals = quantiles(setup.wanted.residuals(&measured, &margins));
        } else if best.margins.is_empty() {
            forest.base = growing.base();
        } else {
            let found = calibration::fit(&setup.wanted, &measured, &margins);
            forest.rescale(found.factor, found.factor * growing.base() + found.shift);
            isotonic = found.isotonic;
        }
        let labels = setup.targets.labels();
        let head = if labels.is_empty() { Head::Number } else { Head::Classes { labels } };
        Ok(TreesModel { kind: KIND, encoding: setup.encoding.clone(), head, forest, residuals, isotonic })
    }

    /// How many threads the library is to have for one training: where there are few numbers, they would mostly wait for each other.
    fn threads_of_library(&self) -> usize {
        let numbers = self.setup.whole.learned.len() * self.setup.encoding.features();
        if numbers < NUMBERS_OF_THREADS { 1 } else { self.pool.current_num_threads() }
    }

    fn step(&self, rounds: u32) -> u64 {
        u64::from(self.epoch - 1) * u64::from(self.setup.options.n_estimators) + u64::from(rounds)
    }

    fn report(&mut self, rounds: u32, loss: f64) -> Result<(), EngineError> {
        let rows = (self.setup.whole.learned.len() * self.setup.folds().len().max(1)) as u64;
        let update = Update {
            epoch: self.epoch,
            step: self.step(rounds),
            loss,
            learning_rate: self.setup.options.learning_rate,
            examples: rows * u64::from(REPORTED),
        };
        match self.reporter.update(update) {
            Some(progress) => self.sink.send(JobOutput::Progress(progress)),
            None => Ok(()),
        }
    }

    fn end_epoch(&mut self, loss: f64, measured: Option<f64>, began: Instant) -> Result<(), EngineError> {
        let metric = |value| Metric { name: "loss".to_owned(), class: None, value };
        self.sink.send(JobOutput::Epoch(Epoch {
            epoch: self.epoch,
            step: self.step(self.setup.options.n_estimators),
            training_loss: loss,
            evaluation: measured.map(metric).into_iter().collect(),
            best: true,
            seconds: began.elapsed().as_secs_f64(),
        }))
    }
}

/// XGBoost's library.
///
/// # Errors
/// [`ErrorKind::NotCompiledIn`] if it isn't installed, with how it is.
fn library() -> Result<Arc<Library>, EngineError> {
    Library::get().map_err(|error| {
        EngineError::new(
            ErrorKind::NotCompiledIn,
            "boosted trees need XGBoost's library, which is not installed",
        )
        .with_detail(format!("The system says: {error}."))
        .with_hint("Install the package libxgboost0, or train with the option \"algorithm\": \"linear\".")
    })
}

/// An error of the library in the middle of a training.
fn internal(error: Error) -> EngineError {
    EngineError::new(ErrorKind::Internal, format!("could not train trees: {error}"))
}
