//! The statements that the server is executing, innermost last: how many rows each run of one asks for, and which model
//! was the default one when the statement began.
//!
//! It must not know plans. Invariant: an entry stands here as long as the server's frame that runs the statement.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::PgMemoryContexts;
use pgrx::pg_sys::{self, EState, QueryDesc};

use crate::guc;

/// A run of a statement.
#[derive(Clone)]
struct Run {
    state: *mut EState,
    snapshot: pg_sys::Snapshot,
    /// 0 stands for all.
    rows: u64,
}

thread_local! {
    static RUNNING: RefCell<Vec<Run>> = const { RefCell::new(Vec::new()) };
    /// The default model of each statement that has begun and not ended.
    static DEFAULTS: RefCell<HashMap<usize, Rc<str>>> = RefCell::default();
}

/// Forgets a statement when its memory goes.
struct DefaultModelEntry(usize);

impl Drop for DefaultModelEntry {
    fn drop(&mut self) {
        // It may go while the map is in use only if an error left a borrow behind, and none is held over a call.
        DEFAULTS.with(|defaults| defaults.try_borrow_mut().map(|mut defaults| defaults.remove(&self.0)).ok());
    }
}

/// Notes that a statement has begun.
///
/// # Safety
/// The server has begun to execute it.
pub unsafe fn begin(query: *mut QueryDesc) {
    // SAFETY: as the caller promises. Where only the plan is explained there is a state too.
    unsafe {
        let state = (*query).estate;
        if state.is_null() {
            return;
        }
        let key = state as usize;
        DEFAULTS.with_borrow_mut(|defaults| defaults.insert(key, guc::default_model().into()));
        PgMemoryContexts::For((*state).es_query_cxt).leak_and_drop_on_delete(DefaultModelEntry(key));
    }
}

/// Ends a run when it is dropped.
pub struct RunGuard {
    depth: usize,
}

impl RunGuard {
    /// A run that asks for so many rows, 0 for all.
    ///
    /// # Safety
    /// The statement has begun, and this is dropped before it ends.
    pub unsafe fn enter(query: *mut QueryDesc, rows: u64) -> Self {
        RUNNING.with_borrow_mut(|running| {
            // SAFETY: as the caller promises.
            running.push(unsafe { Run { state: (*query).estate, snapshot: (*query).snapshot, rows } });
            Self { depth: running.len() }
        })
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(|running| running.truncate(self.depth - 1));
    }
}

/// How many rows a run still asks for, or that it asks for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsRequested {
    All,
    /// As far as it is known; one at least.
    More(usize),
}

/// What the current run of a statement asks for.
///
/// # Safety
/// The statement has begun.
pub unsafe fn rows_requested(state: *mut EState) -> RowsRequested {
    let run = RUNNING.with_borrow(|running| running.iter().rev().find(|run| run.state == state).cloned());
    match run {
        Some(run) if run.rows == 0 => RowsRequested::All,
        Some(run) => {
            // SAFETY: as the caller promises; the server counts the rows of this run there.
            let processed = unsafe { (*state).es_processed };
            RowsRequested::More(narrow(run.rows.saturating_sub(processed)).max(1))
        }
        None => RowsRequested::More(1),
    }
}

fn narrow(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

/// The default model of the statement whose expression calls a function now: that of its beginning, or, where the call is
/// none of a statement that runs but of PL/pgSQL's own, that of now. The two are told apart by what they see.
pub fn default_model() -> Rc<str> {
    let run = RUNNING.with_borrow(|running| running.last().cloned());
    // SAFETY: only compares pointers.
    let current = run
        .filter(|run| unsafe { pg_sys::ActiveSnapshotSet() && pg_sys::GetActiveSnapshot() == run.snapshot });
    let begun =
        current.and_then(|run| DEFAULTS.with_borrow(|defaults| defaults.get(&(run.state as usize)).cloned()));
    begun.unwrap_or_else(|| guc::default_model().into())
}
