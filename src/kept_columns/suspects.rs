//! Scored rows that become alerts.
//!
//! The condition is evaluated, and rows are explained, as the owner of the table. Invariant: the rows that are looked through are
//! those that the same transaction has scored.

use pgrx::pg_sys::{self, Datum};
use pgrx::spi::quote_identifier;
use pgrx::{FromDatum, JsonB, spi};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::definition::Kept;
use super::statement::{Value, execute};
use super::watch::Watch;
use crate::catalog::alerts::{self, RowAlert};
use crate::catalog::name::ModelName;
use crate::catalog::privilege::role_name;
use crate::catalog::statement::returning_one;
use crate::error::Error;
use crate::relation::Relation;

/// What a reason names, at most.
const REASONS: u32 = 5;
/// Of that, what a message names.
const NAMED: usize = 2;

/// A row that meets the condition.
#[derive(Debug, Deserialize)]
pub struct Suspect {
    score: f64,
    /// Its primary key, or all of it where there is none.
    row: Json,
    /// What speaks most for the score, the strongest first.
    reason: Option<Json>,
}

/// Where scored rows are.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// In the table, at the places of an array.
    Places(Datum),
    /// A row that was just written.
    Row(pg_sys::Oid, Datum),
}

impl Source {
    fn value(self) -> Value {
        match self {
            Self::Places(places) => Value(pg_sys::TIDARRAYOID, Some(places)),
            Self::Row(row_type, row) => Value(row_type, Some(row)),
        }
    }

    /// The FROM clause and a condition.
    fn clauses(self, kept: &Kept) -> (String, String) {
        let alias = kept.alias();
        match self {
            Self::Places(_) => (format!("{} AS {alias}", kept.from), format!("{alias}.ctid = ANY ($1)")),
            Self::Row(..) => (format!("pg_catalog.unnest(ARRAY[$1]) AS {alias}"), "true".to_owned()),
        }
    }
}

/// The rows that meet the condition, as many as the budget allows, those of the highest scores; within
/// [`Spi::connect_mut`](pgrx::Spi::connect_mut), as the owner of the table.
///
/// # Errors
/// The server's own of the condition and of the explanation.
pub fn find(kept: &Kept, watch: &Watch, versions: &str, source: Source) -> Result<Vec<Suspect>, Error> {
    let query = query(kept, watch, source.clauses(kept))?;
    let found = execute(&query, &[source.value(), Value::text(versions)], false)?.value;
    // SAFETY: a `jsonb`, or nothing.
    let found = found.and_then(|found| unsafe { JsonB::from_datum(found, false) });
    let Some(JsonB(found)) = found else { return Ok(Vec::new()) };
    serde_json::from_value(found).map_err(|_| Error::Unexpected("rows of no known form"))
}

/// Has the server say what is wrong with the condition, or with the explanation of a row, if anything is; as the owner of the table.
///
/// # Errors
/// The server's own.
pub fn check(kept: &Kept, watch: &Watch) -> Result<(), Error> {
    let (alias, from) = (kept.alias(), &kept.from);
    let query = query(kept, watch, (format!("{from} AS {alias}"), "false".to_owned()))?;
    execute(&query, &[Value(pg_sys::TIDARRAYOID, None), Value::text("")], true)?;
    let input = watch.input("s.t");
    let explained = format!(
        "SELECT true FROM (SELECT {alias} AS t FROM {from} AS {alias} LIMIT 1) AS s
         CROSS JOIN LATERAL ecommerce_ml.explain_prediction({input}, $1, {}) AS e LIMIT 1",
        label(watch)
    );
    execute(&explained, &[Value::text(&watch.model)], true).map(drop)
}

fn label(watch: &Watch) -> String {
    watch.label.as_ref().map_or_else(|| "NULL".to_owned(), spi::quote_literal)
}

fn query(kept: &Kept, watch: &Watch, (from, condition): (String, String)) -> Result<String, Error> {
    let (alias, column) = (kept.alias(), quote_identifier(&kept.definition.column));
    let Watch { condition: wanted, budget, .. } = watch;
    let (row, reason) = (identity(kept)?, reason(watch));
    Ok(format!(
        "SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('score', s.score, 'row', {row}, 'reason', {reason})
                                     ORDER BY s.score DESC)
         FROM (SELECT {alias} AS t, prediction.score
               FROM {from} CROSS JOIN LATERAL (SELECT {alias}.{column}::pg_catalog.float8 AS score) AS prediction
               WHERE {condition} AND prediction.score IS NOT NULL AND (\n{wanted}\n)
               ORDER BY prediction.score DESC LIMIT {budget}) AS s"
    ))
}

/// What a row is known by.
fn identity(kept: &Kept) -> Result<String, Error> {
    let keys = Relation::open(kept.relation)?.primary_key()?;
    if keys.is_empty() {
        let [score, versions] =
            [&kept.definition.column, &kept.definition.model_column()].map(spi::quote_literal);
        return Ok(format!(
            "pg_catalog.to_jsonb(s.t) OPERATOR(pg_catalog.-) ARRAY[{score}, {versions}]::pg_catalog.text[]"
        ));
    }
    let pair = |key: &String| format!("{}, (s.t).{}", spi::quote_literal(key), quote_identifier(key));
    Ok(format!("pg_catalog.jsonb_build_object({})", keys.iter().map(pair).collect::<Vec<_>>().join(", ")))
}

/// What speaks most for the score: columns, or tokens of a text.
fn reason(watch: &Watch) -> String {
    let label = label(watch);
    let (part, shown) = match watch.text_column {
        Some(_) => ("e.token", "'token', e.token, 'start', e.start"),
        None => ("e.feature", "'column', e.feature, 'value', e.value"),
    };
    let input = watch.input("s.t");
    format!(
        "(SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object({shown}, 'contribution', e.contribution)
                                      ORDER BY e.contribution DESC, {part})
          FROM (SELECT * FROM ecommerce_ml.explain_prediction({input}, $2, {label}) AS e
                WHERE e.contribution OPERATOR(pg_catalog.>) 0
                ORDER BY e.contribution DESC, {part} LIMIT {REASONS}) AS e)"
    )
}

/// Makes alerts of rows, as far as the budget goes.
///
/// # Errors
/// When our table can't be written.
pub fn alert(kept: &Kept, watch: &Watch, suspects: &[Suspect]) -> Result<(), Error> {
    let name = ModelName::parse(&watch.model)?.name;
    let owner = role_name(kept.owner).ok_or(Error::Unexpected("a table without an owner"))?;
    if suspects.is_empty() {
        return Ok(());
    }
    let relation = &watched_table(kept)?;
    for suspect in suspects {
        let Suspect { score, row, reason } = suspect;
        alerts::add_row(&RowAlert {
            name: &name,
            relation,
            owner: &owner,
            budget: watch.budget,
            score: *score,
            message: &message(relation, suspect),
            detail: json!({"relation": relation, "row": row, "score": score, "reason": reason}),
        })?;
    }
    Ok(())
}

/// What alerts call the table: of a partition, the table that it is a part of.
fn watched_table(kept: &Kept) -> Result<String, Error> {
    let query = "
        SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = coalesce(pg_partition_root($1), $1)";
    let name = returning_one::<String>(query, &[kept.relation.into()])?;
    name.ok_or(Error::Unexpected("a table without a name"))
}

fn message(relation: &str, suspect: &Suspect) -> String {
    let part = |part: &Json| part.get("column").or_else(|| part.get("token"))?.as_str().map(str::to_owned);
    let reason = suspect.reason.as_ref().and_then(Json::as_array);
    let named: Vec<String> = reason.into_iter().flatten().filter_map(part).take(NAMED).collect();
    let because = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
    let row = suspect.row.as_object().filter(|row| row.len() <= NAMED);
    let row = row.map_or_else(|| "a row".to_owned(), |row| format!("row {}", Json::Object(row.clone())));
    format!("{row} of {relation} scores {:.3}{because}", suspect.score)
}
