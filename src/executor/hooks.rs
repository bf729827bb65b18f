//! When plans are rewritten: right after the planner has made them.
//!
//! A session that doesn't preload the library loads it while it plans its first query with one of our functions, when that
//! planner's hook has been passed. Plans that were being made at that moment are rewritten when they are executed, on a
//! copy, since the session may keep them. Invariant: a plan is changed only while nobody else uses it.

use std::ffi::c_char;

use pgrx::pg_guard;
use pgrx::pg_sys::{self, CURSOR_OPT_SCROLL, EXEC_FLAG_BACKWARD, PlannedStmt, QueryDesc};

use super::expression::copy;
use super::passage;
use super::rewrite::{has_work, rewrite};
use crate::guc;

static mut PLANNER_BEFORE: pg_sys::planner_hook_type = None;
static mut EXECUTOR_START_BEFORE: pg_sys::ExecutorStart_hook_type = None;

/// Puts the hooks in.
pub fn init() {
    // SAFETY: called once, while the library is loaded.
    unsafe {
        PLANNER_BEFORE = pg_sys::planner_hook;
        pg_sys::planner_hook = Some(plan);
        if !pg_sys::process_shared_preload_libraries_in_progress {
            EXECUTOR_START_BEFORE = pg_sys::ExecutorStart_hook;
            pg_sys::ExecutorStart_hook = Some(start);
        }
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
    passage::callback(|| unsafe {
        let planned = passage::plan(PLANNER_BEFORE, query, text, cursor_options, parameters);
        if guc::batch_execution() && has_work(planned) {
            rewrite(planned, cursor_options & CURSOR_OPT_SCROLL as i32 != 0);
        }
        planned
    })
}

#[pg_guard]
unsafe extern "C-unwind" fn start(query: *mut QueryDesc, flags: i32) {
    // SAFETY: the server calls this as it would call its executor. A worker gets the leader's plan as that is.
    passage::callback(|| unsafe {
        let leader = pg_sys::ParallelWorkerNumber < 0;
        if leader && guc::batch_execution() && has_work((*query).plannedstmt) {
            let planned = copy((*query).plannedstmt);
            rewrite(planned, flags & EXEC_FLAG_BACKWARD as i32 != 0);
            (*query).plannedstmt = planned;
        }
        passage::start(EXECUTOR_START_BEFORE, query, flags);
    })
}
