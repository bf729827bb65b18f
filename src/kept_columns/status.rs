//! What the worker of a database tells other sessions: a small file, since it changes with every batch.
//!
//! Invariant: a reader sees a whole report, or none.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pgrx::pg_sys;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::runtime;

/// Workers in a row that may end before they are connected.
const CONNECTION_ATTEMPTS: u32 = 3;

/// Of a kept column in a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ColumnStatus {
    /// Rows scored lately.
    pub rows: u64,
    /// In so many seconds.
    pub seconds: f64,
    /// What went wrong last; `None` once all is well.
    pub error: Option<String>,
    /// When that was recorded, in seconds since 1970.
    pub failed: f64,
}

/// Of all of a database.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Of the worker.
    pub pid: i32,
    /// Workers in a row that had no connection yet, this one the last; 0 once it has one.
    pub connecting: u32,
    pub columns: BTreeMap<String, ColumnStatus>,
}

impl Status {
    /// The last report of a database's worker, whichever it was.
    pub fn last(database: pg_sys::Oid) -> Self {
        let report = fs::read(path(database)).ok();
        report.and_then(|report| serde_json::from_slice(&report).ok()).unwrap_or_default()
    }

    /// Whether so many workers in a row have ended before they were connected that no other will be. A single one may have ended with
    /// its server.
    pub fn cannot_connect(&self) -> bool {
        let is_gone = Pid::from_raw(self.pid).is_none_or(|pid| test_kill_process(pid).is_err());
        self.connecting >= CONNECTION_ATTEMPTS && is_gone
    }

    /// What is known of a column.
    pub fn column(&self, relation: pg_sys::Oid, column: &str) -> Option<&ColumnStatus> {
        self.columns.get(&key(relation, column))
    }

    /// What is known of a column, to be changed.
    pub fn column_mut(&mut self, relation: pg_sys::Oid, column: &str) -> &mut ColumnStatus {
        self.columns.entry(key(relation, column)).or_default()
    }

    /// Forgets columns that aren't kept any more.
    pub fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.columns.retain(|key, _| is_kept(key));
    }

    /// Writes the report, in place of the one before. One that can't be written is missed by nobody but a reader.
    pub fn report(&self, database: pg_sys::Oid) {
        let written = serde_json::to_vec(self).map_err(std::io::Error::from);
        if let Err(error) = written.and_then(|report| runtime::replace(&path(database), &report)) {
            pgrx::debug1!("could not report on kept columns: {error}");
        }
    }
}

/// What a column is called in a report.
pub fn key(relation: pg_sys::Oid, column: &str) -> String {
    format!("{}.{column}", relation.to_u32())
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

fn path(database: pg_sys::Oid) -> String {
    format!("{}/kept_columns.{}", runtime::DIRECTORY, database.to_u32())
}
