//! Answers to questions like those that a relation has answers to.
//!
//! # Layout
//! - [`embeddings`]: where embeddings of its questions are kept.
//! - [`reading`]: the relation's rows, compared with the question one after the other.
//! - [`nearest`]: those that an index of pgvector's finds.
//! - [`lexical`]: lexemes by the server's text search.
//! - [`semantic`]: embeddings compared, those of a column or computed now.
//! - [`best`]: the texts of the rows that were chosen.
//!
//! It must not know how rows are scored: that is `ecommerce_ml_matching`'s. Invariant: the relation is read by statements of the
//! calling role, so privileges and row security hold, and memory grows with the number of its rows, not with their texts.

mod best;
mod embeddings;
mod lexical;
mod nearest;
mod reading;
mod semantic;

use ecommerce_ml_matching::ranking::Matches;
use ecommerce_ml_protocol::is_blank;
use pgrx::pg_sys;

use crate::error::Error;
use crate::inference::check_length;
use crate::relation::{Column, Relation};
use reading::Ranked;

/// What is asked.
pub struct Question<'a> {
    /// The question.
    pub text: &'a str,
    pub relation: &'a Relation,
    /// Questions that have answers.
    pub question: &'a Column,
    pub answer: &'a Column,
    /// Embeddings of those questions by the same model. NULL in a row: computed now. None: those of a kept column, if there is one.
    pub embedding: Option<&'a Column>,
    /// None: the default one.
    pub model: Option<&'a str>,
    /// How many answers, at most.
    pub count: usize,
    /// What the first answer's probability of being right has to be at least; from 0 to 1.
    pub min_confidence: f64,
    /// Part of the lexical score, from 0 to 1; of 1, no model is asked.
    pub lexical_weight: f64,
    /// Text search configuration.
    pub config: pg_sys::Oid,
}

/// An answer.
pub struct Row {
    pub answer: String,
    /// The question of the relation that is most like the one that is asked, of those with this answer.
    pub matched_question: String,
    pub score: f64,
    pub semantic: Option<f64>,
    pub lexical: f64,
}

/// Answers, the best first, and the probability that the first one is right.
#[derive(Default)]
pub struct Found {
    pub rows: Vec<Row>,
    pub confidence: f64,
}

/// The answers whose questions are most like this one; none if even the first is too unlikely to be right.
///
/// # Errors
/// [`Error::ArgumentValue`], [`Error::ColumnType`], [`Error::EmbeddingWidth`], [`Error::ValueNotFinite`], [`Error::TextTooLong`],
/// [`Error::ReadsColumns`], those of the engine; the server's own for a relation that the role may not read.
pub fn find(question: &Question<'_>) -> Result<Found, Error> {
    for (argument, value) in
        [("min_confidence", question.min_confidence), ("lexical_weight", question.lexical_weight)]
    {
        if !(0.0..=1.0).contains(&value) {
            return Err(Error::ArgumentValue { argument, expected: "between 0 and 1" });
        }
    }
    let statement = reading::statement(question)?;
    check_length(question.text)?;
    if is_blank(question.text) {
        return Ok(Found::default());
    }
    let Ranked { matches: Matches { best, confidence }, places } = reading::rank(question, &statement)?;
    if confidence < question.min_confidence {
        return Ok(Found::default());
    }
    Ok(Found { rows: best::texts(question, &best, places.as_ref())?, confidence })
}

/// The text of an expression, compared byte by byte.
fn plain(text: &str) -> String {
    format!("({text}::pg_catalog.text COLLATE pg_catalog.\"C\")")
}

/// A number that stands for a text.
fn hash(text: &str) -> String {
    format!("pg_catalog.hashtextextended({}, 0)", plain(text))
}
