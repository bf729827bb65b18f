//! Some stale rows of a table, scored at once.
//!
//! Models are asked by a query that locks nothing, so that its plan has a node that asks for many rows at once; then those of its
//! rows that are still as they were are locked, unless somebody else has them, and written. Invariant: versions and answers are
//! of one snapshot.

use std::ops::Range;

use pgrx::Spi;
use pgrx::pg_sys::{self, Datum};

use super::definition::Kept;
use super::stale::WritingAnswers;
use super::statement::{Value, execute, finds, with_latest_snapshot};
use super::suspects::{self, Source, Suspect};
use crate::catalog::privilege::as_role;
use crate::error::Error;
use pgrx::spi::quote_identifier;

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scored {
    /// Rows that were stale.
    pub found: u64,
    /// Those that have an answer now.
    pub written: u64,
}

/// Where to look for stale rows, and how many to take.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// Blocks of the table.
    pub blocks: Range<u32>,
    pub rows: u32,
    /// Rows that can't be scored, by their places.
    pub without: &'a [String],
}

/// Scores the last stale rows of a selection, as the owner of the table.
///
/// # Errors
/// As resolving the models; the server's own.
pub fn score(kept: &Kept, selection: &Selection<'_>) -> Result<Scored, Error> {
    let recipe = &kept.definition.recipe;
    let (scored, suspects) = as_role(kept.owner, &recipe.session(), || {
        lock(kept)?;
        with_latest_snapshot(|| score_as_owner(kept, selection))
    })?;
    if let Some(watch) = &recipe.watch {
        suspects::alert(kept, watch, &suspects)?;
    }
    Ok(scored)
}

/// Also returns the rows that are to become alerts.
fn score_as_owner(kept: &Kept, selection: &Selection<'_>) -> Result<(Scored, Vec<Suspect>), Error> {
    let recipe = &kept.definition.recipe;
    let versions = recipe.live_versions()?;
    let nothing = || (Scored::default(), Vec::new());
    let Some(column_type) = kept.column_type() else { return Ok(nothing()) };
    Spi::connect_mut(|_| {
        let Given { places, found } = find(kept, selection, &versions)?;
        let Some(places) = places else { return Ok(nothing()) };
        let answers = answer(kept, places, &column_type)?;
        let written = write(kept, &column_type, [answers, Value::text(&versions)])?;
        let scored = Scored { found, written: length(written) };
        let suspects = match (&recipe.watch, written) {
            (Some(watch), Some(places)) => suspects::find(kept, watch, &versions, Source::Places(places))?,
            _ => Vec::new(),
        };
        Ok((scored, suspects))
    })
}

/// Takes the lock that writing takes before that of reading: whoever waits for both is not waited for.
fn lock(kept: &Kept) -> Result<(), Error> {
    let statement = format!("LOCK TABLE {} IN ROW EXCLUSIVE MODE", kept.from);
    Spi::connect_mut(|_| execute(&statement, &[], false).map(drop))
}

struct Given {
    places: Option<Datum>,
    found: u64,
}

fn find(kept: &Kept, selection: &Selection<'_>, versions: &str) -> Result<Given, Error> {
    let (alias, stale) = (kept.alias(), kept.stale());
    let Selection { blocks, rows, without } = selection;
    let excluded = match without {
        [] => String::new(),
        places => format!("AND {alias}.ctid <> ALL ('{{{}}}'::pg_catalog.tid[])", quoted(places)),
    };
    let query = format!(
        "SELECT pg_catalog.array_agg(found.place) FROM (
             SELECT {alias}.ctid AS place FROM {} AS {alias}
             WHERE {alias}.ctid >= '({},0)' AND {alias}.ctid < '({},0)' AND {stale} {excluded}
             ORDER BY {alias}.ctid DESC LIMIT {rows}) AS found",
        kept.from, blocks.start, blocks.end
    );
    let places = execute(&query, &[Value::text(versions)], true)?.value;
    Ok(Given { places, found: length(places) })
}

/// Of an array of places.
fn length(places: Option<Datum>) -> u64 {
    // SAFETY: an array of one dimension, or nothing.
    places.map_or(0, |array| unsafe {
        let array = pg_sys::pg_detoast_datum(array.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        let first = array.cast::<i32>().byte_add(size_of::<pg_sys::ArrayType>());
        if (*array).ndim == 1 { u64::try_from(*first).unwrap_or(0) } else { 0 }
    })
}

/// Places as elements of an array's literal.
fn quoted(places: &[String]) -> String {
    places.iter().map(|place| format!("\"{place}\"")).collect::<Vec<_>>().join(",")
}

fn answer(kept: &Kept, places: Datum, column_type: &str) -> Result<Value, Error> {
    let query = answering(kept, column_type);
    let answers = execute(&query, &[Value(pg_sys::TIDARRAYOID, Some(places))], true)?.value;
    Ok(Value(pg_sys::RECORDARRAYOID, answers))
}

/// The query that asks the models about rows at given places.
fn answering(kept: &Kept, column_type: &str) -> String {
    let (alias, expression) = (kept.alias(), &kept.definition.recipe.expression);
    format!(
        "SELECT pg_catalog.array_agg(ROW({alias}.ctid, (\n{expression}\n)::{column_type})) FROM {} AS {alias}
         WHERE {alias}.ctid = ANY ($1)",
        kept.from
    )
}

/// Returns where the rows are that have an answer now.
fn write(kept: &Kept, column_type: &str, answers: [Value; 2]) -> Result<Option<Datum>, Error> {
    let Kept { from, definition, .. } = kept;
    let (column, versions) =
        (quote_identifier(&definition.column), quote_identifier(definition.model_column()));
    let statement = format!(
        "WITH written AS (
             UPDATE {from} AS t SET {column} = scored.value, {versions} = $2
             FROM (SELECT now.ctid AS place, answers.value
                   FROM pg_catalog.unnest($1) AS answers(place pg_catalog.tid, value {column_type})
                   JOIN {from} AS now ON now.ctid = answers.place
                   WHERE now.{versions} IS DISTINCT FROM $2
                   FOR NO KEY UPDATE OF now SKIP LOCKED) AS scored
             WHERE t.ctid = scored.place
             RETURNING t.ctid AS place)
         SELECT pg_catalog.array_agg(written.place) FROM written"
    );
    let _writing = WritingAnswers::begin();
    Ok(execute(&statement, &answers, false)?.value)
}

/// Whether a table has a stale row, as its owner sees it, in one snapshot.
///
/// # Errors
/// As [`score`].
pub fn is_stale(kept: &Kept) -> Result<bool, Error> {
    as_role(kept.owner, &kept.definition.recipe.session(), || {
        with_latest_snapshot(|| {
            let versions = kept.definition.recipe.live_versions()?;
            if kept.column_type().is_none() {
                return Ok(false);
            }
            let query =
                format!("SELECT true FROM {} AS {} WHERE {} LIMIT 1", kept.from, kept.alias(), kept.stale());
            finds(&query, &[Value::text(&versions)])
        })
    })
}

/// The place of the one row that [`score`] would take.
///
/// # Errors
/// As there.
pub fn place(kept: &Kept, selection: &Selection<'_>) -> Result<Option<String>, Error> {
    as_role(kept.owner, &kept.definition.recipe.session(), || {
        with_latest_snapshot(|| {
            let versions = kept.definition.recipe.live_versions()?;
            Spi::connect_mut(|_| {
                let places = find(kept, selection, &versions)?.places;
                let text = places.map(|array| {
                    execute(
                        "SELECT ($1)[1]::pg_catalog.text",
                        &[Value(pg_sys::TIDARRAYOID, Some(array))],
                        true,
                    )
                });
                let text = text.transpose()?.and_then(|given| given.value);
                // SAFETY: a text.
                Ok(text.and_then(|text| unsafe { pgrx::FromDatum::from_datum(text, false) }))
            })
        })
    })
}

/// How many blocks a table has.
///
/// # Errors
/// The server's own.
pub fn blocks(kept: &Kept) -> Result<u32, Error> {
    let query = "SELECT pg_catalog.pg_relation_size($1::pg_catalog.oid::pg_catalog.regclass)
                        / pg_catalog.current_setting('block_size')::pg_catalog.int8";
    let blocks = Spi::get_one_with_args::<i64>(query, &[kept.relation.into()])?;
    Ok(u32::try_from(blocks.unwrap_or(0)).unwrap_or(u32::MAX))
}
