//! Sessions that wait until nothing is stale.
//!
//! Invariant: a wait sees what others commit, at every isolation level, and can be cancelled.

use std::time::{Duration, Instant};

use pgrx::{Spi, pg_sys};

use super::batch::{self, Selection};
use super::definition::{self, Kept};
use super::status::{Status, now};
use super::{define, launch};
use crate::error::Error;
use crate::{guc, latch};

/// Between two looks; at most so much of the time is spent looking.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
const LOOKS_SHARE: u32 = 10;
/// How often it is looked for a deadlock: by the server's default, after which it looks for those of locks.
const DEADLOCK_INTERVAL: Duration = Duration::from_secs(1);
/// Rows of a batch where the session does the work.
const OWN_ROWS: u32 = 1024;

/// Waits until the worker has scored all rows of a column. Does so itself what no worker can do: rows that this transaction has
/// written, all if there is no slot for a worker or it is paused.
///
/// # Errors
/// As [`define::require`]; [`Error::KeptNotRefreshed`].
pub fn refresh(relation: pg_sys::Oid, column: &str) -> Result<(), Error> {
    define::require(relation, column)?;
    let tables: Vec<Kept> =
        definition::of_table(relation, column)?.into_iter().filter(|kept| !kept.is_partitioned).collect();
    let began = now();
    let is_own = launch::is_pending() || guc::refresh_share() == 0;
    for kept in &tables {
        if is_own {
            score_here(kept)?;
        } else {
            wait_or_score(kept, began)?;
        }
    }
    Ok(())
}

fn wait_or_score(kept: &Kept, began: f64) -> Result<(), Error> {
    // SAFETY: set before this library runs in a session.
    let database = unsafe { pg_sys::MyDatabaseId };
    let mut checked = Instant::now();
    loop {
        let looked = Instant::now();
        if !batch::is_stale(kept)? {
            return Ok(());
        }
        let time = looked.elapsed();
        let status = Status::last(database);
        if checked.elapsed() > DEADLOCK_INTERVAL {
            checked = looked;
            require_no_deadlock(kept, status.pid)?;
        }
        let failed =
            status.column(kept.relation, &kept.definition.column).filter(|column| column.failed > began);
        if let Some(message) = failed.and_then(|column| column.error.clone()) {
            return Err(Error::KeptNotRefreshed { column: kept.definition.column.clone(), message });
        }
        if launch::is_idle()
            && let Err(Error::NoWorkerSlot | Error::SingleUser(_)) = launch::now()
        {
            return score_here(kept);
        }
        let until = Instant::now() + (time * LOOKS_SHARE).max(MIN_INTERVAL);
        while Instant::now() < until {
            launch::wait_here();
            latch::wait(None, Some(MIN_INTERVAL.max(until.saturating_duration_since(Instant::now()) / 8)));
        }
    }
}

/// Refuses to wait for the worker while that waits for a command which waits for this transaction, as one does that wants the table to
/// itself. The server can't know of it, since this is no wait for a lock.
fn require_no_deadlock(kept: &Kept, worker: i32) -> Result<(), Error> {
    let query = "
        SELECT EXISTS (SELECT FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) AS blocker
                       WHERE pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) ANY (pg_catalog.pg_blocking_pids(blocker)))";
    if !Spi::get_one_with_args::<bool>(query, &[worker.into()])?.unwrap_or(false) {
        return Ok(());
    }
    Err(Error::KeptNotRefreshed {
        column: kept.definition.column.clone(),
        message: "another command waits for this transaction, and the worker waits for that command"
            .to_owned(),
    })
}

/// Scores all rows of a table in this transaction.
fn score_here(kept: &Kept) -> Result<(), Error> {
    loop {
        let selection = Selection { blocks: 0..u32::MAX, rows: OWN_ROWS, without: &[] };
        let scored = batch::score(kept, &selection)?;
        if scored.found == 0 {
            return Ok(());
        }
        if scored.written == 0 {
            // Somebody else has the rows, and may need what this transaction has locked: no wait for them.
            return Err(Error::KeptNotRefreshed {
                column: kept.definition.column.clone(),
                message: "rows are locked by other transactions".to_owned(),
            });
        }
        pgrx::check_for_interrupts!();
    }
}
