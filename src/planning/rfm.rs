//! Customers by recency, frequency and money.
//!
//! Invariant: customers with equal numbers have equal scores, in whatever order rows come.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::{self, SpiHeapTupleData};
use pgrx::{Spi, datum::DatumWithOid};

use super::as_key;
use crate::error::Error;
use crate::relation::{Column, Relation};
use crate::rows;

/// What is asked.
pub struct Question<'a> {
    pub relation: &'a Relation,
    pub customer: &'a Column,
    pub time: &'a Column,
    /// None: only counts.
    pub amount: Option<&'a Column>,
    /// None: now, as the transaction sees it.
    pub as_of: Option<TimestampWithTimeZone>,
}

/// A customer.
pub struct Row {
    pub customer: String,
    pub last_purchase: Option<TimestampWithTimeZone>,
    /// Days since then.
    pub recency: f64,
    /// Purchases: rows of one time are one.
    pub frequency: i64,
    /// Sum of amounts.
    pub monetary: Option<f64>,
    /// From 1 to 5, the more recent, frequent, generous, the higher.
    pub scores: [Option<i32>; 3],
    pub segment: &'static str,
}

/// All customers with a purchase up to then, the most recent first.
///
/// # Errors
/// [`Error::ColumnType`], [`Error::ValueNotFinite`]; the server's own for a sum that is too large.
pub fn find(question: Question<'_>) -> Result<Vec<Row>, Error> {
    question.time.require_time()?;
    let as_of = as_of_text(question.as_of)?;
    let query = query(question.relation, question.customer, question.time, question.amount)?;
    let mut found = Vec::new();
    rows::for_each(&query, &[&as_of], read, |row| {
        if row.monetary.is_some_and(|sum| !sum.is_finite()) {
            let column = question.amount.map(|amount| amount.name().to_owned()).unwrap_or_default();
            return Err(Error::ValueNotFinite(column));
        }
        found.push(row);
        Ok(())
    })?;
    Ok(found)
}

/// The moment as a text that the server reads back to the microsecond, whatever its settings.
fn as_of_text(as_of: Option<TimestampWithTimeZone>) -> Result<String, Error> {
    let query = "SELECT pg_catalog.to_char(coalesce($1, pg_catalog.now()) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US\"+00\" BC')";
    let at: DatumWithOid<'_> = as_of.into();
    Spi::get_one_with_args::<String>(query, &[at])?
        .ok_or(Error::ArgumentValue { argument: "as_of", expected: "finite" })
}

/// Scores are fifths by the share of customers with less, and half of those with as much.
fn query(
    relation: &Relation,
    customer: &Column,
    time: &Column,
    amount: Option<&Column>,
) -> Result<String, Error> {
    let (key, moment) = (as_key(customer), time.as_it_is());
    let amount = amount.map_or_else(|| Ok("NULL::pg_catalog.float8".to_owned()), Column::as_number)?;
    let score = |by: &str, order: &str| {
        // Named operators all bind alike, hence the brackets.
        let less = format!("(pg_catalog.rank() OVER (ORDER BY {by} {order}) OPERATOR(pg_catalog.-) 1)");
        let equal = format!(
            "(pg_catalog.count(*) OVER (PARTITION BY {by}) OPERATOR(pg_catalog./) 2.0::pg_catalog.float8)"
        );
        let share = format!(
            "({less} OPERATOR(pg_catalog.+) {equal}) OPERATOR(pg_catalog./) pg_catalog.count(*) OVER ()"
        );
        format!(
            "(1 OPERATOR(pg_catalog.+) pg_catalog.floor(5 OPERATOR(pg_catalog.*) ({share})))::pg_catalog.int4"
        )
    };
    Ok(format!(
        "SELECT c.customer, c.last, c.recency, c.frequency, c.monetary, {}, {}, CASE WHEN c.monetary IS NOT NULL THEN {} END
         FROM (SELECT p.customer, pg_catalog.max(p.moment) AS last, pg_catalog.count(*) AS frequency,
                      pg_catalog.sum(p.amount) AS monetary,
                      pg_catalog.date_part('epoch', a.as_of OPERATOR(pg_catalog.-) pg_catalog.max(p.moment))
                          OPERATOR(pg_catalog./) 86400 AS recency
               FROM (SELECT $1::pg_catalog.timestamptz AS as_of) AS a,
                    (SELECT ({key}) AS customer, {moment}::pg_catalog.timestamptz AS moment, pg_catalog.sum({amount}) AS amount
                     FROM {} AS t WHERE {} IS NOT NULL AND pg_catalog.isfinite({moment}) GROUP BY 1, 2) AS p
               WHERE p.moment OPERATOR(pg_catalog.<=) a.as_of
               GROUP BY p.customer, a.as_of) AS c
         ORDER BY c.recency, c.customer",
        score("c.recency", "DESC"),
        score("c.frequency", "ASC"),
        score("c.monetary", "ASC NULLS FIRST"),
        relation.from(),
        customer.as_it_is(),
    ))
}

fn read(row: &SpiHeapTupleData<'_>) -> spi::Result<Row> {
    let score = |at: usize| row.get::<i32>(at);
    let scores = [score(6)?, score(7)?, score(8)?];
    Ok(Row {
        customer: row.get(1)?.unwrap_or_default(),
        last_purchase: row.get(2)?,
        recency: row.get(3)?.unwrap_or_default(),
        frequency: row.get(4)?.unwrap_or_default(),
        monetary: row.get(5)?,
        segment: segment(scores[0].unwrap_or(1), scores[1].unwrap_or(1)),
        scores,
    })
}

/// What a customer of these scores of recency and frequency is called.
fn segment(recency: i32, frequency: i32) -> &'static str {
    match (recency, frequency) {
        (5.., 4..) => "champion",
        (3.., 4..) => "loyal",
        (4.., 2..) => "potential loyalist",
        (5.., _) => "new",
        (4.., _) => "promising",
        (3.., 3..) => "needs attention",
        (3.., _) => "about to sleep",
        (_, 5..) => "cannot lose",
        (_, 3..) => "at risk",
        _ => "hibernating",
    }
}
