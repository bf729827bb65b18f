//! Trainings of tiny models from rows to files, without PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

#[path = "../support/mod.rs"]
mod support;

mod augmenting;
mod calibrating;
mod kit;
mod learning;
mod measuring;
mod other_encoders;
mod process;
mod refusing;
mod resuming;
mod saving;
mod searching;
