//! What a training process is told: the plan, models, synonyms, rows, and where to go on.
//!
//! All of it is read in one transaction, which is over before the training begins, so that no training holds back
//! VACUUM. Invariant: rows are read as the role that called, with what names meant to it, so privileges and row security
//! hold; no more than a message of them is held.

use std::time::Instant;

use ecommerce_ml_protocol::training::{
    JobInput, Label, Role, TrainingCall, TrainingInput, TrainingPlan, TrainingRows,
};
use ecommerce_ml_protocol::{Input, ModelSource, Sha256, UploadPart};

use super::augment::Augment;
use super::outcome::Deploy;
use super::rows::Rows;
use super::seen::Seen;
use super::trainer::Trainer;
use super::worker::TICK;
use crate::catalog::jobs::{self, Job};
use crate::catalog::privilege::{become_role, role_name};
use crate::catalog::resolve::resolve;
use crate::catalog::{checkpoints, content, versions};
use crate::error::Error;
use crate::guc;

/// Most rows, or pairs of words, of a message.
const THINGS: usize = 256;
/// Bytes of text after which a message is sent.
const BYTES: usize = 1 << 20;

/// Which rows were sent, and how many had no text or no label.
#[derive(Default)]
pub struct Sent {
    pub rows: i64,
    pub skipped: i64,
    pub seen: Seen,
}

/// Tells the process all that it has to know, in a transaction that is the job's role's from here to its end. `report` is called now and then with the number of rows so far. Ends early
/// if the process is lost: it is then for the caller to hear why.
///
/// # Errors
/// When something isn't there any more, or can't be read, or the job has been cancelled.
pub fn feed(trainer: &mut Trainer, job: &Job, mut report: impl FnMut(i64)) -> Result<Sent, Error> {
    if role_name(job.owner).is_none() {
        return Err(Error::UnknownRole(job.owner_name.clone()));
    }
    // To the end of the transaction: what rows, conditions and paraphrases call is code of that role.
    become_role(job.owner, &job.session)?;
    let plan = plan(job)?;
    let models = [(Role::Base, plan.base.clone()), (Role::Incumbent, plan.incumbent.clone())];
    if !trainer.send(&JobInput::Begin(plan))? {
        return Ok(Sent::default());
    }
    let mut known = Vec::new();
    for (role, source) in models {
        if let Some(ModelSource::Content(sha256)) = source.filter(|source| !known.contains(source)) {
            send_model(trainer, role, sha256)?;
            known.push(ModelSource::Content(sha256));
        }
    }
    let augment = Augment::of(&job.arguments.options)?;
    send_synonyms(trainer, &augment)?;
    let sent = send_rows(trainer, job, &augment, &mut report)?;
    checkpoints::for_each_chunk(job.id, |chunk| trainer.send(&JobInput::Checkpoint(chunk)).map(drop))?;
    trainer.send(&JobInput::Start)?;
    Ok(sent)
}

fn plan(job: &Job) -> Result<TrainingPlan, Error> {
    let base = job.base.as_ref().map(|base| resolve(&base.to_string())).transpose()?;
    let incumbent = match Deploy::of(&job.arguments.options)? {
        Deploy::IfBetter if versions::live(&job.name)?.is_some() => {
            Some(resolve(&job.name)?.reference.source.clone())
        }
        _ => None,
    };
    Ok(TrainingPlan {
        call: TrainingCall {
            objective: job.task,
            input: TrainingInput::Text,
            has_time: false,
            options: job.arguments.options.to_string(),
        },
        base: base.map(|base| base.reference.source.clone()),
        incumbent,
        memory_limit: guc::training_memory(),
        checkpoint_interval: guc::training_checkpoint_interval().as_secs(),
    })
}

fn send_model(trainer: &mut Trainer, role: Role, sha256: Sha256) -> Result<(), Error> {
    let files = content::manifest(sha256)?.ok_or_else(|| Error::ContentMissing(sha256.to_string()))?;
    let mut send = |part| trainer.send(&JobInput::File { role, part });
    if send(UploadPart::Begin { files })?
        && content::for_each_chunk(sha256, |file, data| send(UploadPart::Chunk { file, data }))?
    {
        send(UploadPart::End)?;
    }
    Ok(())
}

fn send_rows(
    trainer: &mut Trainer,
    job: &Job,
    augment: &Augment,
    report: &mut impl FnMut(i64),
) -> Result<Sent, Error> {
    let mut messages = Messages::new(trainer, |rows| JobInput::Rows(of_rows(rows)));
    let mut sent = Sent::default();
    let mut looked = Instant::now();
    Rows::of(job)?.for_each(|row| {
        // Paraphrases may take a while.
        if looked.elapsed() >= TICK {
            require_running(job)?;
            report(sent.rows);
            looked = Instant::now();
        }
        let Some((text, label)) = row else {
            sent.skipped += 1;
            return Ok(());
        };
        sent.seen.add(&text, &label);
        let paraphrases = augment.paraphrases(&text)?;
        let bytes = text.len() + paraphrases.iter().map(String::len).sum::<usize>();
        messages.add((text, label, paraphrases), bytes)?;
        sent.rows += 1;
        Ok(())
    })?;
    messages.flush()?;
    report(sent.rows);
    Ok(sent)
}

/// Rows of a message: their texts, labels and paraphrases.
fn of_rows(rows: Vec<(String, Label, Vec<String>)>) -> TrainingRows {
    let (mut texts, mut labels, mut paraphrases) = (Vec::new(), Vec::new(), Vec::new());
    for (text, label, others) in rows {
        texts.push(text);
        labels.push(label);
        paraphrases.push(others);
    }
    TrainingRows { input: Input::Texts(texts), labels, times: Vec::new(), paraphrases }
}

fn send_synonyms(trainer: &mut Trainer, augment: &Augment) -> Result<(), Error> {
    let mut messages = Messages::new(trainer, JobInput::Synonyms);
    augment.for_each_synonym(|pair| {
        let bytes = pair.0.len() + pair.1.len();
        messages.add(pair, bytes)
    })?;
    messages.flush()
}

fn require_running(job: &Job) -> Result<(), Error> {
    let state = "is not to be run any more";
    if jobs::is_running(job.id)? { Ok(()) } else { Err(Error::JobState { job: job.id, state }) }
}

/// Things on their way, many in a message.
struct Messages<'a, T> {
    trainer: &'a mut Trainer,
    message: fn(Vec<T>) -> JobInput,
    things: Vec<T>,
    bytes: usize,
}

impl<'a, T> Messages<'a, T> {
    fn new(trainer: &'a mut Trainer, message: fn(Vec<T>) -> JobInput) -> Self {
        Self { trainer, message, things: Vec::new(), bytes: 0 }
    }

    fn add(&mut self, thing: T, bytes: usize) -> Result<(), Error> {
        self.bytes += bytes;
        self.things.push(thing);
        if self.things.len() >= THINGS || self.bytes >= BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.bytes = 0;
        let things = std::mem::take(&mut self.things);
        if things.is_empty() { Ok(()) } else { self.trainer.send(&(self.message)(things)).map(drop) }
    }
}
