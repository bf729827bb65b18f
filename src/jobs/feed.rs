//! What a training process is told: the plan, models, rows, and where to go on.
//!
//! All of it is read in one transaction, which is over before the training begins, so that no training holds back
//! VACUUM. Invariant: rows are read as the role that called, with what names meant to it, so privileges and row security
//! hold; no more than a message of them is held.

use ecommerce_ml_protocol::training::{JobInput, Label, Objective, Role, TrainingPlan, TrainingRow};
use ecommerce_ml_protocol::{MAX_TEXT_BYTES, ModelSource, Sha256, UploadPart};
use pgrx::spi::{self, SpiHeapTupleData};

use super::outcome::Deploy;
use super::submit::{require_runs, terminated};
use super::trainer::Trainer;
use crate::catalog::jobs::Job;
use crate::catalog::privilege::as_role;
use crate::catalog::resolve::resolve;
use crate::catalog::{checkpoints, content, versions};
use crate::error::Error;
use crate::relation::Relation;
use crate::{guc, rows};

/// Most rows of a message.
const ROWS: usize = 256;
/// Bytes of text after which a message is sent.
const BYTES: usize = 1 << 20;

/// How many rows were sent, and how many had no text or no label.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent {
    pub rows: i64,
    pub skipped: i64,
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
        let sent = Rows::of(job)?.send(trainer, &mut report)?;
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

/// The labelled rows of a job.
pub struct Rows {
    query: String,
    task: Objective,
}

impl Rows {
    /// Those that the job's relation has now.
    ///
    /// # Errors
    /// Those of [`Relation`]; [`Error::InvalidOption`] for a `where` that is no text.
    pub fn of(job: &Job) -> Result<Self, Error> {
        let relation = Relation::open(job.relation)?;
        let text = relation.column(&terminated(&job.text_column)?)?.as_review()?;
        let label = relation.column(&terminated(&job.label_column)?)?;
        let label = match job.task {
            Objective::Classification => label.as_label()?,
            Objective::Rating | Objective::Regression => label.as_number()?,
        };
        let condition = match job.options.get("where") {
            None | Some(serde_json::Value::Null) => String::new(),
            // On lines of its own, so that a comment at its end hides nothing of ours.
            Some(serde_json::Value::String(condition)) => format!(" WHERE (\n{condition}\n)"),
            Some(_) => {
                return Err(Error::InvalidOption { name: "where", expected: "a condition, as a string" });
            }
        };
        let query = format!("SELECT {text}, {label} FROM {} AS t{condition}", relation.from());
        Ok(Self { query, task: job.task })
    }

    /// Lets the server say what keeps the current role from reading them.
    ///
    /// # Errors
    /// The server's.
    pub fn require_readable(&self) -> Result<(), Error> {
        require_runs(&self.query)
    }

    fn send(&self, trainer: &mut Trainer, report: &mut impl FnMut(i64)) -> Result<Sent, Error> {
        let mut message = Message { trainer, rows: Vec::new(), bytes: 0 };
        let mut sent = Sent::default();
        let mut take = |(text, label): (Option<String>, Option<Label>)| {
            match (text, label) {
                (Some(text), Some(label)) if !text.trim().is_empty() => {
                    message.add(TrainingRow { text: shortened(text), label, paraphrases: Vec::new() })?;
                    sent.rows += 1;
                    if sent.rows % 1024 == 0 {
                        report(sent.rows);
                    }
                }
                _ => sent.skipped += 1,
            }
            Ok(())
        };
        match self.task {
            Objective::Classification => rows::for_each(&self.query, read_class, &mut take)?,
            Objective::Rating | Objective::Regression => rows::for_each(&self.query, read_number, &mut take)?,
        }
        message.flush()?;
        report(sent.rows);
        Ok(sent)
    }
}

type Row = (Option<String>, Option<Label>);

fn read_class(row: &SpiHeapTupleData<'_>) -> spi::Result<Row> {
    Ok((row.get(1)?, row.get(2)?.map(Label::Class)))
}

fn read_number(row: &SpiHeapTupleData<'_>) -> spi::Result<Row> {
    Ok((row.get(1)?, row.get(2)?.map(Label::Number)))
}

/// A training reads the beginning of a text only.
fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    }
    text
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
