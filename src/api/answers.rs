//! Answers to questions like earlier ones.

use std::ffi::CStr;

use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{name, pg_extern, pg_sys};

use super::arguments::size;
use super::columns::column_name;
use crate::matching;
use crate::relation::Relation;

/// Answers, unless a call says how many.
const COUNT: i32 = 5;
/// Likelier right than wrong.
const MIN_CONFIDENCE: f64 = 0.5;
/// Best on the validation rows of CLINC150, see `benches/answers`.
const LEXICAL_WEIGHT: f64 = 0.7;

/// The answers whose questions are most like this one. Without a question, a relation, its columns or a way to read words
/// there is nothing to say.
#[pg_extern]
#[allow(clippy::type_complexity, clippy::too_many_arguments)]
fn match_answers(
    question: Option<&str>,
    relation: Option<pg_sys::Oid>,
    question_column: Option<&CStr>,
    answer_column: Option<&CStr>,
    count: Option<i32>,
    embedding_column: Option<&CStr>,
    model: Option<&str>,
    min_confidence: Option<f64>,
    lexical_weight: Option<f64>,
    config: Option<pg_sys::Oid>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(rank, i32),
            name!(answer, String),
            name!(matched_question, String),
            name!(score, f64),
            name!(semantic_score, Option<f64>),
            name!(lexical_score, f64),
            name!(confidence, f64),
        ),
    >,
    ErrorReport,
> {
    let columns = relation.zip(question_column).zip(answer_column);
    let (Some((text, ((relation, asked), answer))), Some(config)) = (question.zip(columns), config) else {
        return Ok(TableIterator::empty());
    };
    let relation = Relation::open(relation)?;
    let column = |name: &CStr| relation.column_named(&column_name(name));
    let (asked, answer) = (column(asked)?, column(answer)?);
    let embedding = embedding_column.map(column).transpose()?;
    let found = matching::find(&matching::Question {
        text,
        relation: &relation,
        question: &asked,
        answer: &answer,
        embedding: embedding.as_ref(),
        model,
        count: size("count", count.unwrap_or(COUNT))?,
        min_confidence: min_confidence.unwrap_or(MIN_CONFIDENCE),
        lexical_weight: lexical_weight.unwrap_or(LEXICAL_WEIGHT),
        config,
    })?;
    let confidence = found.confidence;
    Ok(TableIterator::new((1..).zip(found.rows).map(move |(rank, row)| {
        (rank, row.answer, row.matched_question, row.score, row.semantic, row.lexical, confidence)
    })))
}
