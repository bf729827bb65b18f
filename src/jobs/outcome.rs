//! The new version that a training made.
//!
//! Invariant: the version, its deployment and the end of the job are one transaction's.

use ecommerce_ml_protocol::files::content_address;
use ecommerce_ml_protocol::training::{Baseline, Finished, JobOutput};
use ecommerce_ml_protocol::{FileEntry, Sha256, UploadPart};
use pgrx::warning;
use serde_json::{Value, json};

use super::deploy_decision::{DeployDecision, Measured, decide};
use super::event_loop::await_part;
use super::training_process::TrainingProcess;
use crate::catalog::jobs::{self, Job};
use crate::catalog::name::ModelName;
use crate::catalog::privilege::{as_role, role_name};
use crate::catalog::versions::{self, NewVersion};
use crate::catalog::{checkpoints, content, trained_rows};
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

/// Versions that trainings made of which a model keeps the newest, unless the option says otherwise.
const KEEP_VERSIONS: i64 = 5;

/// The option `keep_versions`; `None` keeps all.
///
/// # Errors
/// [`Error::InvalidOption`].
pub fn keep_versions(options: &Value) -> Result<Option<i64>, Error> {
    let keep = match options.get("keep_versions") {
        None | Some(Value::Null) => KEEP_VERSIONS,
        Some(number) => number.as_i64().filter(|number| *number >= 0).ok_or(Error::InvalidOption {
            name: "keep_versions",
            expected: "a whole number, 0 to keep all",
        })?,
    };
    Ok((keep > 0).then_some(keep))
}

/// Stores the model that the process is about to send, of which this is the first part, and ends the job. `baseline` is what
/// the process has said of the labels alone.
///
/// # Errors
/// When the process is lost, the job was cancelled, or its role may not own the model any more.
pub fn store(
    job: &Job,
    process: &mut TrainingProcess,
    first: UploadPart,
    baseline: Option<&Baseline>,
) -> Result<(), Error> {
    let UploadPart::Begin { files } = first else {
        return Err(Error::Unexpected("a model that did not begin"));
    };
    let content = content_address(&files);
    let mut writer = content::record(content, &files)?.then(|| content::Writer::new(content, &files));
    let finished = receive(process, &files, |file, data| {
        writer.as_mut().map_or(Ok(()), |writer| writer.add(file, data))
    })?;
    writer.map_or(Ok(()), content::Writer::finish)?;
    if role_name(job.owner).is_none() {
        return Err(Error::UnknownRole(job.owner_name.clone()));
    }
    let measured = Measured { task: job.task, baseline, finished: &finished };
    let (version, decision, dropped) = as_role(job.owner, &job.session, || {
        versions::claim(&job.name)?;
        let live = versions::live(&job.name)?;
        let version = versions::add(&job.name, &new_version(job, content, &measured)?)?;
        let decision = decide(Deploy::of(&job.arguments.options)?, live, &measured);
        if decision.deploy {
            versions::deploy(&job.name, version)?;
        }
        let dropped = match keep_versions(&job.arguments.options)? {
            Some(keep) => versions::drop_old(&job.name, keep, job.id)?,
            None => Vec::new(),
        };
        Ok((version, decision, in_words(&dropped)))
    })?;
    trained_rows::hand_over(job.id, &job.name, version)?;
    checkpoints::delete(job.id)?;
    let DeployDecision { outcome, is_doubtful, .. } = decision;
    if !jobs::succeed(job.id, version, &format!("{outcome}{dropped}"), &finished)? {
        return Err(Error::JobState { job: job.id, state: "was cancelled" });
    }
    if is_doubtful {
        warning!("version {version} of model \"{}\", of job {}, is {outcome}", job.name, job.id);
    }
    checkpoints::delete_ended(&job.name)
}

/// Hands out the bytes of a model's files, and returns what the process says at its end.
fn receive(
    process: &mut TrainingProcess,
    files: &[FileEntry],
    mut take: impl FnMut(u32, &[u8]) -> Result<(), Error>,
) -> Result<Finished, Error> {
    let mut sizes = vec![0_u64; files.len()];
    loop {
        match await_part(process) {
            Some(JobOutput::Model(UploadPart::Chunk { file, data })) => {
                let size =
                    sizes.get_mut(file as usize).ok_or(Error::Unexpected("a file that was not announced"))?;
                take(file, &data)?;
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
    for (name, value) in job.arguments.to_json()?.as_object().into_iter().flatten() {
        // What the options came to is there already, and the base beside.
        if !matches!(&**name, "options" | "base") {
            training[name] = value.clone();
        }
    }
    if let (Some(Value::Object(found)), Some(options)) =
        (jobs::found_settings(job.id)?, training["options"].as_object_mut())
    {
        options.extend(found);
    }
    training["arguments"] = job.arguments.to_json()?;
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
        kind: finished.info.kind.clone(),
        signature: versions::signature_json(&finished.info)?,
        info: versions::info_json(&finished.info),
        source: format!("job {}", job.id),
        base: job.base.as_ref().filter(|_| finished.uses_base).map(ModelName::to_string),
        metrics,
        training: Some(training),
        reference: finished.reference.as_deref().and_then(|reference| serde_json::from_str(reference).ok()),
    })
}

/// Which versions were dropped, at the end of a sentence.
fn in_words(dropped: &[i32]) -> String {
    let numbers: Vec<String> = dropped.iter().map(i32::to_string).collect();
    match dropped.len() {
        0 => String::new(),
        1 => format!("; dropped version {}", numbers.join(", ")),
        _ => format!("; dropped versions {}", numbers.join(", ")),
    }
}
