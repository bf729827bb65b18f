//! The relation's rows, compared with the question one after the other.
//!
//! Invariant: the texts of two batches are held at a time: of one that the engine embeds, and of one that is being collected.

use ecommerce_ml_matching::ranking::{Matches, Ranking, RowKey};
use ecommerce_ml_protocol::is_blank;
use pgrx::spi::{self, SpiHeapTupleData};

use super::lexical::Configuration;
use super::semantic::Embedded;
use super::{Question, hash, plain};
use crate::error::Error;
use crate::inference::RequestStream;
use crate::rows;

/// Texts that are embedded together.
const BATCH: usize = 256;

/// What reads the rows.
pub struct Statement {
    configuration: Configuration,
    query: String,
}

/// Hashes of answer and question, the question as it is and its lexemes, and its embedding where there is one.
///
/// # Errors
/// [`Error::ColumnType`], [`Error::ArgumentValue`].
pub fn statement(question: &Question<'_>) -> Result<Statement, Error> {
    let configuration = Configuration::find(question.config)?;
    let text = question.question.as_review()?;
    let answer = question.answer.as_it_is();
    let embedding = question
        .embedding
        .map_or_else(|| Ok("NULL::pg_catalog.float4[]".to_owned()), |column| column.as_embedding())?;
    let query = format!(
        "SELECT {}, {}, {}, {}, {embedding} FROM {} AS t WHERE {text} IS NOT NULL AND {answer}::pg_catalog.text IS NOT NULL",
        hash(answer),
        hash(&text),
        plain(&text),
        configuration.lexemes(&text),
        question.relation.from(),
    );
    Ok(Statement { configuration, query })
}

/// The best of all rows.
///
/// # Errors
/// As [`super::find`].
pub fn rank(question: &Question<'_>, statement: &Statement) -> Result<Matches, Error> {
    let terms = statement.configuration.terms(question.text)?;
    let embedded = match question.lexical_weight < 1.0 {
        true => Some(Embedded::of(question.text, question.model)?),
        false => None,
    };
    let mut reading = Reading {
        embedded: embedded.as_ref(),
        column: question.embedding.map(|column| column.name()).unwrap_or_default(),
        ranking: Ranking::new(terms, question.lexical_weight),
        batch: Vec::new(),
        in_flight: None,
    };
    rows::for_each(&statement.query, &[], read, |row| reading.take(row))?;
    Ok(reading.finish()?.finish(question.count))
}

struct Row {
    key: RowKey,
    text: String,
    lexemes: String,
    embedding: Option<Vec<Option<f32>>>,
}

fn read(row: &SpiHeapTupleData<'_>) -> spi::Result<Row> {
    let key = RowKey { answer: row.get(1)?.unwrap_or_default(), question: row.get(2)?.unwrap_or_default() };
    let (text, lexemes) = (row.get(3)?.unwrap_or_default(), row.get(4)?.unwrap_or_default());
    Ok(Row { key, text, lexemes, embedding: row.get(5)? })
}

/// Rows on their way.
struct Reading<'a> {
    /// None: by words alone.
    embedded: Option<&'a Embedded>,
    column: &'a str,
    ranking: Ranking,
    batch: Vec<Row>,
    in_flight: Option<(RequestStream, Vec<Row>)>,
}

impl Reading<'_> {
    fn take(&mut self, row: Row) -> Result<(), Error> {
        if is_blank(&row.text) {
            return Ok(());
        }
        match (self.embedded, &row.embedding) {
            (None, _) => self.add(&row, None),
            (Some(embedded), Some(kept)) => {
                let semantic = embedded.compare(self.column, kept)?;
                self.add(&row, semantic);
            }
            (Some(_), None) => {
                self.batch.push(row);
                if self.batch.len() >= BATCH {
                    self.rotate()?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, row: &Row, semantic: Option<f32>) {
        self.ranking.add(row.key, &row.lexemes, &row.text, semantic);
    }

    fn finish(mut self) -> Result<Ranking, Error> {
        self.rotate()?;
        self.rotate()?;
        Ok(self.ranking)
    }

    /// Sends what was collected, then waits for what was sent before.
    fn rotate(&mut self) -> Result<(), Error> {
        let Some(embedded) = self.embedded else { return Ok(()) };
        let batch = std::mem::take(&mut self.batch);
        let sent = match batch.is_empty() {
            true => None,
            false => {
                let texts = batch.iter().map(|row| row.text.clone()).collect();
                Some((embedded.submit(texts)?, batch))
            }
        };
        let Some((stream, batch)) = std::mem::replace(&mut self.in_flight, sent) else { return Ok(()) };
        let found = embedded.compare_submitted(stream, batch.len())?;
        for (row, semantic) in batch.iter().zip(found) {
            self.add(row, semantic);
        }
        Ok(())
    }
}
