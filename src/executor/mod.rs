//! Plain SQL at batch speed: a plan node that fetches a window of rows, sends their inputs at once, and emits the rows
//! with the answers as columns.
//!
//! # Layout
//! - [`hooks`]: when plans are rewritten.
//! - [`rewrite`]: where in a plan a node helps, and may stand; [`prefetch_safety`]: whether rows may be fetched ahead there;
//!   [`call_pushdown`]: what joins, aggregates and window functions compute from their input; [`lateral`]: what functions in FROM
//!   compute from the other side of a loop; [`intervals`]: tables of a row, taken apart so that calls can be; [`targetlist`]: taking a
//!   plan node's expressions out of it.
//! - [`plan_builder`]: the plan nodes that are put in; [`expression`] and [`plan_walker`]: the server's trees, walked.
//! - [`read_ahead`]: how far ahead each node may fetch rows; [`error_free`]: whether fetching them can raise errors.
//! - [`functions`]: which functions of a plan are ours; [`cost`]: what the planner is told about them.
//! - [`node`]: the plan node as the executor sees it; [`scan`]: rows in, windows, rows out; [`window`]: rows whose inputs
//!   are being answered; [`input_expressions`]: what its calls ask about; [`window_size`]: how many rows a window holds;
//!   [`models`]: the models of one execution; [`unused_columns`]: columns that needn't be kept.
//! - [`running`]: the statements that the server is executing.
//! - [`error_bridge`]: the server's own errors on their way through our frames.
//! - [`counters`] and [`explain`]: what EXPLAIN tells.
//!
//! It must not know what a model computes. Invariant: a query gives the answers that it gives row by row; where that
//! can't be told from the plan, the plan is left alone.

mod call_pushdown;
mod cost;
mod counters;
pub mod error_bridge;
mod error_free;
mod explain;
pub mod expression;
mod functions;
mod hooks;
mod input_expressions;
mod intervals;
mod lateral;
mod models;
mod node;
mod plan_builder;
pub mod plan_walker;
mod prefetch_safety;
mod read_ahead;
mod rewrite;
pub mod running;
mod scan;
mod targetlist;
mod unused_columns;
mod window;
mod window_size;

/// Called when the library is loaded.
pub fn init() {
    node::init();
    hooks::init();
}
