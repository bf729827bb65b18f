//! How fresh kept columns are, for the view.
//!
//! Rows are counted as the owner of the table. Invariant: a column that can't be counted doesn't keep others from being shown.

use pgrx::{Spi, pg_sys};

use super::definition::{self, Kept};
use super::launch;
use super::statement::with_latest_snapshot;
use super::status::{ColumnStatus, Status};
use crate::catalog::privilege::{acts_as, as_role, role_oid};
use crate::error::Error;

/// A row of the view.
pub struct ColumnStatistics {
    pub relation: pg_sys::Oid,
    pub column: String,
    pub expression: String,
    pub mode: &'static str,
    /// Live versions of its models.
    pub versions: Option<String>,
    pub rows: Option<i64>,
    pub fresh: Option<i64>,
    pub rows_per_second: Option<f64>,
    pub seconds_left: Option<f64>,
    pub error: Option<String>,
}

/// All columns of tables of the calling role; to those who may read all statistics, all.
///
/// # Errors
/// When the catalogs can't be read; the server's own.
pub fn all() -> Result<Vec<ColumnStatistics>, Error> {
    let (sees, kept) = (sees()?, definition::all()?);
    // SAFETY: set before this library runs in a session.
    let status = Status::last(unsafe { pg_sys::MyDatabaseId });
    let is_plain = |one: &&Kept| one.definition.recipe.watch.is_none() && one.column_type().is_some();
    let shown = kept.iter().filter(|one| one.is_root && sees(one)).filter(is_plain);
    shown.map(|one| of(one, &kept, &status)).collect()
}

/// Whose columns the calling role sees.
///
/// # Errors
/// When the catalogs can't be read.
pub fn sees() -> Result<impl Fn(&Kept) -> bool, Error> {
    let sees_all = acts_as(role_oid("pg_read_all_stats")?);
    Ok(move |kept: &Kept| sees_all || acts_as(kept.owner))
}

fn of(root: &Kept, all: &[Kept], status: &Status) -> Result<ColumnStatistics, Error> {
    let definition = &root.definition;
    let told = told(root, all, status)?;
    let counted = as_role(root.owner, &definition.recipe.session(), || {
        with_latest_snapshot(|| {
            let versions = definition.recipe.live_versions()?;
            let (rows, fresh) = count(root, &versions)?;
            Ok((versions, rows, fresh))
        })
    });
    let (versions, rows, fresh, fault) = match counted {
        Ok((versions, rows, fresh)) => (Some(versions), Some(rows), Some(fresh), None),
        Err(error) => (None, None, None, Some(error.to_string())),
    };
    let speed = (told.seconds > 0.0 && !launch::is_idle()).then(|| told.rows as f64 / told.seconds);
    let stale = rows.zip(fresh).map(|(rows, fresh)| rows - fresh);
    let seconds_left = match (stale, speed) {
        (Some(1..), Some(speed)) if speed > 0.0 => stale.map(|stale| stale as f64 / speed),
        _ => None,
    };
    Ok(ColumnStatistics {
        relation: root.relation,
        column: definition.column.clone(),
        expression: definition.recipe.expression.clone(),
        mode: definition.mode.word(),
        versions,
        rows,
        fresh,
        rows_per_second: speed.filter(|_| stale.is_some_and(|stale| stale > 0)),
        seconds_left,
        error: fault.or(told.error),
    })
}

/// What the worker told of a table and its partitions, together.
///
/// # Errors
/// When the catalogs can't be read.
pub fn told(root: &Kept, all: &[Kept], status: &Status) -> Result<ColumnStatus, Error> {
    let column = &root.definition.column;
    let tree =
        if root.is_partitioned { definition::of_table(root.relation, column)? } else { vec![root.clone()] };
    let mut together = ColumnStatus::default();
    for kept in all.iter().filter(|kept| tree.iter().any(|one| one.relation == kept.relation)) {
        if kept.definition.column == *column
            && let Some(one) = status.column(kept.relation, column)
        {
            together.rows += one.rows;
            together.seconds += one.seconds;
            together.error = together.error.or_else(|| one.error.clone());
        }
    }
    Ok(together)
}

fn count(kept: &Kept, versions: &str) -> Result<(i64, i64), Error> {
    let query = format!(
        "SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE {} IS NOT DISTINCT FROM $1) FROM {} AS {}",
        kept.versions(),
        kept.from,
        kept.alias()
    );
    Spi::connect(|client| {
        let (rows, fresh) = client.select(&query, None, &[versions.into()])?.first().get_two::<i64, i64>()?;
        Ok((rows.unwrap_or(0), fresh.unwrap_or(0)))
    })
}
