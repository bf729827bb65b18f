//! Rows of a condition.
//!
//! Invariant: the same rows in the same order give the same sample.

use std::rc::Rc;

use ecommerce_ml_drift::Sample;
use ecommerce_ml_protocol::{Input, is_blank};
use pgrx::Spi;

use super::Columns;
use super::predictions::{Predictions, Target};
use crate::catalog::resolve::Resolved;
use crate::columns::{RowsBuilder, TupleReader};
use crate::error::Error;
use crate::evaluation::{ModelClasses, selected};
use crate::guc;
use crate::inference::check_length;
use crate::relation::{Column, Relation};
use crate::rows::{self, TakeTuples, Tuple};

/// Most bytes of a batch; a single longer text goes with what was collected before.
const BATCH_BYTES: usize = 4 << 20;

/// At most so many rows for which a condition holds, chosen by chance, and what the model says of them.
///
/// # Errors
/// Those of the engine; the server's own end the statement.
pub fn sample(
    model: &Rc<Resolved>,
    relation: &Relation,
    columns: &Columns,
    condition: Option<&str>,
    most: usize,
) -> Result<Sample, Error> {
    // On lines of its own, so that a comment at its end hides nothing of ours.
    let condition = condition.map_or_else(String::new, |condition| format!(" WHERE (\n{condition}\n)"));
    let from = format!("FROM {} AS t{condition}", relation.from());
    let rows = Spi::get_one::<i64>(&format!("SELECT pg_catalog.count(*) {from}"))?.unwrap_or_default();
    let rows = usize::try_from(rows).unwrap_or_default();
    let mut reading = Reading::new(model, columns, rows.min(most))?;
    rows::for_each_tuple(&query(model, columns, &from, rows, most)?, &mut reading)?;
    reading.finish()
}

/// Label first, then what is read, of rows that a hash of their number chooses.
fn query(model: &Resolved, columns: &Columns, from: &str, rows: usize, most: usize) -> Result<String, Error> {
    let label = match &columns.label {
        None => "NULL::pg_catalog.text".to_owned(),
        Some(label) if model.signature.labels.is_empty() => label.as_number()?,
        Some(label) => label.as_label()?,
    };
    let inputs = selected(model, &columns.inputs)?;
    if rows <= most {
        return Ok(format!("SELECT {label}, {} {from}", inputs.join(", ")));
    }
    let named: Vec<String> =
        inputs.iter().enumerate().map(|(at, input)| format!("{input} AS c{at}")).collect();
    let names: Vec<String> = (0..inputs.len()).map(|at| format!("q.c{at}")).collect();
    Ok(format!(
        "SELECT q.label, {} FROM (SELECT {label} AS label, {}, pg_catalog.row_number() OVER () AS number {from}) AS q
         WHERE (pg_catalog.hashint8extended(q.number, 0) OPERATOR(pg_catalog.&) 9223372036854775807)
               OPERATOR(pg_catalog.%) {rows} OPERATOR(pg_catalog.<) {most}",
        names.join(", "),
        named.join(", "),
    ))
}

/// Rows on their way.
struct Reading<'a> {
    model: &'a Rc<Resolved>,
    columns: &'a Columns,
    classes: Option<ModelClasses>,
    batch: Batch,
    /// One for each row of the batch.
    targets: Vec<Option<Target>>,
    predictions: Predictions<'a>,
}

/// Inputs that are being collected.
enum Batch {
    Texts { texts: Vec<String>, bytes: usize },
    Rows { rows: RowsBuilder, reader: TupleReader },
}

impl Batch {
    fn new(model: &Resolved, inputs: &[Column]) -> Result<Self, Error> {
        let Some(fields) = &model.columns else { return Ok(Self::Texts { texts: Vec::new(), bytes: 0 }) };
        let types: Vec<_> = inputs.iter().map(Column::type_oid).collect();
        // SAFETY: types that columns have exist.
        let reader = unsafe { TupleReader::new(&types) };
        let reader = reader.ok_or(Error::Unexpected("a column of an unknown type"))?;
        Ok(Self::Rows { rows: RowsBuilder::new(fields), reader })
    }

    fn is_full(&self) -> bool {
        let (count, bytes) = match self {
            Self::Texts { texts, bytes } => (texts.len(), *bytes),
            Self::Rows { rows, .. } => (rows.len(), rows.bytes()),
        };
        count >= guc::batch_size() || bytes >= BATCH_BYTES
    }

    fn input(self) -> Input {
        match self {
            Self::Texts { texts, .. } => Input::Texts(texts),
            Self::Rows { rows, .. } => Input::Rows(rows.finish()),
        }
    }
}

impl<'a> Reading<'a> {
    fn new(model: &'a Rc<Resolved>, columns: &'a Columns, expected: usize) -> Result<Self, Error> {
        let labels = &model.signature.labels;
        let label = columns.label.as_ref().filter(|_| !labels.is_empty());
        let classes =
            label.map(|label| label.kind().map(|kind| ModelClasses::of(labels, kind))).transpose()?;
        Ok(Self {
            model,
            columns,
            classes,
            batch: Batch::new(model, &columns.inputs)?,
            targets: Vec::new(),
            predictions: Predictions::new(model, expected),
        })
    }

    fn target(&self, tuple: &Tuple) -> Result<Option<Target>, Error> {
        match (&self.columns.label, &self.classes) {
            (None, _) => Ok(None),
            (Some(_), Some(classes)) => {
                let label = tuple.get::<String>(1)?;
                Ok(label.map(|label| Target::Class(classes.target(&label).map(|target| target.class))))
            }
            (Some(_), None) => Ok(tuple.get::<f64>(1)?.map(Target::Number)),
        }
    }

    fn rotate(&mut self) -> Result<(), Error> {
        let batch = std::mem::replace(&mut self.batch, Batch::new(self.model, &self.columns.inputs)?);
        self.predictions.add(batch.input(), std::mem::take(&mut self.targets))
    }

    fn finish(mut self) -> Result<Sample, Error> {
        self.rotate()?;
        self.predictions.finish()
    }
}

impl TakeTuples for Reading<'_> {
    fn take(&mut self, tuple: &Tuple) -> Result<(), Error> {
        let target = self.target(tuple)?;
        match &mut self.batch {
            Batch::Texts { texts, bytes } => {
                let Some(text) = tuple.get::<String>(2)?.filter(|text| !is_blank(text)) else {
                    self.predictions.add_blank();
                    return Ok(());
                };
                check_length(&text)?;
                *bytes += text.len();
                texts.push(text);
            }
            // SAFETY: a row of the query, whose last columns are those of the reader.
            Batch::Rows { rows, reader } => unsafe { reader.read(tuple.row(), tuple.description(), rows) },
        }
        self.targets.push(target);
        Ok(())
    }

    fn pause(&mut self) -> Result<(), Error> {
        if self.batch.is_full() { self.rotate() } else { Ok(()) }
    }
}
