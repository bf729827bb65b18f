//! `ecommerce_ml` turns review text into columns. This crate is its PostgreSQL side.
//!
//! # Layout
//! - [`api`]: the SQL functions, thin.
//! - [`aggregate`]: what they need to summarize many reviews.
//! - [`evaluation`]: models and predictions measured on the rows of a relation.
//! - [`drift`]: whether rows, and what a model says of them, are still what they were.
//! - [`explanation`]: what made predictions, of an input or of the rows of a relation.
//! - [`aspects`]: the aspects that a review speaks of, and what a model says of each.
//! - [`planning`]: what the rows of a relation say of time, segments and customers.
//! - [`reporting`]: what the reviews of a relation say, in a report.
//! - [`matching`]: answers to questions like those that a relation has answers to.
//! - [`executor`]: the plan node that sends many rows' inputs at once, and the rewriting of plans that puts it in.
//! - [`inference`]: inputs in, answers out.
//! - [`jobs`]: trainings in the background.
//! - [`kept_columns`]: columns of tables that hold what an expression over models says of each row.
//! - [`background`]: what background workers have in common.
//! - [`training_window`]: what was known of customers at a moment, and what came after.
//! - [`catalog`]: models, their files and trainings in our tables; who may use them.
//! - [`commands`]: what REASSIGN OWNED and DROP OWNED are for them.
//! - [`client`]: asks the engine on behalf of a session.
//! - [`supervisor`]: the background worker that starts and watches the engine.
//! - [`columns`]: rows of the server's as the typed columns that models read.
//! - [`relation`] and [`rows`]: what a call names, and what a query returns.
//! - [`engine_process`] and [`stream`]: an engine process, and a connection to one.
//! - [`runtime`]: names of the files that sessions and supervisor share.
//! - [`latch`]: the one way in which this extension waits.
//! - [`guc`]: the settings.
//! - [`error`]: every failure and its SQLSTATE.
//!
//! It must not know how a model works: that is the engine's, a process of its own, reached through
//! `ecommerce_ml_protocol`. Invariant: no thread is started and no model code runs in a server process.

#![allow(unsafe_code, reason = "PostgreSQL is called in C; each block says why it is sound")]

mod aggregate;
mod api;
mod aspects;
mod background;
mod catalog;
mod client;
mod columns;
mod commands;
mod drift;
mod engine_process;
mod error;
mod evaluation;
mod executor;
mod explanation;
mod guc;
mod inference;
mod jobs;
mod kept_columns;
mod latch;
mod matching;
mod planning;
mod relation;
mod reporting;
mod rows;
mod runtime;
mod stream;
mod supervisor;
mod training_window;

pgrx::pg_module_magic!(name, version);

/// Called by the server when it loads the library.
#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    hide_call_stacks();
    guc::init();
    supervisor::init();
    jobs::launch::init();
    executor::init();
    commands::init();
}

/// Where the server's environment says `RUST_BACKTRACE=1`, pgrx would append the call stack to the DETAIL of every error
/// that passes through it. Who wants that sets `RUST_LIB_BACKTRACE`.
fn hide_call_stacks() {
    const VARIABLE: &str = "RUST_LIB_BACKTRACE";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: a server process has one thread.
        unsafe { std::env::set_var(VARIABLE, "0") };
    }
}
