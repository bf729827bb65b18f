//! The server's own errors on their way through our frames.
//!
//! Queries raise errors below and around us that are none of ours: a division by zero in a scan, a syntax error in a function
//! that the planner inlines. pgrx would make reports of its own of them and lose context, position and names of objects;
//! here they stay with the server while our frames are left in order, and then go on as they were. Invariant: code
//! that runs inside [`call_server`] is the server's, with nothing of ours to be dropped on its stack.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use cee_scape::{SigJmpBufFields, call_with_sigsetjmp};
use pgrx::pg_sys::{self, ExprContext, ExprState, PlanState, TupleTableSlot};

/// What unwinds our frames while the server holds an error.
struct ServerError;

/// Functions of the server's, without pgrx's handling of errors.
mod raw {
    use super::*;

    unsafe extern "C-unwind" {
        pub fn pg_re_throw() -> !;
        pub fn standard_planner(
            query: *mut pg_sys::Query,
            text: *const c_char,
            cursor_options: i32,
            parameters: pg_sys::ParamListInfo,
        ) -> *mut pg_sys::PlannedStmt;
        pub fn standard_ProcessUtility(
            planned: *mut pg_sys::PlannedStmt,
            text: *const c_char,
            read_only_tree: bool,
            context: pg_sys::ProcessUtilityContext::Type,
            parameters: pg_sys::ParamListInfo,
            environment: *mut pg_sys::QueryEnvironment,
            destination: *mut pg_sys::DestReceiver,
            completion: *mut pg_sys::QueryCompletion,
        );
        pub fn standard_ExecutorStart(query: *mut pg_sys::QueryDesc, flags: i32);
        #[cfg(not(feature = "pg18"))]
        pub fn standard_ExecutorRun(
            query: *mut pg_sys::QueryDesc,
            direction: pg_sys::ScanDirection::Type,
            rows: u64,
            once: bool,
        );
        #[cfg(feature = "pg18")]
        pub fn standard_ExecutorRun(
            query: *mut pg_sys::QueryDesc,
            direction: pg_sys::ScanDirection::Type,
            rows: u64,
        );
        pub fn ExecInitNode(
            plan: *mut pg_sys::Plan,
            estate: *mut pg_sys::EState,
            flags: i32,
        ) -> *mut PlanState;
        pub fn ExecReScan(node: *mut PlanState);
        pub fn ExecEndNode(node: *mut PlanState);
    }
}

/// Calls the server. An error that it raises unwinds our frames up to [`callback`].
///
/// # Safety
/// `server` does nothing but call functions of the server's.
unsafe fn call_server<T>(server: impl FnOnce() -> T) -> T {
    let mut result = MaybeUninit::uninit();
    // SAFETY: the server's stack of handlers is restored however this is left; what it points to lives until then.
    unsafe {
        let (handlers, contexts) = (pg_sys::PG_exception_stack, pg_sys::error_context_stack);
        let raised = call_with_sigsetjmp(false, |buffer| {
            pg_sys::PG_exception_stack = std::ptr::from_ref::<SigJmpBufFields>(buffer).cast_mut().cast();
            result.write(server());
            0
        });
        pg_sys::PG_exception_stack = handlers;
        pg_sys::error_context_stack = contexts;
        if raised != 0 {
            resume_unwind(Box::new(ServerError));
        }
        result.assume_init()
    }
}

/// The body of a function that the server calls. Lets errors of the server's go on where they were going.
pub fn callback<T>(body: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        // SAFETY: the server has an error in hand, and our frames have been left.
        Err(payload) if payload.is::<ServerError>() => unsafe { raw::pg_re_throw() },
        Err(payload) => resume_unwind(payload),
    }
}

/// Plans a query as the server would without us.
///
/// # Safety
/// The arguments are what the server gives to planners.
pub unsafe fn plan(
    before: pg_sys::planner_hook_type,
    query: *mut pg_sys::Query,
    text: *const c_char,
    cursor_options: i32,
    parameters: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    let planner = before.unwrap_or(raw::standard_planner);
    // SAFETY: as the caller promises.
    unsafe { call_server(|| planner(query, text, cursor_options, parameters)) }
}

/// Begins to execute a query as the server would without us.
///
/// # Safety
/// The arguments are what the server gives to executors.
pub unsafe fn start(before: pg_sys::ExecutorStart_hook_type, query: *mut pg_sys::QueryDesc, flags: i32) {
    let executor = before.unwrap_or(raw::standard_ExecutorStart);
    // SAFETY: as the caller promises.
    unsafe { call_server(|| executor(query, flags)) }
}

/// Runs a command as the server would without us.
///
/// # Safety
/// The arguments are what the server gives to hooks of commands.
#[allow(clippy::too_many_arguments)]
pub unsafe fn utility(
    before: pg_sys::ProcessUtility_hook_type,
    planned: *mut pg_sys::PlannedStmt,
    text: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    let run = before.unwrap_or(raw::standard_ProcessUtility);
    // SAFETY: as the caller promises.
    unsafe {
        call_server(|| {
            run(planned, text, read_only_tree, context, parameters, environment, destination, completion);
        });
    }
}

/// Runs a query as the server would without us.
///
/// # Safety
/// The arguments are what the server gives to executors.
#[cfg(not(feature = "pg18"))]
pub unsafe fn run(
    before: pg_sys::ExecutorRun_hook_type,
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    rows: u64,
    once: bool,
) {
    let executor = before.unwrap_or(raw::standard_ExecutorRun);
    // SAFETY: as the caller promises.
    unsafe { call_server(|| executor(query, direction, rows, once)) }
}

/// Runs a query as the server would without us.
///
/// # Safety
/// The arguments are what the server gives to executors.
#[cfg(feature = "pg18")]
pub unsafe fn run(
    before: pg_sys::ExecutorRun_hook_type,
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    rows: u64,
) {
    let executor = before.unwrap_or(raw::standard_ExecutorRun);
    // SAFETY: as the caller promises.
    unsafe { call_server(|| executor(query, direction, rows)) }
}

/// Begins to execute an input.
///
/// # Safety
/// As of the server's function of that name.
pub unsafe fn init_node(plan: *mut pg_sys::Plan, estate: *mut pg_sys::EState, flags: i32) -> *mut PlanState {
    // SAFETY: as the caller promises.
    unsafe { call_server(|| raw::ExecInitNode(plan, estate, flags)) }
}

/// Ends the execution of an input.
///
/// # Safety
/// As of the server's function of that name.
pub unsafe fn end_node(node: *mut PlanState) {
    // SAFETY: as the caller promises.
    unsafe { call_server(|| raw::ExecEndNode(node)) }
}

/// Begins an input anew.
///
/// # Safety
/// As of the server's function of that name.
pub unsafe fn rescan(node: *mut PlanState) {
    // SAFETY: as the caller promises.
    unsafe { call_server(|| raw::ExecReScan(node)) }
}

/// The next row of an input, if there is one.
///
/// # Safety
/// The input has begun.
pub unsafe fn next_row(node: *mut PlanState) -> Option<*mut TupleTableSlot> {
    // SAFETY: as the caller promises; a plan node that has begun has a function for its rows.
    unsafe {
        let slot = call_server(|| {
            if !(*node).chgParam.is_null() {
                raw::ExecReScan(node);
            }
            (*node).ExecProcNode.map_or(std::ptr::null_mut(), |next| next(node))
        });
        let empty = slot.is_null() || u32::from((*slot).tts_flags) & pg_sys::TTS_FLAG_EMPTY != 0;
        (!empty).then_some(slot)
    }
}

/// The value of an expression, in the current memory context; nothing for NULL.
///
/// # Safety
/// The context holds the rows that the expression refers to.
pub unsafe fn evaluate(state: *mut ExprState, context: *mut ExprContext) -> Option<pg_sys::Datum> {
    let mut null = true;
    // SAFETY: as the caller promises; a prepared expression has a function for its value.
    unsafe {
        let value = call_server(|| (*state).evalfunc.map(|value| value(state, context, &raw mut null)));
        value.filter(|_| !null)
    }
}

/// Whether a condition holds; a null pointer stands for one that always does.
///
/// # Safety
/// As [`evaluate`].
pub unsafe fn holds(condition: *mut ExprState, context: *mut ExprContext) -> bool {
    // SAFETY: as the caller promises. The server compiles a list of conditions so that it isn't NULL.
    unsafe {
        if condition.is_null() {
            return true;
        }
        let before = pg_sys::MemoryContextSwitchTo((*context).ecxt_per_tuple_memory);
        let value = evaluate(condition, context);
        pg_sys::MemoryContextSwitchTo(before);
        value.is_some_and(|value| value.value() != 0)
    }
}

/// Computes a target list into its row.
///
/// # Safety
/// As [`evaluate`], and the projection is one of a node that has begun.
pub unsafe fn project(projection: *mut pg_sys::ProjectionInfo) -> *mut TupleTableSlot {
    // SAFETY: as the caller promises.
    unsafe {
        let context = (*projection).pi_exprContext;
        let state = &raw mut (*projection).pi_state;
        let slot = (*state).resultslot;
        pg_sys::ExecClearTuple(slot);
        let before = pg_sys::MemoryContextSwitchTo((*context).ecxt_per_tuple_memory);
        evaluate(state, context);
        pg_sys::MemoryContextSwitchTo(before);
        pg_sys::ExecStoreVirtualTuple(slot)
    }
}
