//! Rows and a model to a new model.
//!
//! # Layout
//! - [`surroundings`]: what is asked of the program around it.
//! - [`job`]: what is asked for, put together from messages.
//! - `dataset`: rows in an order of their own.
//! - `targets`: what their labels mean.
//! - `examples`, `tokens`: what is learned from and what is held out.
//! - `changing`: texts that are other ones in each epoch.
//! - `criterion`: how wrong outputs are.
//! - `setup`: the network that is to learn.
//! - `learner`: a network that learns; `frozen`: one that doesn't; `micro_batches`: how much goes through at a time.
//! - `training`: updates, epochs, evaluations.
//! - `evaluation`: metrics of predictions.
//! - `checkpoint`: where a training is, as bytes.
//! - `progress`: how fast it is.
//! - `memory`: how much it takes.
//! - `save`: the new model as files.
//! - `baseline`: what the labels alone are worth.
//! - [`comparison`]: whether what the new model says is better than what another does, and than the baseline.
//!
//! It must not know PostgreSQL, or who asks. Invariant: the same rows, options, seed and base give the same model, bit by
//! bit, in whatever order the rows came, with any number of threads, interrupted or not; on a GPU as long as one of the same
//! kind has memory for it.

mod baseline;
mod changing;
mod checkpoint;
pub mod comparison;
mod criterion;
mod dataset;
mod evaluation;
mod examples;
mod frozen;
pub mod job;
mod learner;
mod memory;
mod micro_batches;
mod progress;
mod save;
mod setup;
pub mod surroundings;
mod targets;
mod tokens;
mod training;

use std::time::Duration;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::training::{Finished, JobOutput, Phase, Prepared};
use ecommerce_ml_protocol::{EngineError, UPLOAD_CHUNK_BYTES, UploadPart};

use comparison::{Predicted, compare, compare_with_baseline};
use evaluation::Tally;
pub use job::Job;
use setup::Setup;
pub use surroundings::Surroundings;
use targets::Targets;
use training::{Task, Training};

/// Where what becomes of a training goes.
pub trait Sink {
    /// Takes the next message.
    ///
    /// # Errors
    /// If nobody is there to take it; the training ends.
    fn send(&mut self, output: JobOutput) -> Result<(), EngineError>;
}

impl<F: FnMut(JobOutput) -> Result<(), EngineError>> Sink for F {
    fn send(&mut self, output: JobOutput) -> Result<(), EngineError> {
        self(output)
    }
}

/// Does a job, to its [`JobOutput::Finished`].
///
/// # Errors
/// What is wrong with the job, or goes wrong; the caller tells.
pub fn train(job: Job, around: &dyn Surroundings, sink: &mut dyn Sink) -> Result<(), EngineError> {
    let interval = Duration::from_secs(job.plan.checkpoint_interval);
    let mut setup = Setup::new(job, around)?;
    sink.send(JobOutput::Prepared(setup.prepared()))?;
    let texts = setup.held_out_texts();
    let rival = match setup.rival.take() {
        Some(files) if !texts.is_empty() => {
            sink.send(JobOutput::Phase(Phase::EvaluatingRival))?;
            Some(around.predict(&files, &borrowed(&texts))?)
        }
        _ => None,
    };
    sink.send(JobOutput::Phase(Phase::Training))?;
    let (learner, layout) = setup.learner(around.require_cpu()?, around.training_machine().as_ref())?;
    let task = Task {
        options: &setup.options,
        targets: &setup.targets,
        examples: &setup.examples,
        criterion: &setup.criterion,
        scale: setup.scale,
        hashes: &setup.hashes,
        fingerprint: &setup.fingerprint,
        interval,
    };
    let learned = Training::new(task, learner, setup.checkpoint.take())?.run(sink)?;
    let (network, mut parameters) = learned.learner.into_parts()?;
    setup::unscale(&network, &mut parameters, setup.scale);
    let files = layout.files(&network, &parameters, &setup.targets)?;
    drop((network, parameters));
    sink.send(JobOutput::Phase(Phase::Evaluating))?;
    let new = around.predict(&files, &borrowed(&texts))?;
    let held_out = &setup.examples.held_out;
    let (targets, seed) = (&setup.targets, setup.options.seed);
    let finished = Finished {
        metrics: metrics(targets, held_out, &new),
        epoch: learned.epoch,
        stopped_early: learned.stopped_early,
        comparison: rival.and_then(|rival| compare(targets, held_out, &new, &rival, seed)),
        against_baseline: (setup.baseline.as_ref())
            .and_then(|baseline| compare_with_baseline(targets, held_out, &new, baseline, seed)),
        info: new.info,
    };
    send_model(&files, sink)?;
    sink.send(JobOutput::Finished(Box::new(finished)))
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn metrics(
    targets: &Targets,
    rows: &[usize],
    by: &Predicted,
) -> Vec<ecommerce_ml_protocol::training::Metric> {
    if rows.is_empty() {
        return Vec::new();
    }
    let mut tally = Tally::new(targets);
    for (&row, prediction) in rows.iter().zip(&by.rows) {
        if let Some(prediction) = prediction {
            tally.add(targets.actual(row), prediction);
        }
    }
    tally.metrics()
}

/// Sends the files of a model.
fn send_model(files: &ModelFiles, sink: &mut dyn Sink) -> Result<(), EngineError> {
    sink.send(JobOutput::Model(UploadPart::Begin { files: files.manifest() }))?;
    for (file, (_, bytes)) in (0..).zip(files.iter()) {
        for chunk in bytes.chunks(UPLOAD_CHUNK_BYTES) {
            sink.send(JobOutput::Model(UploadPart::Chunk { file, data: chunk.to_vec() }))?;
        }
    }
    sink.send(JobOutput::Model(UploadPart::End))
}

impl Setup {
    /// What the training is going to do.
    fn prepared(&self) -> Prepared {
        let labels = self.targets.labels();
        let counts = self.targets.counts(0..self.hashes.len());
        let held_out = self.examples.held_out.len() as u64;
        Prepared {
            training_rows: self.hashes.len() as u64 - held_out - self.findings.repeated_held_out_rows,
            held_out_rows: held_out,
            labels: labels.into_iter().zip(counts.into_iter().map(|count| count as u64)).collect(),
            rows_sha256: self.rows_sha256,
            ignored_rows: self.ignored,
            epochs: self.options.num_train_epochs,
            steps: training::steps(&self.options, &self.examples),
            resumed_at: self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.header.step),
            memory: self.memory,
            options: self.effective_options.clone(),
            baseline: self.baseline.clone(),
            findings: self.findings,
        }
    }
}
