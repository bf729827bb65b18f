//! Which rows are read: as many of the period that is reported on as of the one before and of all earlier ones together, as far as
//! there are so many, those with the least hashes of their texts.
//!
//! Invariant: the same rows give the same sample, whatever their order, and reviews with the same text are read together.

use ecommerce_ml_report::spans::Spans;

use super::Columns;
use super::counts::{Expressions, is_of};

/// Rows of product, day, stars, text, place in an order that has nothing to do with what texts say, and whether they are of one of the
/// two periods; by text.
pub fn query(columns: &Columns<'_>, sources: &Expressions, spans: Spans, sample: u64) -> String {
    let Expressions { text, product, day, stars, .. } = sources;
    let earlier = spans.before().filter(|before| *before > spans.first).and_then(|before| {
        let ((first, _), (_, last)) = (spans.days(spans.first)?, spans.days(before - 1)?);
        Some(format!("(q.day OPERATOR(pg_catalog.>=) {first} AND q.day OPERATOR(pg_catalog.<=) {last})"))
    });
    let current = Some(is_of(spans, spans.current));
    let before = spans.before().map(|before| is_of(spans, before));
    let order = "hash, q.review, q.product, q.day, q.stars";
    // One after the other, so that the server keeps no more than a sample of each.
    let stratum = |(number, condition): (usize, String)| {
        format!(
            "(SELECT {number}::pg_catalog.int8 AS stratum, q.*, pg_catalog.hashtextextended(q.review, 42) AS hash
              FROM (SELECT {product} AS product, {day} AS day, {stars} AS stars,
                           {text} COLLATE pg_catalog.\"C\" AS review FROM {} AS t) AS q
              WHERE {condition} AND q.review OPERATOR(pg_catalog.~) '[^[:space:]]'
              ORDER BY {order} LIMIT {sample})",
            columns.relation.from()
        )
    };
    let strata = [current, before, earlier].into_iter().enumerate();
    let strata =
        strata.filter_map(|(number, condition)| condition.map(|condition| stratum((number, condition))));
    format!(
        "SELECT s.product, s.day, s.stars, s.review, s.place OPERATOR(pg_catalog.*) 4 OPERATOR(pg_catalog.+) s.stratum,
                s.stratum OPERATOR(pg_catalog.<) 2
         FROM (SELECT q.*, pg_catalog.row_number() OVER (PARTITION BY q.stratum ORDER BY {order}) AS place
               FROM ({}) AS q
               ORDER BY place, q.stratum LIMIT {sample}) AS s
         ORDER BY s.review, s.day, s.product, s.stars",
        strata.collect::<Vec<_>>().join(" UNION ALL ")
    )
}
