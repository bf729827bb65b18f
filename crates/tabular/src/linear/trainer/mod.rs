//! Rows of columns to a linear model: a logistic regression of classes or stars, a ridge regression of numbers.
//!
//! # Layout
//! - `options`: what the user may choose.
//! - `fit`: how values become features; `design`: the features of rows.
//! - `task`: what labels ask; `problem`: the function that has to be minimal; `lbfgs`: how its minimum is found.
//! - `setup`: a job, read and checked; `memory`: how much it takes.
//! - `learning`: iterations, epochs, evaluations; `checkpoint`: where it is, as bytes.
//!
//! It must not know PostgreSQL, or who asks. Invariant: that of all trainers: the same rows, options and seed give the same model,
//! bit by bit, in whatever order the rows came, with any number of threads, interrupted or not.

mod checkpoint;
mod design;
mod fit;
mod lbfgs;
mod learning;
mod memory;
mod options;
mod problem;
mod setup;
mod task;

use std::sync::Arc;
use std::time::Duration;

use ecommerce_ml_predictor::{Evaluate, Job, Sink, Trainer};
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_protocol::training::{JobOutput, Phase, TrainingCall, TrainingChecked};
use ecommerce_ml_training::held_out::Ending;
use ecommerce_ml_training::model;

use crate::call::{Algorithm, check_columns, checked, reads_labelled_columns};
use crate::linear::files;
use crate::linear::model::KIND;
use crate::texts::TextModels;
use crate::threads::Threads;
use learning::TrainingRun;
use options::Options;
use setup::Setup;

/// Makes linear models.
#[derive(Debug)]
pub struct LinearTrainer {
    threads: Arc<Threads>,
    texts: TextModels,
}

impl LinearTrainer {
    /// On these threads, with columns of text that are read by these models.
    pub(crate) fn new(threads: Arc<Threads>, texts: TextModels) -> Self {
        Self { threads, texts }
    }
}

impl Trainer for LinearTrainer {
    fn accepts(&self, call: &TrainingCall) -> bool {
        reads_labelled_columns(call) && Algorithm::of(call) == Algorithm::Linear
    }

    fn check(&self, call: &TrainingCall) -> Result<TrainingChecked, EngineError> {
        check_columns(&call.input)?;
        Options::read(&call.options, call.objective)?;
        checked(call, KIND)
    }

    fn train(&self, job: Job, models: &dyn Evaluate, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let pool = self.threads.pool()?;
        let interval = Duration::from_secs(job.plan.checkpoint_interval);
        let setup = Setup::new(job, pool, &self.texts, sink)?;
        sink.send(JobOutput::Prepared(Box::new(setup.prepared.clone())))?;
        let Setup { held_out, held_out_rows, targets, .. } = &setup;
        let incumbent = held_out.ask_incumbent(setup.incumbent.as_ref(), held_out_rows, models, sink)?;
        sink.send(JobOutput::Phase(Phase::Training))?;
        let learned = TrainingRun::new(&setup, pool).run(interval, sink)?;
        let files = files::write(&learned.model)?;
        let files = setup.texts.as_ref().map_or(Ok(files.clone()), |texts| texts.files(&files))?;
        let seed = setup.options.common.seed;
        let uses_base = setup.texts.is_some();
        let ending = Ending { epoch: learned.epoch, stopped_early: learned.converged, seed, uses_base };
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
