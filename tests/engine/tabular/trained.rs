//! Trainings, and what came of them.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_checkpoint::upload::Upload;
use ecommerce_ml_predictor::{Evaluate, Job, ModelKind, Sink};
use ecommerce_ml_protocol::training::*;
use ecommerce_ml_protocol::*;
use ecommerce_ml_tabular::Linear;
use ecommerce_ml_tabular::linear::files;
use ecommerce_ml_tabular::linear::model::LinearModel;

use crate::kit::load;

/// Loads what it is given.
pub struct Models;

impl Evaluate for Models {
    fn predict(
        &self,
        files: &ModelFiles,
        input: &Input,
    ) -> Result<(ModelInfo, Option<Answers>), EngineError> {
        let model = load(files)?;
        let answers = model.submit(input.clone(), Output::Prediction).wait()?.answers;
        Ok((model.info().clone(), Some(answers)))
    }
}

/// What a training sent.
#[derive(Debug, Default)]
pub struct Trained {
    pub prepared: Option<Prepared>,
    pub phases: Vec<Phase>,
    pub epochs: Vec<Epoch>,
    pub progress: Vec<Progress>,
    pub reading: usize,
    pub trials: Vec<Trial>,
    pub chosen: Option<u32>,
    /// With the iterations behind each.
    pub checkpoints: Vec<(u64, Vec<u8>)>,
    pub files: ModelFiles,
    pub finished: Option<Finished>,
}

impl Trained {
    pub fn model(&self) -> LinearModel {
        files::read(&self.files).unwrap()
    }

    pub fn prepared(&self) -> &Prepared {
        self.prepared.as_ref().unwrap()
    }

    pub fn finished(&self) -> &Finished {
        self.finished.as_ref().unwrap()
    }
}

/// A training of a linear model that is to be done.
pub fn job(objective: Objective, rows: Rows, labels: Vec<Label>, options: &str) -> Job {
    let options = options.replacen('{', r#"{"algorithm": "linear","#, 1).replace(",}", "}");
    job_of_trees(objective, rows, labels, &options)
}

/// A training of trees that is to be done.
pub fn job_of_trees(objective: Objective, rows: Rows, labels: Vec<Label>, options: &str) -> Job {
    let fields: Vec<Field> = rows
        .columns
        .iter()
        .map(|column| Field { name: column.name.clone(), value_type: column.values.value_type() })
        .collect();
    let input = TrainingInput::Columns { fields, text: None };
    let call = TrainingCall { objective, input, has_time: false, options: options.to_owned() };
    let plan = TrainingPlan {
        call,
        base: None,
        incumbent: None,
        members: Vec::new(),
        memory_limit: 1 << 32,
        checkpoint_interval: u64::MAX,
    };
    let input = Input::Rows(rows);
    let rows = TrainingRows { input, labels, times: Vec::new(), paraphrases: Vec::new() };
    Job {
        plan,
        base: None,
        incumbent: None,
        rows: vec![rows],
        synonyms: Vec::new(),
        descriptions: Vec::new(),
        members: Vec::new(),
        checkpoint: Vec::new(),
    }
}

pub fn copy(job: &Job) -> Job {
    Job {
        plan: job.plan.clone(),
        base: job.base.clone(),
        incumbent: job.incumbent.clone(),
        rows: job.rows.clone(),
        synonyms: job.synonyms.clone(),
        descriptions: job.descriptions.clone(),
        members: job.members.clone(),
        checkpoint: job.checkpoint.clone(),
    }
}

pub fn classes(labels: &[&str]) -> Vec<Label> {
    labels.iter().map(|&label| Label::Class(label.to_owned())).collect()
}

pub fn train(job: Job) -> Result<Trained, EngineError> {
    train_with(&Linear::new(2), job)
}

pub fn train_with(kind: &dyn ModelKind, job: Job) -> Result<Trained, EngineError> {
    let trainer = kind.trainer().unwrap();
    assert!(trainer.accepts(&job.plan.call));
    let checked = trainer.check(&job.plan.call)?;
    assert_eq!(checked.kind, kind.name());
    let trained = collect(|sink| trainer.train(job, &Models, sink))?;
    assert_eq!(load(&trained.files).unwrap().info(), &trained.finished().info);
    Ok(trained)
}

/// What a training sends.
pub fn collect(train: impl FnOnce(&mut dyn Sink) -> Result<(), EngineError>) -> Result<Trained, EngineError> {
    let mut trained = Trained::default();
    let mut parts = Vec::new();
    let mut sink = |output: JobOutput| {
        match output {
            JobOutput::Prepared(prepared) => trained.prepared = Some(*prepared),
            JobOutput::Phase(phase) => trained.phases.push(phase),
            JobOutput::Progress(progress) => trained.progress.push(progress),
            JobOutput::Epoch(epoch) => trained.epochs.push(epoch),
            JobOutput::Checkpoint(CheckpointPart::Begin { step, .. }) => {
                trained.checkpoints.push((step, Vec::new()));
            }
            JobOutput::Checkpoint(CheckpointPart::Chunk(bytes)) => {
                trained.checkpoints.last_mut().unwrap().1.extend(bytes);
            }
            JobOutput::Checkpoint(CheckpointPart::End) => {}
            JobOutput::Model(part) => parts.push(part),
            JobOutput::Finished(finished) => trained.finished = Some(*finished),
            JobOutput::Failed(error) => return Err(error),
            JobOutput::Reading { .. } => trained.reading += 1,
            JobOutput::Trial(trial) => trained.trials.push(trial),
            JobOutput::TrialChosen { number } => trained.chosen = Some(number),
        }
        Ok(())
    };
    train(&mut sink)?;
    trained.files = received(parts);
    Ok(trained)
}

fn received(parts: Vec<UploadPart>) -> ModelFiles {
    let Some(UploadPart::Begin { files }) = parts.first() else { panic!("no model") };
    let mut upload = Upload::new(ecommerce_ml_protocol::files::content_address(files), 1 << 30);
    let mut complete = false;
    for part in parts {
        complete |= upload.accept(part).unwrap();
    }
    assert!(complete);
    upload.verify().unwrap()
}
