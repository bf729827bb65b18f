//! What is watched, for the view.
//!
//! Invariant: a table that can't be counted doesn't keep others from being shown.

use pgrx::{Spi, pg_sys};

use super::definition::{self, Kept};
use super::statement::with_latest_snapshot;
use super::statistics::{sees, told};
use super::status::Status;
use super::watch::Watch;
use crate::catalog::privilege::as_role;
use crate::error::Error;

/// A row of the view.
pub struct WatchStatistics {
    pub relation: pg_sys::Oid,
    pub model: String,
    pub column: String,
    pub condition: String,
    pub budget: i64,
    pub mode: &'static str,
    /// Rows that have no score yet.
    pub waiting: Option<i64>,
    pub error: Option<String>,
    /// What alerts call the table.
    pub table: String,
}

/// Those on tables of the calling role; to those who may read all statistics, all.
///
/// # Errors
/// When the catalogs can't be read.
pub fn all() -> Result<Vec<WatchStatistics>, Error> {
    let (sees, kept) = (sees()?, definition::all()?);
    // SAFETY: set before this library runs in a session.
    let status = Status::last(unsafe { pg_sys::MyDatabaseId });
    let shown = kept.iter().filter(|one| one.is_root && one.column_type().is_some() && sees(one));
    let watched = shown.filter_map(|one| Some((one, one.definition.recipe.watch.as_ref()?)));
    watched.map(|(one, watch)| of(one, watch, &kept, &status)).collect()
}

fn of(root: &Kept, watch: &Watch, all: &[Kept], status: &Status) -> Result<WatchStatistics, Error> {
    let definition = &root.definition;
    let error = told(root, all, status)?.error;
    let counted = as_role(root.owner, &definition.recipe.session(), || {
        with_latest_snapshot(|| {
            definition.recipe.live_versions()?;
            let query = format!(
                "SELECT pg_catalog.count(*) FROM {} AS {} WHERE {} IS NULL",
                root.from,
                root.alias(),
                root.versions()
            );
            Ok(Spi::get_one::<i64>(&query)?)
        })
    });
    let (waiting, fault) = match counted {
        Ok(waiting) => (waiting, None),
        Err(error) => (None, Some(error.to_string())),
    };
    Ok(WatchStatistics {
        relation: root.relation,
        model: watch.model.clone(),
        column: definition.column.clone(),
        condition: watch.condition.clone(),
        budget: watch.budget.into(),
        mode: definition.mode.word(),
        waiting,
        error: fault.or(error),
        table: root.table().to_owned(),
    })
}
