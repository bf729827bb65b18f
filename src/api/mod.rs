//! The SQL functions.
//!
//! # Layout
//! - [`text`]: the functions of review text; [`row`]: those of rows.
//! - [`aggregate`]: the summaries of many reviews.
//! - [`explain`]: what made predictions; [`aspects`]: the aspects that reviews speak of; [`anomalies`]: what is unlike the rest.
//! - [`evaluate`]: metrics of models and of predictions.
//! - [`drift`]: whether rows, and what a model says of them, are still what they were.
//! - [`forecasts`]: what series come to; [`orders`]: what to order of them; [`lifetimes`]: what customers will do; [`prices`]: how sales respond to
//!   prices.
//! - [`planning`]: what to order, at what price; what changed, and why: no model is asked.
//! - [`answers`]: answers to questions like earlier ones.
//! - [`training`]: trainings in the background; [`schedules`]: again and again.
//! - [`kept_columns`]: columns that hold what models say of rows.
//! - [`watched_rows`]: rows that a model has a look at when they are written.
//! - [`training_window`]: what was known of customers at a moment, and what came after.
//! - [`models`]: deploying, rolling back, dropping, pinning, granting.
//! - [`import`] and [`export`]: models to and from Hugging Face layout.
//! - [`options`]: options given as JSON; [`arguments`]: counts.
//! - [`recommend`]: what customers may want next, and what is like an item.
//! - [`report`]: what many reviews say, in tables and on a page.
//! - [`roles`]: roles that may not be there, and what triggers and event triggers call.
//! - [`stats`]: the engine's state as rows.
//!
//! Each `#[pg_extern]` is thin: it reads its arguments, calls plain Rust, and turns the error into a report. What it is
//! called in SQL stands in `sql/ecommerce_ml--*.sql`, kept by hand; the symbol is the Rust name with `_wrapper`.

// The server's error report is large, and only made when a statement fails.
#![allow(clippy::result_large_err)]

mod aggregate;
mod anomalies;
mod answers;
mod arguments;
mod aspects;
mod columns;
mod drift;
mod evaluate;
mod explain;
mod export;
mod forecasts;
mod import;
mod kept_columns;
mod lifetimes;
mod models;
mod options;
mod orders;
mod planning;
mod prices;
mod recommend;
mod report;
mod roles;
mod row;
mod schedules;
mod stats;
mod text;
mod training;
mod training_window;
mod watched_rows;

pub use row::input_error;

use crate::inference::{InputKind, ModelFunction};

pub use explain::interval_at;

/// Which function of a single input is at this address, and what it reads.
pub fn batchable(address: usize) -> Option<(ModelFunction, InputKind)> {
    text::function_at(address).or_else(|| row::function_at(address))
}
