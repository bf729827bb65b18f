//! What a training process is told: the plan, models, synonyms, rows, and where to go on.
//!
//! All of it is read in one transaction, which is over before the training begins, so that no training holds back
//! VACUUM. Invariant: rows are read as the role that called, with what names meant to it, so privileges and row security
//! hold; no more than a message of them is held.

use std::time::Instant;

use ecommerce_ml_protocol::training::{JobInput, Role, TrainingInput, TrainingPlan};
use ecommerce_ml_protocol::{Input, ModelSource, Sha256, UploadPart};

use super::augment::Augment;
use super::descriptions::Descriptions;
use super::known_rows::KnownRows;
use super::members::Members;
use super::outcome::Deploy;
use super::row_fingerprints::RowFingerprints;
use super::rows::Rows;
use super::training_process::TrainingProcess;
use super::worker::POLL_INTERVAL;
use crate::catalog::jobs::{self, Job};
use crate::catalog::privilege::{become_role, role_name};
use crate::catalog::resolve::resolve;
use crate::catalog::{checkpoints, content, versions};
use crate::error::Error;
use crate::guc;

/// Most pairs of words, or of names and texts, of a message, and bytes after which it is full.
const MAX_PAIRS: usize = 256;
const MAX_PAIRS_BYTES: usize = 1 << 20;

/// Which rows were sent, what was read of them, and how many had no text, no label or no time.
#[derive(Default)]
pub struct Sent {
    pub rows: i64,
    pub skipped: i64,
    pub fingerprints: RowFingerprints,
    /// Rows that were left out because members of an ensemble were trained on them.
    pub known: i64,
    /// Members of which nobody knows which rows they were trained on.
    pub unknown: Vec<String>,
    /// Names of the columns; none of a text.
    pub columns: Vec<String>,
}

/// Sends the process all that it has to know, in a transaction that is the job's role's from here to its end. `report` is
/// called now and then with the number of rows so far. Ends early if the process is lost: it is then for the caller to learn
/// why.
///
/// # Errors
/// When something isn't there any more, or can't be read, or the job has been cancelled.
pub fn send_inputs(
    process: &mut TrainingProcess,
    job: &Job,
    mut report: impl FnMut(i64),
) -> Result<Sent, Error> {
    if role_name(job.owner).is_none() {
        return Err(Error::UnknownRole(job.owner_name.clone()));
    }
    // To the end of the transaction: what rows, conditions and paraphrases call is code of that role.
    become_role(job.owner, &job.session)?;
    // A job that goes on has been prepared before.
    let rows = Rows::of(job, jobs::columns(job.id)?.as_deref())?;
    let members = Members::of(&job.arguments)?;
    let plan = plan(job, &rows, &members)?;
    let parts = members.planned();
    let models = [(Role::Base, plan.base.clone()), (Role::Incumbent, plan.incumbent.clone())];
    if !process.send(&JobInput::Begin(plan))? {
        return Ok(Sent::default());
    }
    let mut known = Vec::new();
    for (role, source) in models {
        if let Some(ModelSource::Content(sha256)) = source.filter(|source| !known.contains(source)) {
            send_model(process, role, sha256)?;
            known.push(ModelSource::Content(sha256));
        }
    }
    for (place, member) in (0..).zip(parts) {
        if let ModelSource::Content(sha256) = member.source {
            send_model(process, Role::Member(place), sha256)?;
        }
    }
    let augment = match rows.reads.input {
        TrainingInput::Text => Augment::of(&job.arguments.options)?,
        TrainingInput::Columns { .. } | TrainingInput::Events { .. } => Augment::default(),
    };
    send_synonyms(process, &augment)?;
    send_descriptions(process, &Descriptions::of(&rows.reads, &job.arguments.options)?)?;
    let known = KnownRows::of(&members, &job.arguments, job.task)?;
    let sent = send_rows(process, job, (&rows, &known), &augment, &mut report)?;
    checkpoints::for_each_chunk(job.id, |chunk| process.send(&JobInput::Checkpoint(chunk)).map(drop))?;
    process.send(&JobInput::Start)?;
    Ok(sent)
}

fn plan(job: &Job, rows: &Rows, members: &Members) -> Result<TrainingPlan, Error> {
    let base = job.base.as_ref().map(|base| resolve(&base.to_string())).transpose()?;
    let incumbent = match Deploy::of(&job.arguments.options)? {
        Deploy::IfBetter if versions::live(&job.name)?.is_some() => {
            Some(resolve(&job.name)?.reference.source.clone())
        }
        _ => None,
    };
    Ok(TrainingPlan {
        call: rows.reads.call(job.task, &job.arguments),
        base: base.map(|base| base.reference.source.clone()),
        incumbent,
        members: members.planned(),
        memory_limit: guc::training_memory(),
        checkpoint_interval: guc::training_checkpoint_interval().as_secs(),
    })
}

fn send_model(process: &mut TrainingProcess, role: Role, sha256: Sha256) -> Result<(), Error> {
    let files = content::manifest(sha256)?.ok_or_else(|| Error::ContentMissing(sha256.to_string()))?;
    let mut send = |part| process.send(&JobInput::File { role, part });
    if send(UploadPart::Begin { files })?
        && content::for_each_chunk(sha256, |file, data| send(UploadPart::Chunk { file, data }))?
    {
        send(UploadPart::End)?;
    }
    Ok(())
}

fn send_rows(
    process: &mut TrainingProcess,
    job: &Job,
    (rows, known): (&Rows, &KnownRows),
    augment: &Augment,
    report: &mut impl FnMut(i64),
) -> Result<Sent, Error> {
    let fields = rows.reads.fields();
    let columns = fields.iter().map(|field| field.name.clone()).collect();
    let mut sent = Sent { columns, unknown: known.unknown.clone(), ..Sent::default() };
    let mut last_report = Instant::now();
    rows.for_each_batch(|batch, skipped| {
        sent.skipped += skipped;
        if batch.labels.is_empty() {
            return Ok(());
        }
        sent.fingerprints.add(&batch, fields);
        let (mut batch, left_out) = known.without(batch);
        sent.known += left_out;
        let mut others = Vec::new();
        if let Input::Texts(texts) = &batch.input {
            for text in texts {
                // They may take a while.
                report_if_due(job, &mut last_report, sent.rows, report)?;
                others.push(augment.paraphrases(text)?);
            }
        }
        report_if_due(job, &mut last_report, sent.rows, report)?;
        sent.rows += i64::try_from(batch.labels.len()).unwrap_or(i64::MAX);
        batch.paraphrases = if others.iter().all(Vec::is_empty) { Vec::new() } else { others };
        process.send(&JobInput::Rows(batch)).map(drop)
    })?;
    report(sent.rows);
    Ok(sent)
}

/// Looks now and then whether a job is still to be run, and reports how many rows it has sent.
fn report_if_due(
    job: &Job,
    last_report: &mut Instant,
    rows: i64,
    report: &mut impl FnMut(i64),
) -> Result<(), Error> {
    if last_report.elapsed() >= POLL_INTERVAL {
        require_running(job)?;
        report(rows);
        *last_report = Instant::now();
    }
    Ok(())
}

fn send_synonyms(process: &mut TrainingProcess, augment: &Augment) -> Result<(), Error> {
    let mut pairs = Vec::new();
    augment.for_each_synonym(|pair| {
        pairs.push(pair);
        if pairs.len() < MAX_PAIRS {
            return Ok(());
        }
        process.send(&JobInput::Synonyms(std::mem::take(&mut pairs))).map(drop)
    })?;
    if pairs.is_empty() { Ok(()) } else { process.send(&JobInput::Synonyms(pairs)).map(drop) }
}

fn send_descriptions(process: &mut TrainingProcess, descriptions: &Descriptions) -> Result<(), Error> {
    let (mut pairs, mut bytes) = (Vec::new(), 0);
    descriptions.for_each(|(name, text)| {
        bytes += name.len() + text.len();
        pairs.push((name, text));
        if pairs.len() < MAX_PAIRS && bytes < MAX_PAIRS_BYTES {
            return Ok(());
        }
        bytes = 0;
        process.send(&JobInput::Descriptions(std::mem::take(&mut pairs))).map(drop)
    })?;
    if pairs.is_empty() { Ok(()) } else { process.send(&JobInput::Descriptions(pairs)).map(drop) }
}

fn require_running(job: &Job) -> Result<(), Error> {
    let state = "is not to be run any more";
    if jobs::is_running(job.id)? { Ok(()) } else { Err(Error::JobState { job: job.id, state }) }
}
