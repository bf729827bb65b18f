//! Jobs, and what becomes of them.

use ecommerce_ml_checkpoint::files::{ModelFiles, content_address};
use ecommerce_ml_engine::registry::Registry;
use ecommerce_ml_predictor::Job;
use ecommerce_ml_protocol::training::{
    CheckpointPart, Epoch, Finished, JobOutput, Label, Objective, Phase, Prepared, Progress, TrainingCall,
    TrainingInput, TrainingPlan, TrainingRows, Trial,
};
use ecommerce_ml_protocol::{EngineError, Input, ModelSource, UploadPart};
use ecommerce_ml_text::scheduler::SchedulerOptions;
use ecommerce_ml_text::{ComputeSettings, ModelLoader};
use serde_json::Value;

use crate::support::tiny;

/// Words of the toy language, by what they say.
const WORDS: [[&str; 3]; 5] = [
    ["terrible", "broken", "awful"],
    ["bad", "poor", "slow"],
    ["okay", "plain", "usual"],
    ["good", "nice", "quick"],
    ["great", "perfect", "love"],
];

/// A text that says a number from 0 to 4.
pub fn text(says: usize, number: usize) -> String {
    let words = WORDS[says];
    let filler = ["the", "price", "box", "it", "was", "and"];
    let (one, other) = (words[number % 3], words[(number / 3) % 3]);
    format!("{} {one} {} {other} {}", filler[number % 6], filler[(number / 6) % 6], number % 7)
}

/// A row to learn from.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub text: String,
    pub label: Label,
    pub paraphrases: Vec<String>,
}

/// Rows as they are sent.
pub fn sent(rows: &[Row]) -> TrainingRows {
    TrainingRows {
        input: Input::Texts(rows.iter().map(|row| row.text.clone()).collect()),
        labels: rows.iter().map(|row| row.label.clone()).collect(),
        times: Vec::new(),
        paraphrases: rows.iter().map(|row| row.paraphrases.clone()).collect(),
    }
}

pub fn row(text: impl Into<String>, label: impl Into<String>) -> Row {
    Row { text: text.into(), label: Label::Class(label.into()), paraphrases: Vec::new() }
}

pub fn number(text: impl Into<String>, label: f64) -> Row {
    Row { text: text.into(), label: Label::Number(label), paraphrases: Vec::new() }
}

pub fn range(text: impl Into<String>, lowest: f64, highest: f64) -> Row {
    Row { text: text.into(), label: Label::Range(lowest, highest), paraphrases: Vec::new() }
}

/// Rows of two classes.
pub fn two_classes(rows: usize) -> Vec<Row> {
    (0..rows).map(|at| row(text(4 * (at % 2), at / 2), ["bad", "good"][at % 2])).collect()
}

/// Rows of one to five stars.
pub fn stars(rows: usize) -> Vec<Row> {
    (0..rows).map(|at| number(text(at % 5, at / 5), (at % 5 + 1) as f64)).collect()
}

pub fn job(model: &str, objective: Objective, options: Value, rows: Vec<Row>) -> Job {
    job_of(tiny(model).files(), objective, options, rows)
}

pub fn job_of(base: ModelFiles, objective: Objective, options: Value, rows: Vec<Row>) -> Job {
    let plan = TrainingPlan {
        call: TrainingCall {
            objective,
            input: TrainingInput::Text,
            has_time: false,
            options: options.to_string(),
        },
        base: Some(ModelSource::Content(content_address(&base.manifest()))),
        incumbent: None,
        members: Vec::new(),
        memory_limit: 1 << 30,
        checkpoint_interval: 3600,
    };
    let rows = rows.chunks(50).map(sent).collect();
    Job {
        plan,
        base: Some(base),
        incumbent: None,
        rows,
        synonyms: Vec::new(),
        descriptions: Vec::new(),
        members: Vec::new(),
        checkpoint: Vec::new(),
    }
}

/// What a training said.
#[derive(Debug, Default)]
pub struct Said {
    pub prepared: Option<Prepared>,
    pub phases: Vec<Phase>,
    pub progress: Vec<Progress>,
    pub epochs: Vec<Epoch>,
    pub trials: Vec<Trial>,
    pub chosen: Option<u32>,
    /// Each with the updates behind it.
    pub checkpoints: Vec<(u64, Vec<u8>)>,
    pub files: Vec<(String, Vec<u8>)>,
    pub finished: Option<Finished>,
}

impl Said {
    pub fn take(&mut self, output: JobOutput) {
        match output {
            JobOutput::Prepared(prepared) => self.prepared = Some(*prepared),
            JobOutput::Phase(phase) => self.phases.push(phase),
            JobOutput::Progress(progress) => self.progress.push(progress),
            JobOutput::Epoch(epoch) => self.epochs.push(epoch),
            JobOutput::Checkpoint(CheckpointPart::Begin { step, .. }) => {
                self.checkpoints.push((step, Vec::new()));
            }
            JobOutput::Checkpoint(CheckpointPart::Chunk(bytes)) => {
                self.checkpoints.last_mut().unwrap().1.extend(bytes);
            }
            JobOutput::Checkpoint(CheckpointPart::End) => {}
            JobOutput::Model(UploadPart::Begin { files }) => {
                self.files = files.into_iter().map(|file| (file.name, Vec::new())).collect();
            }
            JobOutput::Model(UploadPart::Chunk { file, data }) => self.files[file as usize].1.extend(data),
            JobOutput::Model(UploadPart::End) => {}
            JobOutput::Model(UploadPart::Abort { reason }) => panic!("{reason}"),
            JobOutput::Finished(finished) => self.finished = Some(*finished),
            JobOutput::Failed(error) => panic!("{error:?}"),
            JobOutput::Trial(trial) => self.trials.push(trial),
            JobOutput::TrialChosen { number } => self.chosen = Some(number),
            JobOutput::Reading { .. } => panic!("no other model is asked"),
        }
    }

    pub fn model(&self) -> ModelFiles {
        ModelFiles::from_parts(self.files.clone())
    }

    pub fn finished(&self) -> &Finished {
        self.finished.as_ref().expect("the training has finished")
    }

    pub fn metric(&self, name: &str) -> f64 {
        let metrics = &self.finished().metrics;
        let metric = metrics.iter().find(|metric| metric.name == name && metric.class.is_none());
        metric.unwrap_or_else(|| panic!("no {name} in {metrics:?}")).value
    }

    /// Losses of all epochs, with those of evaluations.
    pub fn losses(&self) -> Vec<(f64, Vec<f64>)> {
        let values = |epoch: &Epoch| epoch.evaluation.iter().map(|metric| metric.value).collect();
        self.epochs.iter().map(|epoch| (epoch.training_loss, values(epoch))).collect()
    }
}

pub fn loader(threads: usize) -> ModelLoader {
    ModelLoader::new(
        &ComputeSettings { precision: "f32".to_owned(), threads, ..ComputeSettings::default() },
        None,
    )
}

/// Does a job, with so many threads.
pub fn run_with(job: Job, threads: usize) -> Result<Said, EngineError> {
    run_on(job, loader(threads))
}

/// Does a job on the loader's device.
pub fn run_on(job: Job, loader: ModelLoader) -> Result<Said, EngineError> {
    let mut said = Said::default();
    train(job, loader, |output| said.take(output))?;
    Ok(said)
}

/// Does a job on the loader's device, as the program would.
pub fn train(
    job: Job,
    loader: ModelLoader,
    mut take: impl FnMut(JobOutput) + Send,
) -> Result<(), EngineError> {
    let scheduling = SchedulerOptions { tokenizing_threads: 1, batch_tokens: None, result_cache: 0 };
    let registry = Registry::start(loader, scheduling).unwrap();
    registry.trainer(&job.plan.call)?.train(job, &registry, &mut |output| {
        take(output);
        Ok(())
    })
}

pub fn run(job: Job) -> Said {
    run_with(job, 2).unwrap()
}

pub fn refused(job: Job) -> EngineError {
    match run_with(job, 1) {
        Err(error) => error,
        // What it said has megabytes.
        Ok(_) => panic!("the job should be refused"),
    }
}
