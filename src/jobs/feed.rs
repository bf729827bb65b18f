//! What a training process is told: the plan, models, rows, and where to go on.
//!
//! All of it is read in one transaction, which is over before the training begins, so that no training holds back
//! VACUUM. Invariant: rows are read as the role that called, with what names meant to it, so privileges and row security
//! hold; no more than a message of them is held.

use ecommerce_ml_protocol::training::{JobInput, Role, TrainingPlan, TrainingRow};
use ecommerce_ml_protocol::{ModelSource, Sha256, UploadPart};

use super::outcome::Deploy;
use super::rows::Rows;
use super::seen::Seen;
use super::trainer::Trainer;
use crate::catalog::jobs::Job;
use crate::catalog::privilege::as_role;
use crate::catalog::resolve::resolve;
use crate::catalog::{checkpoints, content, versions};
use crate::error::Error;
use crate::guc;

/// Most rows of a message.
const ROWS: usize = 256;
/// Bytes of text after which a message is sent.
const BYTES: usize = 1 << 20;

/// Which rows were sent, and how many had no text or no label.
#[derive(Default)]
pub struct Sent {
    pub rows: i64,
    pub skipped: i64,
    pub seen: Seen,
}

/// Tells the process all that it has to know. `report` is called now and then with the number of rows so far. Ends early
/// if the process is lost: it is then for the caller to hear why.
///
/// # Errors
/// When something isn't there any more, or can't be read.
pub fn feed(trainer: &mut Trainer, job: &Job, mut report: impl FnMut(i64)) -> Result<Sent, Error> {
    let as_caller =
        |work: &mut dyn FnMut() -> Result<Sent, Error>| as_role(job.owner, &job.search_path, work);
    as_caller(&mut || {
        let plan = plan(job)?;
        let models = [(Role::Base, Some(plan.base.clone())), (Role::Rival, plan.rival.clone())];
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
        let sent = send_rows(trainer, &Rows::of(job)?, &mut report)?;
        checkpoints::for_each_chunk(job.id, |chunk| trainer.send(&JobInput::Checkpoint(chunk)).map(drop))?;
        trainer.send(&JobInput::Start)?;
        Ok(sent)
    })
}

fn plan(job: &Job) -> Result<TrainingPlan, Error> {
    let base = resolve(&job.base.to_string())?;
    let rival = match Deploy::of(&job.options)? {
        Deploy::IfBetter if versions::live(&job.name)?.is_some() => {
            Some(resolve(&job.name)?.reference.source.clone())
        }
        _ => None,
    };
    Ok(TrainingPlan {
        objective: job.task,
        options: job.options.to_string(),
        base: base.reference.source.clone(),
        rival,
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

fn send_rows(trainer: &mut Trainer, rows: &Rows, report: &mut impl FnMut(i64)) -> Result<Sent, Error> {
    let mut message = Message { trainer, rows: Vec::new(), bytes: 0 };
    let mut sent = Sent::default();
    rows.for_each(|row| {
        let Some((text, label)) = row else {
            sent.skipped += 1;
            return Ok(());
        };
        sent.seen.add(&text, &label);
        message.add(TrainingRow { text, label, paraphrases: Vec::new() })?;
        sent.rows += 1;
        if sent.rows % 1024 == 0 {
            report(sent.rows);
        }
        Ok(())
    })?;
    message.flush()?;
    report(sent.rows);
    Ok(sent)
}

/// Rows on their way.
struct Message<'a> {
    trainer: &'a mut Trainer,
    rows: Vec<TrainingRow>,
    bytes: usize,
}

impl Message<'_> {
    fn add(&mut self, row: TrainingRow) -> Result<(), Error> {
        self.bytes += row.text.len();
        self.rows.push(row);
        if self.rows.len() >= ROWS || self.bytes >= BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() { Ok(()) } else { self.trainer.send(&JobInput::Rows(rows)).map(drop) }
    }
}
