//! The engine as its clients see it, without PostgreSQL and mostly without real models.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod alone;
mod batches;
mod bench;
mod chunking;
mod client;
mod connections;
mod fake;
mod garbage;
mod hub;
mod kinds;
mod kit;
mod models;
mod process;
mod results;
mod scheduling;
mod underway;
mod uploads;
