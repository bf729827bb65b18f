//! What a training is asked to do, put together from what the worker sends.
//!
//! It must not know how messages come. Invariant: a [`Job`] is complete: its models have all files that were announced, and
//! the memory that it takes is below its limit.

use std::path::{Path, PathBuf};

use ecommerce_ml_checkpoint::files::{ModelFiles, builtin_folder};
use ecommerce_ml_checkpoint::upload::Upload;
use ecommerce_ml_protocol::training::{JobInput, Label, Role, TrainingPlan, TrainingRows};
use ecommerce_ml_protocol::{EngineError, ErrorKind, Input, ModelSource, UploadPart};

/// All that a training starts with.
#[derive(Debug)]
pub struct Job {
    /// What to train.
    pub plan: TrainingPlan,
    /// Files of the model to begin with, if there is one.
    pub base: Option<ModelFiles>,
    /// Files of the model to compare with.
    pub incumbent: Option<ModelFiles>,
    /// Models to put together, in the order of the plan.
    pub members: Vec<JobMember>,
    /// In any order, as many as came in each message.
    pub rows: Vec<TrainingRows>,
    /// Words with others that may stand for them.
    pub synonyms: Vec<(String, String)>,
    /// What the last key of events names, with texts.
    pub descriptions: Vec<(String, String)>,
    /// Where an interrupted training was; empty for a new one.
    pub checkpoint: Vec<u8>,
}

/// A model that another one is to put together with others.
#[derive(Debug, Clone)]
pub struct JobMember {
    /// With its version, as `name@3`.
    pub name: String,
    /// Its files.
    pub files: ModelFiles,
}

/// A job, arriving.
#[derive(Debug)]
pub struct JobAssembler {
    builtin: Option<PathBuf>,
    job: Option<Job>,
    base: IncomingModel,
    incumbent: IncomingModel,
    members: Vec<IncomingModel>,
    /// Bytes of rows, synonyms and checkpoint so far.
    bytes: u64,
}

/// The files of a model, arriving.
#[derive(Debug, Default)]
struct IncomingModel {
    upload: Option<Upload>,
    complete: bool,
}

impl JobAssembler {
    /// Nothing yet. Built-in models lie in folders below `builtin`.
    pub fn new(builtin: Option<PathBuf>) -> Self {
        Self {
            builtin,
            job: None,
            base: IncomingModel::default(),
            incumbent: IncomingModel::default(),
            members: Vec::new(),
            bytes: 0,
        }
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
                let model = match role {
                    Role::Base => Some(&mut self.base),
                    Role::Incumbent => Some(&mut self.incumbent),
                    Role::Member(place) => self.members.get_mut(place as usize),
                };
                let model = model.ok_or_else(|| out_of_order("sends files of no model"))?;
                model.accept(part, job.plan.memory_limit)?;
            }
            (JobInput::Rows(rows), job) => {
                check(&rows)?;
                self.bytes += rows_bytes(&rows);
                job.rows.push(rows);
            }
            (JobInput::Synonyms(pairs), job) => {
                self.bytes += pairs_bytes(&pairs);
                job.synonyms.extend(pairs);
            }
            (JobInput::Descriptions(pairs), job) => {
                self.bytes += pairs_bytes(&pairs);
                job.descriptions.extend(pairs);
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
        let model = |source: &ModelSource| IncomingModel::of(source, plan.memory_limit);
        self.base = plan.base.as_ref().map(model).unwrap_or_default();
        let other = plan.incumbent.as_ref().filter(|incumbent| Some(*incumbent) != plan.base.as_ref());
        self.incumbent = other.map(model).unwrap_or_default();
        self.members = plan.members.iter().map(|member| model(&member.source)).collect();
        let (rows, synonyms, descriptions, checkpoint, members) = Default::default();
        let (base, incumbent) = (None, None);
        self.job = Some(Job { plan, base, incumbent, members, rows, synonyms, descriptions, checkpoint });
        Ok(())
    }

    fn finish(&mut self) -> Result<Job, EngineError> {
        let mut job = self.job.take().ok_or_else(|| out_of_order("does not begin with a plan"))?;
        let builtin = self.builtin.as_deref();
        let base = std::mem::take(&mut self.base);
        job.base = job.plan.base.as_ref().map(|source| base.files(source, builtin)).transpose()?;
        let incumbent = std::mem::take(&mut self.incumbent);
        job.incumbent = match &job.plan.incumbent {
            None => None,
            same if *same == job.plan.base => job.base.clone(),
            Some(source) => Some(incumbent.files(source, builtin)?),
        };
        for (member, incoming) in job.plan.members.iter().zip(std::mem::take(&mut self.members)) {
            let files = incoming.files(&member.source, builtin)?;
            job.members.push(JobMember { name: member.name.clone(), files });
        }
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

impl IncomingModel {
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

fn pairs_bytes(pairs: &[(String, String)]) -> u64 {
    pairs.iter().map(|(one, other)| (one.len() + other.len()) as u64).sum()
}

/// Refuses rows that don't fit together.
fn check(rows: &TrainingRows) -> Result<(), EngineError> {
    let count = rows.labels.len();
    let columns = match &rows.input {
        Input::Texts(_) => true,
        Input::Rows(columns) => columns.check(),
    };
    let fits = |len: usize| len == 0 || len == count;
    if columns && rows.input.len() == count && fits(rows.times.len()) && fits(rows.paraphrases.len()) {
        Ok(())
    } else {
        Err(out_of_order("has rows without their labels"))
    }
}

fn rows_bytes(rows: &TrainingRows) -> u64 {
    let label = |label: &Label| match label {
        Label::Class(class) => class.len(),
        Label::Number(_) | Label::Range(..) => 0,
    };
    let labels: usize = rows.labels.iter().map(|one| size_of::<Label>() + label(one)).sum();
    let texts = match &rows.input {
        Input::Texts(texts) => size_of_val(&texts[..]),
        Input::Rows(_) => 0,
    };
    let words = rows.paraphrases.iter().flatten().map(|text| text.len() + size_of::<String>());
    let others = words.sum::<usize>() + size_of_val(&rows.paraphrases[..]) + size_of_val(&rows.times[..]);
    (rows.input.bytes() + texts + labels + others) as u64
}

fn out_of_order(what: &str) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, format!("malformed training job: it {what}"))
}
