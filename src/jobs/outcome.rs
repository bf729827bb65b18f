//! The new version that a training made.
//!
//! Invariant: the version, its deployment and the end of the job are one transaction's.

use ecommerce_ml_protocol::training::{Baseline, Finished, JobOutput};
use ecommerce_ml_protocol::{FileEntry, Sha256, UPLOAD_CHUNK_BYTES, UploadPart};
use pgrx::warning;
use serde_json::{Value, json};

use super::follow::await_part;
use super::trainer::Trainer;
use super::verdict::{Measured, Verdict, decide};
use crate::catalog::jobs::{self, Job};
use crate::catalog::privilege::{as_role, role_name};
use crate::catalog::versions::{self, NewVersion};
use crate::catalog::{checkpoints, content, seen};
use crate::error::Error;

/// What becomes of a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deploy {
    /// It is deployed.
    Always,
    /// It is deployed unless the live version, or what the labels alone are worth, is as good.
    IfBetter,
    /// It is kept.
    Never,
}

impl Deploy {
    /// The option `deploy`; `if_better` unless it is given.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn of(options: &Value) -> Result<Self, Error> {
        match options.get("deploy") {
            None | Some(Value::Null) => Ok(Self::IfBetter),
            Some(word) => match word.as_str() {
                Some("always") => Ok(Self::Always),
                Some("if_better") => Ok(Self::IfBetter),
                Some("never") => Ok(Self::Never),
                _ => Err(Error::InvalidOption {
                    name: "deploy",
                    expected: "\"always\", \"if_better\" or \"never\"",
                }),
            },
        }
    }
}

/// Stores the model that the process is about to send, of which this is the first part, and ends the job. `baseline` is what
/// the process has said of the labels alone.
///
/// # Errors
/// When the process is lost, the job was cancelled, or its role may not own the model any more.
pub fn store(
    job: &Job,
    trainer: &mut Trainer,
    first: UploadPart,
    baseline: Option<&Baseline>,
) -> Result<(), Error> {
    let UploadPart::Begin { files } = first else {
        return Err(Error::Unexpected("a model that did not begin"));
    };
    let content = content::address(&files);
    let is_new = content::record(content, &files)?;
    let finished = receive(trainer, &files, |file, chunk, data| {
        if is_new { content::store_chunk(content, file, chunk, data) } else { Ok(()) }
    })?;
    if role_name(job.owner).is_none() {
        return Err(Error::UnknownRole(job.owner_name.clone()));
    }
    let measured = Measured { task: job.task, baseline, finished: &finished };
    let (version, verdict) = as_role(job.owner, &job.session, || {
        versions::claim(&job.name)?;
        let live = versions::live(&job.name)?;
        let version = versions::add(&job.name, &new_version(job, content, &measured)?)?;
        let verdict = decide(Deploy::of(&job.options)?, live, &measured);
        if verdict.deploy {
            versions::deploy(&job.name, version)?;
        }
        Ok((version, verdict))
    })?;
    seen::hand_over(job.id, &job.name, version)?;
    checkpoints::delete(job.id)?;
    let Verdict { outcome, is_doubtful, .. } = verdict;
    if !jobs::succeed(job.id, version, &outcome, &finished)? {
        return Err(Error::JobState { job: job.id, state: "was cancelled" });
    }
    if is_doubtful {
        warning!("version {version} of model \"{}\", of job {}, is {outcome}", job.name, job.id);
    }
    checkpoints::delete_ended(&job.name)
}

/// Hands out the chunks of a model's files with their numbers, and returns what the process says at its end.
fn receive(
    trainer: &mut Trainer,
    files: &[FileEntry],
    mut take: impl FnMut(u32, u32, &[u8]) -> Result<(), Error>,
) -> Result<Finished, Error> {
    let mut sizes = vec![0_u64; files.len()];
    loop {
        match await_part(trainer) {
            Some(JobOutput::Model(UploadPart::Chunk { file, data })) => {
                let size =
                    sizes.get_mut(file as usize).ok_or(Error::Unexpected("a file that was not announced"))?;
                let chunk = u32::try_from(*size / UPLOAD_CHUNK_BYTES as u64);
                take(file, chunk.map_err(|_| Error::Unexpected("a file too large"))?, &data)?;
                *size += data.len() as u64;
            }
            Some(JobOutput::Model(UploadPart::End)) => {}
            Some(JobOutput::Finished(finished)) => {
                let complete = files.iter().zip(&sizes).all(|(file, size)| file.size == *size);
                return if complete { Ok(*finished) } else { Err(Error::Unexpected("an incomplete model")) };
            }
            Some(JobOutput::Failed(error)) => return Err(error.into()),
            Some(_) => return Err(Error::Unexpected("something else within a model")),
            None => return Err(Error::EngineLost),
        }
    }
}

fn new_version(job: &Job, content: Sha256, measured: &Measured<'_>) -> Result<NewVersion, Error> {
    let Measured { baseline, finished, .. } = measured;
    let mut training = jobs::prepared(job.id)?;
    training["job"] = json!(job.id);
    training["relation"] = json!(job.relation);
    training["text_column"] = json!(job.text_column);
    training["label_column"] = json!(job.label_column);
    training["task"] = json!(jobs::task_name(job.task));
    training["epoch"] = json!(finished.epoch);
    training["stopped_early"] = json!(finished.stopped_early);
    training["seconds"] = json!(jobs::seconds(job.id)?);
    if let Some(comparison) = &finished.comparison {
        training["comparison"] = jobs::comparison_json(comparison);
    }
    let mut metrics =
        (!finished.metrics.is_empty()).then(|| json!({"held_out": jobs::metrics_json(&finished.metrics)}));
    if let (Some(metrics), Some(baseline)) = (&mut metrics, baseline) {
        metrics["baseline"] = jobs::metrics_json(&baseline.metrics);
        let mut answers = jobs::baseline_json(baseline);
        if let Some(against) = &finished.against_baseline {
            answers["comparison"] = jobs::baseline_comparison_json(against);
        }
        training["baseline"] = answers;
    }
    Ok(NewVersion {
        content,
        info: versions::info_json(&finished.info),
        source: format!("job {}", job.id),
        base: Some(job.base.to_string()),
        metrics,
        training: Some(training),
    })
}
