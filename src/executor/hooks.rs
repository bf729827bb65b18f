//! When plans are rewritten: right after the planner has made them; and where the server says which statements run.
//!
//! A session that doesn't preload the library loads it while it plans its first query with one of our functions, when that
//! planner's hook has been passed. Plans that were being made at that moment are rewritten when they are executed, on a
//! copy, since the session may keep them. Invariant: a plan is changed only while nobody else uses it.

use std::ffi::{CStr, c_char};

use pgrx::pg_guard;
use pgrx::pg_sys::{
    self, CURSOR_OPT_NO_SCROLL, CURSOR_OPT_SCROLL, EXEC_FLAG_BACKWARD, EXEC_FLAG_REWIND, PlannedStmt,
    QueryDesc,
};

use super::error_bridge;
use super::expression::copy;
use super::rewrite::{has_batchable_calls, rewrite};
use super::running::{self, RunGuard};
use crate::guc;

static mut PREVIOUS_PLANNER: pg_sys::planner_hook_type = None;
static mut PREVIOUS_EXECUTOR_START: pg_sys::ExecutorStart_hook_type = None;
static mut PREVIOUS_EXECUTOR_RUN: pg_sys::ExecutorRun_hook_type = None;
/// Whether plans may have been made before the planner's hook was there.
static mut LOADED_LATE: bool = false;

/// Puts the hooks in.
pub fn init() {
    // SAFETY: called once, while the library is loaded.
    unsafe {
        PREVIOUS_PLANNER = pg_sys::planner_hook;
        pg_sys::planner_hook = Some(plan);
        LOADED_LATE = !pg_sys::process_shared_preload_libraries_in_progress;
        PREVIOUS_EXECUTOR_START = pg_sys::ExecutorStart_hook;
        pg_sys::ExecutorStart_hook = Some(start);
        PREVIOUS_EXECUTOR_RUN = pg_sys::ExecutorRun_hook;
        pg_sys::ExecutorRun_hook = Some(run);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn plan(
    query: *mut pg_sys::Query,
    text: *const c_char,
    cursor_options: i32,
    parameters: pg_sys::ParamListInfo,
) -> *mut PlannedStmt {
    // SAFETY: the server calls this as it would call its planner; the plan is new.
    error_bridge::callback(|| unsafe {
        let planned = error_bridge::plan(PREVIOUS_PLANNER, query, text, cursor_options, parameters);
        if guc::batch_execution() && has_batchable_calls(planned) {
            rewrite(planned, cursor_options & CURSOR_OPT_SCROLL as i32 != 0);
        }
        planned
    })
}

#[pg_guard]
unsafe extern "C-unwind" fn start(query: *mut QueryDesc, flags: i32) {
    // SAFETY: the server calls this as it would call its executor. A worker gets the leader's plan as that is.
    error_bridge::callback(|| unsafe {
        let leader = pg_sys::ParallelWorkerNumber < 0;
        let mut flags = flags;
        if LOADED_LATE && leader && guc::batch_execution() && has_batchable_calls((*query).plannedstmt) {
            let planned = copy((*query).plannedstmt);
            if scrolls_implicitly(query, flags) {
                (*pg_sys::ActivePortal).cursorOptions &= !(CURSOR_OPT_SCROLL as i32);
                (*pg_sys::ActivePortal).cursorOptions |= CURSOR_OPT_NO_SCROLL as i32;
                flags &= !((EXEC_FLAG_BACKWARD | EXEC_FLAG_REWIND) as i32);
            }
            rewrite(planned, flags & EXEC_FLAG_BACKWARD as i32 != 0);
            (*query).plannedstmt = planned;
        }
        error_bridge::start(PREVIOUS_EXECUTOR_START, query, flags);
        running::begin(query);
    })
}

#[cfg(not(feature = "pg18"))]
#[pg_guard]
unsafe extern "C-unwind" fn run(
    query: *mut QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    rows: u64,
    once: bool,
) {
    // SAFETY: the server calls this as it would call its executor.
    error_bridge::callback(|| unsafe {
        let _guard = RunGuard::enter(query, rows);
        error_bridge::run(PREVIOUS_EXECUTOR_RUN, query, direction, rows, once);
    })
}

#[cfg(feature = "pg18")]
#[pg_guard]
unsafe extern "C-unwind" fn run(query: *mut QueryDesc, direction: pg_sys::ScanDirection::Type, rows: u64) {
    // SAFETY: the server calls this as it would call its executor.
    error_bridge::callback(|| unsafe {
        let _guard = RunGuard::enter(query, rows);
        error_bridge::run(PREVIOUS_EXECUTOR_RUN, query, direction, rows);
    })
}

/// Whether this opens a cursor that may scroll only because its plan happens to allow that. The server decided so before
/// the plan was rewritten; had it seen the rewritten plan, as it does for all statements but those that loaded this
/// library, it would not scroll. Only DECLARE can be told to, by a word in its text.
unsafe fn scrolls_implicitly(query: *mut QueryDesc, flags: i32) -> bool {
    // SAFETY: a portal that is being started is active, and has the text of the statement that opened it.
    unsafe {
        let portal = pg_sys::ActivePortal;
        if flags & EXEC_FLAG_BACKWARD as i32 == 0 || portal.is_null() || (*portal).sourceText.is_null() {
            return false;
        }
        if (*portal).sourceText != (*query).sourceText {
            return false;
        }
        let text = CStr::from_ptr((*portal).sourceText).to_bytes().to_ascii_lowercase();
        let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
        has(b"declare") && !has(b"scroll")
    }
}
