//! Rows through a model while the next are read.
//!
//! Invariant: no more than two batches of inputs are held: one that the engine works on, and one that is being collected.

use std::rc::Rc;

use ecommerce_ml_protocol::{Input, Output, Prediction, is_blank};

use crate::catalog::resolve::Resolved;
use crate::columns::{RowsBuilder, TupleReader};
use crate::error::Error;
use crate::guc;
use crate::inference::{RequestStream, check_length};
use crate::relation::Column;
use crate::rows::Tuple;

/// Most bytes in a batch; a single longer text goes with what was collected before.
const BATCH_BYTES: usize = 4 << 20;

/// Rows on their way through a model: inputs, and what each should be answered with.
pub struct Pipeline<'a, T> {
    model: &'a Rc<Resolved>,
    /// What the model reads, if that is columns.
    columns: &'a [Column],
    batch: InputBatch,
    targets: Vec<T>,
    in_flight: Option<(RequestStream, Vec<T>)>,
}

/// Inputs that are being collected.
enum InputBatch {
    Texts { texts: Vec<String>, bytes: usize },
    Rows { rows: RowsBuilder, reader: TupleReader },
}

impl InputBatch {
    fn new(model: &Resolved, columns: &[Column]) -> Result<Self, Error> {
        let Some(fields) = &model.columns else { return Ok(Self::Texts { texts: Vec::new(), bytes: 0 }) };
        let types: Vec<_> = columns.iter().map(Column::type_oid).collect();
        // SAFETY: types that columns have exist.
        let reader = unsafe { TupleReader::new(&types) };
        let reader = reader.ok_or(Error::Unexpected("a column of an unknown type"))?;
        Ok(Self::Rows { rows: RowsBuilder::new(fields), reader })
    }

    fn is_full(&self) -> bool {
        match self {
            Self::Texts { texts, bytes } => texts.len() >= guc::batch_size() || *bytes >= BATCH_BYTES,
            Self::Rows { rows, .. } => rows.len() >= guc::batch_size() || rows.bytes() >= BATCH_BYTES,
        }
    }

    /// Adds what the last columns of a row hold, the first of which has this number; `false` if there is nothing to read.
    fn add(&mut self, tuple: &Tuple, first: i32) -> Result<bool, Error> {
        match self {
            Self::Texts { texts, bytes } => {
                let text = tuple.get::<String>(first)?.filter(|text| !is_blank(text));
                let Some(text) = text else { return Ok(false) };
                check_length(&text)?;
                *bytes += text.len();
                texts.push(text);
            }
            // SAFETY: a row of the query, whose last columns are those of the reader.
            Self::Rows { rows, reader } => unsafe { reader.read(tuple.row(), tuple.description(), rows) },
        }
        Ok(true)
    }

    fn input(self) -> Input {
        match self {
            Self::Texts { texts, .. } => Input::Texts(texts),
            Self::Rows { rows, .. } => Input::Rows(rows.finish()),
        }
    }
}

impl<'a, T> Pipeline<'a, T> {
    /// An empty one, for a model that reads these columns or a text.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for columns that no model reads.
    pub fn new(model: &'a Rc<Resolved>, columns: &'a [Column]) -> Result<Self, Error> {
        let batch = InputBatch::new(model, columns)?;
        Ok(Self { model, columns, batch, targets: Vec::new(), in_flight: None })
    }

    /// Takes a row in, whose columns from this number on are read; `false` if there is nothing to read. `target` is only asked for
    /// if there is.
    ///
    /// # Errors
    /// [`Error::TextTooLong`], and that of `target`.
    pub fn push(
        &mut self,
        tuple: &Tuple,
        first: i32,
        target: impl FnOnce() -> Result<T, Error>,
    ) -> Result<bool, Error> {
        let added = self.batch.add(tuple, first)?;
        if added {
            self.targets.push(target()?);
        }
        Ok(added)
    }

    /// Goes on if enough rows have come; `take` gets earlier rows with their predictions, none for a text that is blank or that the
    /// model can't read.
    ///
    /// # Errors
    /// Those of the engine, and those of `take`.
    pub fn advance(
        &mut self,
        take: &mut impl FnMut(T, Option<Prediction<'_>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.batch.is_full() { self.rotate(take) } else { Ok(()) }
    }

    /// Waits for all rows that are on their way.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn finish(
        mut self,
        take: &mut impl FnMut(T, Option<Prediction<'_>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.rotate(take)?;
        self.rotate(take)
    }

    /// Sends what was collected, then waits for what was sent before.
    fn rotate(
        &mut self,
        take: &mut impl FnMut(T, Option<Prediction<'_>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let batch = std::mem::replace(&mut self.batch, InputBatch::new(self.model, self.columns)?);
        let (input, targets) = (batch.input(), std::mem::take(&mut self.targets));
        let sent = match input.is_empty() {
            true => None,
            false => Some((RequestStream::submit(Output::Prediction, self.model, input)?, targets)),
        };
        let Some((stream, targets)) = std::mem::replace(&mut self.in_flight, sent) else { return Ok(()) };
        let answers = stream.finish()?;
        targets.into_iter().enumerate().try_for_each(|(row, target)| take(target, answers.prediction(row)?))
    }
}
