//! The aspects that reviews speak of.

use std::ffi::CStr;

use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{name, pg_extern, pg_sys};

use super::columns::column_name;
use crate::aspects::{self, summary};
use crate::relation::Relation;

/// What a review says of each aspect, clause by clause. Of no review there is nothing to say.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn predict_aspects(
    review: Option<&str>,
    aspects: Option<Vec<Option<String>>>,
    model: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(aspect, String),
            name!(sentiment, Option<String>),
            name!(score, Option<f32>),
            name!(start, i32),
            name!(length, i32),
        ),
    >,
    ErrorReport,
> {
    let Some(review) = review else { return Ok(TableIterator::empty()) };
    Ok(TableIterator::new(aspects::predict(review, aspects, model)?))
}

/// What the reviews of each key say of each aspect. Without a relation or a text there is nothing to say.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn summarize_aspects(
    relation: Option<pg_sys::Oid>,
    text_column: Option<&CStr>,
    key_column: Option<&CStr>,
    aspects: Option<Vec<Option<String>>>,
    model: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(key, Option<String>),
            name!(aspect, String),
            name!(reviews, i64),
            name!(negative, i64),
            name!(neutral, i64),
            name!(positive, i64),
            name!(score, Option<f64>),
            name!(worst, Option<String>),
            name!(best, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let Some((relation, text)) = relation.zip(text_column) else { return Ok(TableIterator::empty()) };
    let relation = Relation::open(relation)?;
    let text = relation.column_named(&column_name(text))?;
    let key = key_column.map(|key| relation.column_named(&column_name(key))).transpose()?;
    let rows = summary::summarize(&relation, (&text, key.as_ref()), aspects, model)?;
    let row = |(key, aspect, found): summary::Row| {
        let counts = (found.reviews, found.negative, found.neutral, found.positive);
        (key, aspect, counts.0, counts.1, counts.2, counts.3, found.score, found.worst, found.best)
    };
    Ok(TableIterator::new(rows.into_iter().map(row).collect::<Vec<_>>()))
}
