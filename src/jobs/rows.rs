//! The rows of a job.
//!
//! It must not know what they are read for. Invariant: whoever reads the rows of a job gets the same inputs, labels and times, as
//! the current role may see them now.

use ecommerce_ml_protocol::training::{Label, Objective, TrainingInput, TrainingRows};
use ecommerce_ml_protocol::{Field, Input, MAX_TEXT_BYTES, is_blank};
use pgrx::pg_sys;

use super::reads::{Reads, condition};
use crate::catalog::jobs::Job;
use crate::columns::{RowsBuilder, TupleReader, timestamp};
use crate::error::Error;
use crate::relation::{Column, Relation};
use crate::rows::{self, TakeTuples, Tuple};

/// Most rows of a batch of texts, each of which may have other words too; and of columns.
const MAX_TEXTS: usize = 256;
const MAX_ROWS: usize = 4096;
/// Bytes after which a batch is full.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Rows that can be read.
pub struct Rows {
    pub reads: Reads,
    query: String,
    task: Objective,
}

impl Rows {
    /// Those that the job's relation has now. A job that goes on reads the columns that it has read before.
    ///
    /// # Errors
    /// Those of [`Reads`]; [`Error::InvalidOption`] for a `where` that is no text.
    pub fn of(job: &Job, before: Option<&[String]>) -> Result<Self, Error> {
        let relation = Relation::named(&job.relation)?;
        let reads = Reads::of(&relation, &job.arguments, job.task, before)?;
        let query = query(&relation, &reads, job)?;
        Ok(Self { reads, query, task: job.task })
    }

    /// Lets the server say what keeps the current role from reading them, and refuses what only this session can read.
    ///
    /// # Errors
    /// [`Error::TemporaryRelation`], those of opening a cursor; the server's own errors end the statement.
    pub fn require_readable(&self) -> Result<(), Error> {
        require_lasting(&self.query, &[])
    }

    /// Hands out what can be learned from, some rows at a time, with the number of rows that were passed over meanwhile: those
    /// without a label, a time, a text or a key.
    ///
    /// # Errors
    /// Those of `take`, [`Error::LabelNotFinite`] and [`Error::LabelRangeEmpty`]; the server's own errors end the statement.
    pub fn for_each_batch(
        &self,
        take: impl FnMut(TrainingRows, i64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut batches = Batches { batch: Batch::new(self)?, rows: self, take };
        rows::for_each_tuple(&self.query, &mut batches)?;
        batches.flush()
    }
}

/// Label first, then the time if there is one, then what is read.
fn query(relation: &Relation, reads: &Reads, job: &Job) -> Result<String, Error> {
    let label = match (&reads.label, job.task) {
        (None, _) => "1::pg_catalog.float8".to_owned(),
        (Some(label), Objective::Classification) => label.as_label()?,
        (Some(label), Objective::Rating) => label.as_number_or_range()?,
        (Some(label), _) => label.as_number()?,
    };
    let mut columns = vec![label];
    columns.extend(reads.time.as_ref().map(|time| time.as_it_is().to_owned()));
    match &reads.input {
        TrainingInput::Text => columns.extend(reads.columns.first().map(Column::as_review).transpose()?),
        TrainingInput::Columns { .. } => {
            columns.extend(reads.columns.iter().map(|column| column.as_it_is().to_owned()));
        }
        TrainingInput::Events { keys, .. } => {
            let (keyed, others) = reads.columns.split_at(keys.len().min(reads.columns.len()));
            columns.extend(keyed.iter().map(Column::as_key));
            columns.extend(others.iter().map(|column| column.as_it_is().to_owned()));
        }
    }
    let condition = condition(&job.arguments.options)?;
    Ok(format!("SELECT {} FROM {} AS t{condition}", columns.join(", "), relation.from()))
}

/// Rows on their way out.
struct Batches<'a, F> {
    rows: &'a Rows,
    batch: Batch,
    take: F,
}

/// Rows that are being collected.
struct Batch {
    input: BatchInput,
    labels: Vec<Label>,
    times: Vec<i64>,
    skipped: i64,
}

enum BatchInput {
    Texts {
        texts: Vec<String>,
        bytes: usize,
    },
    /// The first `keys` columns say what a row belongs to.
    Columns {
        rows: RowsBuilder,
        reader: TupleReader,
        keys: i32,
    },
}

impl Batch {
    fn new(rows: &Rows) -> Result<Self, Error> {
        let input = match &rows.reads.input {
            TrainingInput::Text => BatchInput::Texts { texts: Vec::new(), bytes: 0 },
            TrainingInput::Columns { fields, .. } => Self::columns(&rows.reads.columns, fields, 0)?,
            TrainingInput::Events { keys, fields } => Self::columns(&rows.reads.columns, fields, keys.len())?,
        };
        Ok(Self { input, labels: Vec::new(), times: Vec::new(), skipped: 0 })
    }

    /// Room for columns, of which the first `keys` come as texts.
    fn columns(columns: &[Column], fields: &[Field], keys: usize) -> Result<BatchInput, Error> {
        let type_oid = |(place, column): (usize, &Column)| {
            if place < keys { pg_sys::TEXTOID } else { column.type_oid() }
        };
        let types: Vec<_> = columns.iter().enumerate().map(type_oid).collect();
        // SAFETY: types that columns have exist.
        let reader = unsafe { TupleReader::new(&types) };
        let reader = reader.ok_or(Error::Unexpected("a column of an unknown type"))?;
        let keys = i32::try_from(keys).unwrap_or(i32::MAX);
        Ok(BatchInput::Columns { rows: RowsBuilder::new(fields), reader, keys })
    }

    fn is_full(&self) -> bool {
        match &self.input {
            BatchInput::Texts { texts, bytes } => texts.len() >= MAX_TEXTS || *bytes >= MAX_BATCH_BYTES,
            BatchInput::Columns { rows, .. } => rows.len() >= MAX_ROWS || rows.bytes() >= MAX_BATCH_BYTES,
        }
    }

    /// Adds what is read of a row; `false` if there is nothing to read.
    fn add(&mut self, tuple: &Tuple, first: i32) -> Result<bool, Error> {
        match &mut self.input {
            BatchInput::Texts { texts, bytes } => {
                let text = tuple.get::<String>(first)?.filter(|text| !is_blank(text));
                let Some(text) = text.map(shortened) else { return Ok(false) };
                *bytes += text.len();
                texts.push(text);
            }
            BatchInput::Columns { rows, reader, keys } => {
                if (first..first.saturating_add(*keys)).any(|place| tuple.datum(place).is_none()) {
                    return Ok(false);
                }
                // SAFETY: a row of the query, whose last columns are those of the reader.
                unsafe { reader.read(tuple.row(), tuple.description(), rows) };
            }
        }
        Ok(true)
    }
}

impl<F: FnMut(TrainingRows, i64) -> Result<(), Error>> Batches<'_, F> {
    fn flush(&mut self) -> Result<(), Error> {
        let Batch { input, labels, times, skipped } =
            std::mem::replace(&mut self.batch, Batch::new(self.rows)?);
        let input = match input {
            BatchInput::Texts { texts, .. } => Input::Texts(texts),
            BatchInput::Columns { rows, .. } => Input::Rows(rows.finish()),
        };
        (self.take)(TrainingRows { input, labels, times, paraphrases: Vec::new() }, skipped)
    }

    fn label(&self, tuple: &Tuple) -> Result<Option<Label>, Error> {
        match (self.rows.task, &self.rows.reads.label) {
            (Objective::Classification, Some(column)) => {
                let class = tuple.get::<String>(1)?;
                class.iter().try_for_each(|class| column.check_label(class))?;
                Ok(class.map(Label::Class))
            }
            (Objective::Rating, Some(column)) if column.is_range() => {
                tuple.get::<Vec<f64>>(1)?.map(|bounds| range(&bounds)).transpose()
            }
            _ => Ok(tuple.get::<f64>(1)?.map(Label::Number)),
        }
    }
}

impl<F: FnMut(TrainingRows, i64) -> Result<(), Error>> TakeTuples for Batches<'_, F> {
    fn take(&mut self, tuple: &Tuple) -> Result<(), Error> {
        let has_time = self.rows.reads.time.is_some();
        // SAFETY: a value of the type that comes with it.
        let time = || tuple.datum(2).and_then(|(value, type_oid)| unsafe { timestamp(value, type_oid) });
        let time = has_time.then(time);
        let is_readable = match (self.label(tuple)?, time) {
            (None, _) | (_, Some(None)) => false,
            (Some(label), time) => {
                let added = self.batch.add(tuple, if has_time { 3 } else { 2 })?;
                if added {
                    self.batch.labels.push(label);
                    self.batch.times.extend(time.flatten());
                }
                added
            }
        };
        self.batch.skipped += i64::from(!is_readable);
        Ok(())
    }

    fn pause(&mut self) -> Result<(), Error> {
        if self.batch.is_full() { self.flush() } else { Ok(()) }
    }
}

/// The label of a range with these bounds, each of which belongs to it or doesn't: the next whole number is the last one then.
fn range(bounds: &[f64]) -> Result<Label, Error> {
    let &[lowest, highest, has_lowest, has_highest] = bounds else { return Err(Error::LabelRangeEmpty) };
    let lowest = if has_lowest == 0.0 && lowest.fract() == 0.0 { lowest + 1.0 } else { lowest };
    let highest = if has_highest == 0.0 && highest.fract() == 0.0 { highest - 1.0 } else { highest };
    Ok(Label::Range(lowest, highest))
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

/// A training reads the beginning of a text only.
pub fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    }
    text
}
