//! Rows and a model to a new model.
//!
//! # Layout
//! - [`devices`]: what texts are learned on.
//! - `examples`, `tokens`: what is learned from and what is held out.
//! - `epoch_augmentation`: texts that are augmented anew in each epoch.
//! - `criterion`: how wrong outputs are.
//! - `setup`: the network that is to learn.
//! - `learner`: a network that learns; `frozen_encoder`: one that doesn't; `micro_batches`: how much goes through at a time.
//! - `search`: settings that are looked for by trainings on parts of the rows.
//! - `training`: updates, epochs, evaluations.
//! - `checkpoint`: where a training is, as bytes.
//! - `memory`: how much it takes.
//! - `save`: the new model as files.
//!
//! It must not know PostgreSQL, or who asks. Invariant: that of [`Trainer`], on a GPU as long as one of the same kind has memory
//! for it.

mod checkpoint;
mod criterion;
pub mod devices;
mod epoch_augmentation;
mod examples;
mod frozen_encoder;
mod learner;
mod memory;
mod micro_batches;
mod save;
mod search;
mod setup;
mod tokens;
mod training;

use std::time::Duration;

use ecommerce_ml_checkpoint::open::OpenModel;
use ecommerce_ml_predictor::{Evaluate, Job, Sink, Trainer};
use ecommerce_ml_protocol::training::{JobOutput, Phase, TrainingCall, TrainingChecked, TrainingInput};
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_text_model::KIND;
use ecommerce_ml_training::held_out::Ending;
use ecommerce_ml_training::temperature::Temperature;
use ecommerce_ml_training::{model, options};

use crate::recipe::options::TrainingOptions;
pub use devices::Devices;
use setup::{LearningDevices, Setup};
use training::{Training, TrainingContext};

/// The built-in model that a training begins with unless another is named.
const DEFAULT_BASE: &str = "reviews";

/// Makes text models from texts and a base.
pub struct TextTrainer<D> {
    devices: D,
}

impl<D: Devices> TextTrainer<D> {
    /// Learns on these devices.
    pub fn new(devices: D) -> Self {
        Self { devices }
    }
}

impl<D: Devices> Trainer for TextTrainer<D> {
    fn accepts(&self, call: &TrainingCall) -> bool {
        call.input == TrainingInput::Text
    }

    fn check(&self, call: &TrainingCall) -> Result<TrainingChecked, EngineError> {
        TrainingOptions::parse(&options::parse(&call.options)?, call.objective)?;
        Ok(TrainingChecked { kind: KIND.to_owned(), default_base: Some(DEFAULT_BASE.to_owned()) })
    }

    fn train(&self, mut job: Job, models: &dyn Evaluate, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let interval = Duration::from_secs(job.plan.checkpoint_interval);
        let cpu = self.devices.require_cpu()?;
        let files = job.base.take().ok_or_else(without_base)?;
        let base = OpenModel::open(&files)?;
        let mut setup = Setup::new(job, &base)?;
        let other = self.devices.training_backend();
        let devices = LearningDevices { cpu, other: other.as_ref() };
        search::search(&mut setup, &files, devices, sink)?;
        sink.send(JobOutput::Prepared(Box::new(setup.prepared.clone())))?;
        let incumbent = setup.incumbent.take();
        let incumbent =
            setup.held_out.ask_incumbent(incumbent.as_ref(), &setup.held_out_texts, models, sink)?;
        sink.send(JobOutput::Phase(Phase::Training))?;
        let (learner, file_layout) = setup.learner(base, devices)?;
        drop(files);
        let task = TrainingContext {
            options: &setup.options,
            targets: &setup.targets,
            examples: &setup.examples,
            criterion: &setup.criterion,
            scale: setup.scale,
            ids: &setup.ids,
            fingerprint: &setup.fingerprint,
            interval,
        };
        let learned = Training::new(task, learner, setup.checkpoint.take())?.run(sink)?;
        let ending = Ending {
            epoch: learned.epoch,
            stopped_early: learned.stopped_early,
            seed: setup.options.seed,
            uses_base: true,
        };
        let (network, mut parameters) = learned.learner.into_parts()?;
        setup::unscale(&network, &mut parameters, setup.scale);
        let output = file_layout.output_names(&network, &parameters);
        let mut files = file_layout.files(&network, &parameters, &setup.targets)?;
        drop((network, parameters));
        let temperature = setup.calibrate((&mut files, &output), (models, sink))?;
        let new = (&files, &setup.held_out_texts);
        let mut finished =
            setup.held_out.finish(&setup.targets, new, incumbent.as_ref(), ending, (models, sink))?;
        finished.metrics.extend(temperature.iter().flat_map(Temperature::metrics));
        model::send(&files, sink)?;
        sink.send(JobOutput::Finished(Box::new(finished)))
    }
}

fn without_base() -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, "a training of texts needs a model to begin with")
}
