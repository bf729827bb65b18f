//! Where running jobs are, for other sessions: a small file for each, since what changes several times a second has no
//! place in a table.
//!
//! Invariant: a reader sees a whole report, or none; and of jobs that have no worker any more, none.

use std::fs;
use std::io;

use pgrx::pg_sys;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::background::locks;
use crate::runtime;

/// What a job's worker last reported.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    pub job: i64,
    /// Of the worker.
    pub pid: i32,
    /// Of its engine process, once there is one.
    pub engine_pid: Option<i32>,
    pub phase: String,
    /// Rows sent to the engine so far.
    pub rows_read: i64,
    pub epoch: Option<i32>,
    pub epochs: Option<i32>,
    pub step: Option<i64>,
    pub steps: Option<i64>,
    pub loss: Option<f64>,
    pub learning_rate: Option<f64>,
    pub examples_per_second: Option<f64>,
    pub seconds_left: Option<f64>,
    /// Bytes, as estimated.
    pub memory: Option<i64>,
    /// Workers one after another, up to this one, that did not come to run the job.
    pub failures: i32,
    /// No worker is started any more until somebody resumes the job.
    pub given_up: bool,
}

/// The phase before a worker has a connection to its database.
pub const CONNECTING: &str = "connecting";

impl Progress {
    /// The first report of a job's worker.
    pub fn new(job: i64) -> Self {
        // SAFETY: set once when this process starts.
        let pid = unsafe { pg_sys::MyProcPid };
        Self { job, pid, ..Self::default() }
    }

    /// Whether it is the last report of a worker that ended before it was connected.
    pub fn died_connecting(&self) -> bool {
        let is_gone = Pid::from_raw(self.pid).is_none_or(|pid| test_kill_process(pid).is_err());
        self.phase == CONNECTING && is_gone
    }

    /// Writes the report, in place of the one before. One that can't be written is missed by nobody but a reader.
    pub fn report(&self, database: pg_sys::Oid) {
        let written = serde_json::to_vec(self).map_err(io::Error::from).and_then(|report| {
            let (path, fresh) = (path(database, self.job), format!("{}.new", path(database, self.job)));
            fs::write(&fresh, report)?;
            fs::rename(fresh, path)
        });
        if let Err(error) = written {
            pgrx::debug1!("could not report the progress of job {}: {error}", self.job);
        }
    }
}

/// The last report of a job, by whichever worker it was.
pub fn last(database: pg_sys::Oid, job: i64) -> Option<Progress> {
    serde_json::from_slice(&fs::read(path(database, job)).ok()?).ok()
}

/// Whether no worker is to be started for a job any more: several did not come to run it, and could not record that.
pub fn is_given_up(database: pg_sys::Oid, job: i64) -> bool {
    last(database, job).is_some_and(|last| last.given_up)
}

/// Removes a job's report.
pub fn remove(database: pg_sys::Oid, job: i64) {
    // It may not be there.
    let _ = fs::remove_file(path(database, job));
}

/// Reports of all jobs of this database that have a worker.
pub fn all() -> Vec<Progress> {
    // SAFETY: set before this library runs in a session.
    let database = unsafe { pg_sys::MyDatabaseId };
    let prefix = format!("{PREFIX}{}.", database.to_u32());
    let entries = fs::read_dir(runtime::DIRECTORY).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let jobs = names.filter_map(|name| name.strip_prefix(&prefix)?.parse::<i64>().ok());
    jobs.filter(|job| locks::has_worker(*job)).filter_map(|job| last(database, job)).collect()
}

const PREFIX: &str = "progress.";

fn path(database: pg_sys::Oid, job: i64) -> String {
    format!("{}/{PREFIX}{}.{job}", runtime::DIRECTORY, database.to_u32())
}
