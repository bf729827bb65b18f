//! How models of a kind are trained.
//!
//! It must not know PostgreSQL, or who asks. Invariant: the same rows, options, seed and base give the same model, bit by bit, in
//! whatever order the rows came, with any number of threads, interrupted or not.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::training::{JobOutput, TrainingCall, TrainingChecked};
use ecommerce_ml_protocol::{Answers, EngineError, Input, ModelInfo, Output};

use crate::job::Job;

/// Makes models from rows.
pub trait Trainer: Send + Sync {
    /// Whether such a training is this kind's.
    fn accepts(&self, call: &TrainingCall) -> bool;

    /// What is known of an accepted training before it begins.
    ///
    /// # Errors
    /// What is wrong with its options or columns.
    fn check(&self, call: &TrainingCall) -> Result<TrainingChecked, EngineError>;

    /// Does a job, to its [`JobOutput::Finished`].
    ///
    /// # Errors
    /// What is wrong with the job, or goes wrong; the caller tells.
    fn train(&self, job: Job, models: &dyn Evaluate, sink: &mut dyn Sink) -> Result<(), EngineError>;
}

/// Models of whatever kind that are asked while one is trained, as queries would: the incumbent and the new one.
pub trait Evaluate {
    /// What the model of these files is, and its predictions, a row for each input; none at all if it has no head or reads
    /// something else.
    ///
    /// # Errors
    /// If the model can't be loaded or fails.
    fn predict(&self, files: &ModelFiles, input: &Input)
    -> Result<(ModelInfo, Option<Answers>), EngineError>;

    /// What the model says of texts beside predictions, an answer for each output, in their order; none at all if it doesn't read
    /// texts, or those who ask know of predictions only.
    ///
    /// # Errors
    /// If the model can't be loaded or fails, or doesn't answer that.
    fn describe(
        &self,
        _files: &ModelFiles,
        _texts: &[String],
        _outputs: &[Output],
    ) -> Result<Vec<Answers>, EngineError> {
        Ok(Vec::new())
    }
}

/// Where what becomes of a training goes, from whichever thread.
pub trait Sink: Send {
    /// Takes the next message.
    ///
    /// # Errors
    /// If nobody is there to take it; the training ends.
    fn send(&mut self, output: JobOutput) -> Result<(), EngineError>;
}

impl<F: FnMut(JobOutput) -> Result<(), EngineError> + Send> Sink for F {
    fn send(&mut self, output: JobOutput) -> Result<(), EngineError> {
        self(output)
    }
}
