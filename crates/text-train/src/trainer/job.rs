//! What a training is asked to do, put together from what the worker sends.
//!
//! It must not know how messages come. Invariant: a [`Job`] is complete: its base has all files that were announced, and
//! the memory that it takes is below its limit.

use std::path::{Path, PathBuf};

use ecommerce_ml_checkpoint::files::{ModelFiles, builtin_folder};
use ecommerce_ml_checkpoint::upload::Upload;
use ecommerce_ml_protocol::training::{JobInput, Role, TrainingPlan, TrainingRow};
use ecommerce_ml_protocol::{EngineError, ErrorKind, ModelSource, UploadPart};

/// Bytes that a row takes besides its text.
const ROW_BYTES: usize = size_of::<TrainingRow>();

/// All that a training starts with.
#[derive(Debug)]
pub struct Job {
    /// What to train.
    pub plan: TrainingPlan,
    /// Files of the model to begin with.
    pub base: ModelFiles,
    /// Files of the model to compare with.
    pub rival: Option<ModelFiles>,
    /// In any order.
    pub rows: Vec<TrainingRow>,
    /// Words with others that may stand for them.
    pub synonyms: Vec<(String, String)>,
    /// Where an interrupted training was; empty for a new one.
    pub checkpoint: Vec<u8>,
}

/// A job, arriving.
#[derive(Debug)]
pub struct Collector {
    builtin: Option<PathBuf>,
    job: Option<Job>,
    base: Arrival,
    rival: Arrival,
    /// Bytes of rows, synonyms and checkpoint so far.
    bytes: u64,
}

/// The files of a model, arriving.
#[derive(Debug, Default)]
struct Arrival {
    upload: Option<Upload>,
    complete: bool,
}

impl Collector {
    /// Nothing yet. Built-in models lie in folders below `builtin`.
    pub fn new(builtin: Option<PathBuf>) -> Self {
        Self { builtin, job: None, base: Arrival::default(), rival: Arrival::default(), bytes: 0 }
    }

    /// Takes the next message; the job if it was the last.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for messages out of order, [`ErrorKind::OutOfMemory`] for more than the plan's
    /// limit, and what is wrong with files.
    pub fn accept(&mut self, input: JobInput) -> Result<Option<Job>, EngineError> {
        let job = match (input, &mut self.job) {
            (JobInput::Begin(plan), None) => return self.begin(plan).map(|()| None),
            (JobInput::Begin(_), Some(_)) => return Err(out_of_order("begins twice")),
            (_, None) => return Err(out_of_order("does not begin with a plan")),
            (JobInput::Start, Some(_)) => return self.finish().map(Some),
            (input, Some(job)) => (input, job),
        };
        match job {
            (JobInput::File { role, part }, job) => {
                let arrival = if role == Role::Base { &mut self.base } else { &mut self.rival };
                arrival.accept(part, job.plan.memory_limit)?;
            }
            (JobInput::Rows(rows), job) => {
                self.bytes += rows.iter().map(row_bytes).sum::<u64>();
                job.rows.extend(rows);
            }
            (JobInput::Synonyms(pairs), job) => {
                self.bytes += pairs.iter().map(|(one, other)| (one.len() + other.len()) as u64).sum::<u64>();
                job.synonyms.extend(pairs);
            }
            (JobInput::Checkpoint(bytes), job) => {
                self.bytes += bytes.len() as u64;
                job.checkpoint.extend(bytes);
            }
            (JobInput::Begin(_) | JobInput::Start, _) => {}
        }
        self.check_memory().map(|()| None)
    }

    fn begin(&mut self, plan: TrainingPlan) -> Result<(), EngineError> {
        self.base = Arrival::of(&plan.base, plan.memory_limit);
        if let Some(rival) = plan.rival.as_ref().filter(|rival| **rival != plan.base) {
            self.rival = Arrival::of(rival, plan.memory_limit);
        }
        let nothing = ModelFiles::default;
        let (rows, synonyms, checkpoint) = Default::default();
        self.job = Some(Job { plan, base: nothing(), rival: None, rows, synonyms, checkpoint });
        Ok(())
    }

    fn finish(&mut self) -> Result<Job, EngineError> {
        let mut job = self.job.take().ok_or_else(|| out_of_order("does not begin with a plan"))?;
        let builtin = self.builtin.as_deref();
        job.base = std::mem::take(&mut self.base).files(&job.plan.base, builtin)?;
        job.rival = match &job.plan.rival {
            None => None,
            Some(rival) if *rival == job.plan.base => Some(job.base.clone()),
            Some(rival) => Some(std::mem::take(&mut self.rival).files(rival, builtin)?),
        };
        Ok(job)
    }

    fn check_memory(&self) -> Result<(), EngineError> {
        match self.job.as_ref().map(|job| job.plan.memory_limit) {
            Some(limit) if self.bytes > limit => {
                let message = format!("rows and checkpoint of a training exceed its memory of {limit} bytes");
                Err(EngineError::new(ErrorKind::OutOfMemory, message)
                    .with_hint("Train on fewer rows, or increase ecommerce_ml.training_memory."))
            }
            _ => Ok(()),
        }
    }
}

impl Arrival {
    fn of(source: &ModelSource, limit: u64) -> Self {
        match source {
            ModelSource::Builtin(_) => Self::default(),
            ModelSource::Content(sha) => Self { upload: Some(Upload::new(*sha, limit)), complete: false },
        }
    }

    fn accept(&mut self, part: UploadPart, limit: u64) -> Result<(), EngineError> {
        let Some(upload) = &mut self.upload else { return Err(out_of_order("sends files of no model")) };
        if let UploadPart::Begin { files } = &part {
            let bytes = files.iter().fold(0, |sum: u64, file| sum.saturating_add(file.size));
            if bytes > limit {
                let message =
                    format!("model of {bytes} bytes exceeds the memory for training of {limit} bytes");
                return Err(EngineError::new(ErrorKind::OutOfMemory, message)
                    .with_hint("Increase ecommerce_ml.training_memory."));
            }
        }
        self.complete |= upload.accept(part)?;
        Ok(())
    }

    fn files(self, source: &ModelSource, builtin: Option<&Path>) -> Result<ModelFiles, EngineError> {
        match (source, self.upload) {
            (ModelSource::Builtin(name), _) => ModelFiles::from_directory(&builtin_folder(builtin, name)?),
            (ModelSource::Content(_), Some(upload)) if self.complete => upload.verify(),
            (ModelSource::Content(sha), _) => {
                let message = format!("files of model {sha} have not come");
                Err(EngineError::new(ErrorKind::FileMissing, message))
            }
        }
    }
}

fn row_bytes(row: &TrainingRow) -> u64 {
    let paraphrases = row.paraphrases.iter().map(|text| text.len() + size_of::<String>()).sum::<usize>();
    (ROW_BYTES + row.text.len() + paraphrases) as u64
}

fn out_of_order(what: &str) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, format!("malformed training job: it {what}"))
}
