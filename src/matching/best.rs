//! The texts of the rows that were chosen.
//!
//! Invariant: only these are read; a row that a view shows no more is left out.

use std::collections::HashMap;

use ecommerce_ml_matching::ranking::{Match, RowKey};
use pgrx::spi::{self, SpiHeapTupleData};

use super::reading::Places;
use super::{Question, Row, hash, plain};
use crate::error::Error;
use crate::rows;

/// Answer and question of each, in their order. `places`: where they are, if that is known.
///
/// # Errors
/// As [`rows::for_each`].
pub fn texts(question: &Question<'_>, best: &[Match], places: Option<&Places>) -> Result<Vec<Row>, Error> {
    if best.is_empty() {
        return Ok(Vec::new());
    }
    let mut texts: HashMap<RowKey, [String; 2]> = HashMap::new();
    rows::for_each(&query(question, best, places)?, &[], read, |(key, found)| {
        texts.entry(key).or_insert(found);
        Ok(())
    })?;
    let row = |one: &Match| {
        let [answer, matched_question] = texts.remove(&one.row)?;
        Some(Row { answer, matched_question, score: one.score, semantic: one.semantic, lexical: one.lexical })
    };
    Ok(best.iter().filter_map(row).collect())
}

fn query(question: &Question<'_>, best: &[Match], places: Option<&Places>) -> Result<String, Error> {
    let (text, answer) = (question.question.as_review()?, question.answer.as_it_is());
    let any = |expression: &str, of: fn(&Match) -> i64| {
        let values: Vec<String> = best.iter().map(|one| of(one).to_string()).collect();
        format!("{expression} OPERATOR(pg_catalog.=) ANY ('{{{}}}'::pg_catalog.int8[])", values.join(","))
    };
    let (of_answer, of_question) = (hash(answer), hash(&text));
    let at = places.map(|places| {
        let own: Vec<String> =
            best.iter().filter_map(|one| places.get(&one.row)).map(|place| format!("\"{place}\"")).collect();
        format!(" AND t.ctid OPERATOR(pg_catalog.=) ANY ('{{{}}}'::pg_catalog.tid[])", own.join(","))
    });
    Ok(format!(
        "SELECT {of_answer}, {of_question}, {}, {} FROM {} AS t WHERE {} AND {}{}",
        plain(answer),
        plain(&text),
        question.relation.from(),
        any(&of_question, |one| one.row.question),
        any(&of_answer, |one| one.row.answer),
        at.unwrap_or_default(),
    ))
}

fn read(row: &SpiHeapTupleData<'_>) -> spi::Result<(RowKey, [String; 2])> {
    let key = RowKey { answer: row.get(1)?.unwrap_or_default(), question: row.get(2)?.unwrap_or_default() };
    Ok((key, [row.get(3)?.unwrap_or_default(), row.get(4)?.unwrap_or_default()]))
}
