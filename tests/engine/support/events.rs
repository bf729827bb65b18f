//! What tests of models of events, and of ensembles, share: a training from a job to files.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Evaluate, Job, ModelKind};
use ecommerce_ml_protocol::training::{Finished, JobOutput, Prepared};
use ecommerce_ml_protocol::{Answers, EngineError, Input, ModelInfo, UploadPart};

struct Nobody;

impl Evaluate for Nobody {
    fn predict(&self, _: &ModelFiles, _: &Input) -> Result<(ModelInfo, Option<Answers>), EngineError> {
        panic!("no other model is asked")
    }
}

/// Trains a model of this kind, which must take the job and asks no other model.
#[allow(dead_code, reason = "ensembles ask others")]
pub fn train(kind: &dyn ModelKind, job: Job) -> Result<(Prepared, Finished, ModelFiles), EngineError> {
    train_beside(kind, job, &Nobody, |_| ())
}

/// The same with other models; `look` sees all that is told.
pub fn train_beside(
    kind: &dyn ModelKind,
    job: Job,
    others: &dyn Evaluate,
    mut look: impl FnMut(&JobOutput) + Send,
) -> Result<(Prepared, Finished, ModelFiles), EngineError> {
    let (mut prepared, mut finished, mut names, mut contents) = (None, None, Vec::new(), Vec::new());
    let mut sink = |output| {
        look(&output);
        match output {
            JobOutput::Prepared(some) => prepared = Some(*some),
            JobOutput::Finished(some) => finished = Some(*some),
            JobOutput::Model(UploadPart::Begin { files }) => {
                contents = vec![Vec::new(); files.len()];
                names = files.into_iter().map(|file| file.name).collect();
            }
            JobOutput::Model(UploadPart::Chunk { file, data }) => contents[file as usize].extend(data),
            _ => {}
        }
        Ok(())
    };
    let trainer = kind.trainer().unwrap();
    trainer.check(&job.plan.call)?;
    assert!(trainer.accepts(&job.plan.call));
    trainer.train(job, others, &mut sink)?;
    let files = ModelFiles::from_parts(names.into_iter().zip(contents).collect());
    Ok((prepared.unwrap(), finished.unwrap(), files))
}
