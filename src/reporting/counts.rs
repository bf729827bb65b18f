//! All rows, counted by day and by product.
//!
//! Invariant: sums are those of exact numbers, so they don't depend on the order in which the server reads rows.

use ecommerce_ml_metrics::drivers::Sums;
use ecommerce_ml_report::input::{Cell, Counts, Day, Product};
use ecommerce_ml_report::spans::Spans;
use pgrx::Spi;
use pgrx::spi::{self, SpiHeapTupleData};

use super::Columns;
use crate::error::Error;
use crate::rows;

/// Most products of the two periods: they take some 400 bytes each.
const MOST_PRODUCTS: usize = 250_000;

/// The columns as expressions over a row of the relation.
pub struct Expressions {
    pub text: String,
    /// NULL if there is none.
    pub product: String,
    /// Days since 1970-01-01; NULL without one.
    pub day: String,
    /// Stars as they are.
    pub given: String,
    /// The same from 1 to 5; NULL for others.
    pub stars: String,
}

impl Expressions {
    /// # Errors
    /// [`Error::ColumnType`].
    pub fn of(columns: &Columns<'_>) -> Result<Self, Error> {
        let product = columns.product.map_or_else(
            || "NULL::pg_catalog.text".to_owned(),
            |product| format!("({})::pg_catalog.text COLLATE pg_catalog.\"C\"", product.as_key()),
        );
        let day = match columns.time {
            None => "0::pg_catalog.int8".to_owned(),
            Some(time) => {
                time.require_time()?;
                let time = time.as_it_is();
                format!(
                    "CASE WHEN pg_catalog.isfinite({time}) THEN \
                     ({time}::pg_catalog.date OPERATOR(pg_catalog.-) '1970-01-01'::pg_catalog.date)::pg_catalog.int8 END"
                )
            }
        };
        let given = columns.rating.map(crate::relation::Column::as_number).transpose()?;
        let given = given.unwrap_or_else(|| "NULL::pg_catalog.float8".to_owned());
        let stars = format!(
            "CASE WHEN {given} OPERATOR(pg_catalog.>=) 1 AND {given} OPERATOR(pg_catalog.<=) 5 THEN {given} END"
        );
        Ok(Self { text: columns.text.as_review()?, product, day, given, stars })
    }
}

/// The number of today, in the session's time zone.
///
/// # Errors
/// The server's own errors end the statement.
pub fn today() -> Result<i64, Error> {
    let query = "SELECT (pg_catalog.now()::pg_catalog.date OPERATOR(pg_catalog.-) '1970-01-01'::pg_catalog.date)::pg_catalog.int8";
    Ok(Spi::get_one::<i64>(query)?.unwrap_or_default())
}

/// Rows, stars, their sum and that of their squares.
fn sums(filter: &str) -> String {
    let sum = |of: &str| format!("coalesce(pg_catalog.sum({of}) {filter}, 0)::pg_catalog.float8");
    format!(
        "pg_catalog.count(*) {filter}, pg_catalog.count(q.stars) {filter}, {}, {}",
        sum("q.stars::pg_catalog.numeric"),
        sum("(q.stars OPERATOR(pg_catalog.*) q.stars)::pg_catalog.numeric")
    )
}

/// Four columns from this one on, as [`sums`] gives them.
fn read_cell(row: &SpiHeapTupleData<'_>, first: usize) -> spi::Result<Cell> {
    let stars = Sums {
        rows: count(row.get(first + 1)?),
        sum: row.get(first + 2)?.unwrap_or_default(),
        squares: row.get(first + 3)?.unwrap_or_default(),
    };
    Ok(Cell { rows: count(row.get(first)?), stars })
}

fn count(value: Option<i64>) -> u64 {
    value.and_then(|count| u64::try_from(count).ok()).unwrap_or_default()
}

/// Rows of a day, or without one.
struct OfDay {
    day: Option<i64>,
    cell: Cell,
    with_text: u64,
    unusable: u64,
    histogram: [u64; 5],
}

/// The rows of each day up to the last that counts, in order; and what isn't among them.
///
/// # Errors
/// The server's own errors end the statement.
pub fn by_day(
    columns: &Columns<'_>,
    sources: &Expressions,
    last_day: i64,
) -> Result<(Counts, Vec<Day>), Error> {
    let Expressions { text, day, given, stars, .. } = sources;
    let stars_of = (1..=5).map(|number| {
        format!(
            "pg_catalog.count(*) FILTER (WHERE pg_catalog.floor(q.stars OPERATOR(pg_catalog.+) 0.5) OPERATOR(pg_catalog.=) {number})"
        )
    });
    let query = format!(
        "SELECT q.day, {}, pg_catalog.count(*) FILTER (WHERE q.review OPERATOR(pg_catalog.~) '[^[:space:]]'),
                pg_catalog.count(*) FILTER (WHERE q.given IS NOT NULL AND q.stars IS NULL), {}
         FROM (SELECT {day} AS day, {text} AS review, {given} AS given, {stars} AS stars FROM {} AS t) AS q
         GROUP BY q.day ORDER BY q.day",
        sums(""),
        stars_of.collect::<Vec<_>>().join(", "),
        columns.relation.from()
    );
    let (mut counts, mut days) = (Counts::default(), Vec::new());
    rows::for_each(&query, &[], read_day, |found| {
        let OfDay { day, cell, with_text, unusable, histogram } = found;
        counts.rows += cell.rows;
        counts.with_text += with_text;
        counts.stars_unusable += unusable;
        match day {
            None => counts.without_time += cell.rows,
            Some(day) if day > last_day => counts.future += cell.rows,
            Some(day) => days.push(Day { day, rows: cell.rows, stars: cell.stars, histogram }),
        }
        Ok(())
    })?;
    Ok((counts, days))
}

fn read_day(row: &SpiHeapTupleData<'_>) -> spi::Result<OfDay> {
    let mut histogram = [0; 5];
    for (place, number) in histogram.iter_mut().enumerate() {
        *number = count(row.get(8 + place)?);
    }
    let (with_text, unusable) = (count(row.get(6)?), count(row.get(7)?));
    Ok(OfDay { day: row.get(1)?, cell: read_cell(row, 2)?, with_text, unusable, histogram })
}

/// The products of the period that is reported on and the one before, by name.
///
/// # Errors
/// [`Error::TooManyParts`].
pub fn by_product(columns: &Columns<'_>, sources: &Expressions, spans: Spans) -> Result<Vec<Product>, Error> {
    let Expressions { product, day, stars, .. } = sources;
    let within = |index: Option<i64>| index.map_or_else(|| "false".to_owned(), |index| is_of(spans, index));
    let (current, before) = (within(Some(spans.current)), within(spans.before()));
    let query = format!(
        "SELECT q.product, {}, {}
         FROM (SELECT {product} AS product, {day} AS day, {stars} AS stars FROM {} AS t) AS q
         WHERE {current} OR {before}
         GROUP BY q.product ORDER BY q.product",
        sums(&format!("FILTER (WHERE {current})")),
        sums(&format!("FILTER (WHERE {before})")),
        columns.relation.from()
    );
    let read = |row: &SpiHeapTupleData<'_>| -> spi::Result<Product> {
        Ok(Product { name: row.get(1)?, current: read_cell(row, 2)?, before: read_cell(row, 6)? })
    };
    let mut products = Vec::new();
    rows::for_each(&query, &[], read, |product| {
        if products.len() >= MOST_PRODUCTS {
            let hint = "Report on fewer rows, in a view, or on groups of products.";
            return Err(Error::TooManyParts {
                what: "the reviews",
                most: MOST_PRODUCTS,
                parts: "products",
                hint,
            });
        }
        products.push(product);
        Ok(())
    })?;
    Ok(products)
}

/// The condition that a row `q` is of a period.
pub fn is_of(spans: Spans, index: i64) -> String {
    let (first, last) = spans.days(index).unwrap_or_default();
    format!("(q.day OPERATOR(pg_catalog.>=) {first} AND q.day OPERATOR(pg_catalog.<=) {last})")
}
