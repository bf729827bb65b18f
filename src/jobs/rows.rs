//! The labelled rows of a job.
//!
//! It must not know what they are read for. Invariant: whoever reads the rows of a job gets the same texts and labels, as
//! the current role may see them now.

use ecommerce_ml_protocol::training::{Label, Objective};
use ecommerce_ml_protocol::{MAX_TEXT_BYTES, is_blank};
use pgrx::spi::{self, SpiHeapTupleData};
use serde_json::Value;

use super::submit::terminated;
use crate::catalog::arguments::Arguments;
use crate::catalog::jobs::Job;
use crate::error::Error;
use crate::relation::{Column, Relation};
use crate::rows;

/// Rows that can be read.
pub struct Rows {
    query: String,
    task: Objective,
    label: Column,
}

impl Rows {
    /// Those that the job's relation has now.
    ///
    /// # Errors
    /// Those of [`Relation`]; [`Error::InvalidOption`] for a `where` that is no text.
    pub fn of(job: &Job) -> Result<Self, Error> {
        let relation = Relation::named(&job.relation)?;
        let Arguments { text_column, label_column, .. } = &job.arguments;
        let text = text_column.as_ref().ok_or(Error::ArgumentNull("text_column"))?;
        let text = relation.column(&terminated(text)?)?.as_review()?;
        let column = label_column.as_ref().ok_or(Error::ArgumentNull("label_column"))?;
        let column = relation.column(&terminated(column)?)?;
        let label = match job.task {
            Objective::Classification => column.as_label()?,
            Objective::Rating | Objective::Regression => column.as_number()?,
        };
        let condition = match job.arguments.options.get("where") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(condition)) if is_blank(condition) => {
                return Err(Error::InvalidOption {
                    name: "where",
                    expected: "a condition, not a blank string",
                });
            }
            // On lines of its own, so that a comment at its end hides nothing of ours.
            Some(Value::String(condition)) => format!(" WHERE (\n{condition}\n)"),
            Some(_) => {
                return Err(Error::InvalidOption { name: "where", expected: "a condition, as a string" });
            }
        };
        let query = format!("SELECT {text}, {label} FROM {} AS t{condition}", relation.from());
        Ok(Self { query, task: job.task, label: column })
    }

    /// Lets the server say what keeps the current role from reading them, and refuses what only this session can read.
    ///
    /// # Errors
    /// [`Error::TemporaryRelation`], those of opening a cursor; the server's own errors end the statement.
    pub fn require_readable(&self) -> Result<(), Error> {
        require_lasting(&self.query, &[])
    }

    /// Hands out what can be learned from each row: a text and its label, or `None` where either is missing.
    ///
    /// # Errors
    /// Those of `take`, and [`Error::LabelNotFinite`]; the server's own errors end the statement.
    pub fn for_each(
        &self,
        mut take: impl FnMut(Option<(String, Label)>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let read = match self.task {
            Objective::Classification => read_class,
            Objective::Rating | Objective::Regression => read_number,
        };
        rows::for_each(&self.query, &[], read, |row| {
            let row = row.filter(|(text, _)| !is_blank(text));
            if let Some((_, Label::Class(class))) = &row {
                self.label.check_label(class)?;
            }
            take(row.map(|(text, label)| (shortened(text), label)))
        })
    }
}

/// Lets the server say what is wrong with a query of texts, and refuses one that a session of its own couldn't run.
///
/// # Errors
/// As [`Rows::require_readable`].
pub fn require_lasting(query: &str, texts: &[&str]) -> Result<(), Error> {
    rows::require_runs(query, texts)?;
    match rows::temporary_relation(query, texts.len())? {
        Some(name) => Err(Error::TemporaryRelation(name)),
        None => Ok(()),
    }
}

type Row = Option<(String, Label)>;

fn read_class(row: &SpiHeapTupleData<'_>) -> spi::Result<Row> {
    Ok(row.get(1)?.zip(row.get(2)?.map(Label::Class)))
}

fn read_number(row: &SpiHeapTupleData<'_>) -> spi::Result<Row> {
    Ok(row.get(1)?.zip(row.get(2)?.map(Label::Number)))
}

/// A training reads the beginning of a text only.
pub fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    }
    text
}
