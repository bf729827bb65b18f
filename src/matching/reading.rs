//! The relation's rows, compared with the question one after the other: all of them, or, where words don't count, those that an index finds.
//!
//! Invariant: the texts of two batches are held at a time: of one that the engine embeds, and of one that is being collected.

use std::collections::HashMap;

use ecommerce_ml_matching::ranking::{Matches, Ranking, RowKey};
use ecommerce_ml_protocol::is_blank;
use pgrx::spi::{self, SpiHeapTupleData};

use super::embeddings::Embeddings;
use super::lexical::Configuration;
use super::nearest::Index;
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
    /// Hashes of answer and question, the question as it is and its lexemes.
    columns: String,
    embeddings: Option<Embeddings>,
    from: String,
    condition: String,
}

impl Statement {
    fn query(&self, part: Part<'_>) -> String {
        let Self { columns, from, condition, .. } = self;
        let embedding = self.embeddings.as_ref().map_or(NO_EMBEDDING, |embeddings| &embeddings.values);
        match part {
            Part::All => format!("SELECT {columns}, {embedding}, {NO_PLACE} FROM {from} WHERE {condition}"),
            Part::Sample(sample) => {
                format!("SELECT {columns}, {NO_EMBEDDING}, {NO_PLACE} FROM {from}{sample} WHERE {condition}")
            }
            Part::Found(end) => {
                format!(
                    "SELECT {columns}, {embedding}, t.ctid::pg_catalog.text FROM {from} WHERE {condition}{end}"
                )
            }
        }
    }
}

/// Which rows are read.
#[derive(Clone, Copy)]
enum Part<'a> {
    All,
    /// For their words; what comes after the relation.
    Sample(&'a str),
    /// What comes after the condition.
    Found(&'a str),
}

const NO_EMBEDDING: &str = "NULL::pg_catalog.float4[]";
const NO_PLACE: &str = "NULL::pg_catalog.text";

/// Where in the relation rows are.
pub type Places = HashMap<RowKey, String>;

/// What was found.
pub struct Ranked {
    pub matches: Matches,
    /// Those of the rows to choose from, if these are not all of the relation's.
    pub places: Option<Places>,
}

/// What reads the rows of a question.
///
/// # Errors
/// [`Error::ColumnType`], [`Error::ArgumentValue`].
pub fn statement(question: &Question<'_>) -> Result<Statement, Error> {
    let configuration = Configuration::find(question.config)?;
    let text = question.question.as_review()?;
    let answer = question.answer.as_it_is();
    let lexemes = configuration.lexemes(&text);
    Ok(Statement {
        columns: format!("{}, {}, {}, {lexemes}", hash(answer), hash(&text), plain(&text)),
        embeddings: Embeddings::of(question)?,
        from: format!("{} AS t", question.relation.from()),
        condition: format!("{text} IS NOT NULL AND {answer}::pg_catalog.text IS NOT NULL"),
        configuration,
    })
}

/// The best of all rows.
///
/// # Errors
/// As [`super::find`].
pub fn rank(question: &Question<'_>, statement: &Statement) -> Result<Ranked, Error> {
    let terms = statement.configuration.terms(question.text)?;
    let embedded = match question.lexical_weight < 1.0 {
        true => Some(Embedded::of(question.text, question.model)?),
        false => None,
    };
    let mut reading = Reading {
        embedded: embedded.as_ref(),
        column: statement.embeddings.as_ref().map(|embeddings| embeddings.name.as_str()).unwrap_or_default(),
        ranking: Ranking::new(terms, question.lexical_weight),
        batch: Vec::new(),
        in_flight: None,
        places: None,
    };
    if !reading.take_nearest(question, statement)? {
        rows::for_each(&statement.query(Part::All), &[], read, |row| reading.take(row))?;
    }
    reading.finish(question.count)
}

struct Row {
    key: RowKey,
    text: String,
    lexemes: String,
    embedding: Option<Vec<Option<f32>>>,
    /// In the relation.
    place: Option<String>,
}

fn read(row: &SpiHeapTupleData<'_>) -> spi::Result<Row> {
    let key = RowKey { answer: row.get(1)?.unwrap_or_default(), question: row.get(2)?.unwrap_or_default() };
    let (text, lexemes) = (row.get(3)?.unwrap_or_default(), row.get(4)?.unwrap_or_default());
    Ok(Row { key, text, lexemes, embedding: row.get(5)?, place: row.get(6)? })
}

/// Rows on their way.
struct Reading<'a> {
    /// None: by words alone.
    embedded: Option<&'a Embedded>,
    column: &'a str,
    ranking: Ranking,
    batch: Vec<Row>,
    in_flight: Option<(RequestStream, Vec<Row>)>,
    /// Where the rows are, if they are not all; then a sample says how rare words are.
    places: Option<Places>,
}

impl Reading<'_> {
    /// Takes the rows that an index finds, and those without an embedding; `false` if there is none, or all rows have to be read for their words.
    fn take_nearest(&mut self, question: &Question<'_>, statement: &Statement) -> Result<bool, Error> {
        let (Some(embedded), Some(column)) = (self.embedded, &statement.embeddings) else { return Ok(false) };
        if question.lexical_weight > 0.0 {
            return Ok(false);
        }
        let Some(index) = Index::of(question.relation, column, embedded.values().len())? else {
            return Ok(false);
        };
        let run = |end: &str, embedding: &str| {
            let mut found = Vec::new();
            rows::for_each(&statement.query(Part::Found(end)), &[embedding], read, |row| {
                found.push(row);
                Ok(())
            })?;
            Ok(found)
        };
        let wanted = (embedded.values(), question.count);
        let Some(nearest) = index.rows(column, wanted, |row: &Row| row.key, run)? else { return Ok(false) };
        self.places = Some(HashMap::new());
        rows::for_each(&statement.query(Part::Sample(&index.sample())), &[], read, |row| {
            if !is_blank(&row.text) {
                self.ranking.count(&row.lexemes, &row.text);
            }
            Ok(())
        })?;
        nearest.into_iter().try_for_each(|row| self.take(row))?;
        if !index.is_complete {
            let missing = statement.query(Part::Found(&format!(" AND {}", column.missing())));
            rows::for_each(&missing, &[], read, |row| self.take(row))?;
        }
        Ok(true)
    }

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
        let Some(places) = &mut self.places else {
            return self.ranking.add(row.key, &row.lexemes, &row.text, semantic);
        };
        places.extend(row.place.clone().map(|place| (row.key, place)));
        self.ranking.add_uncounted(row.key, &row.lexemes, &row.text, semantic);
    }

    fn finish(mut self, count: usize) -> Result<Ranked, Error> {
        self.rotate()?;
        self.rotate()?;
        Ok(Ranked { matches: self.ranking.finish(count), places: self.places })
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
