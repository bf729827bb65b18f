//! Models of table columns: numbers equal to scikit-learn's and XGBoost's, damaged files, inputs that don't fit, trainings and what doesn't change
//! them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod answering;
mod damaged;
mod golden;
mod isolation;
mod kit;
mod learning;
mod refusing;
mod resuming;
mod searching;
mod texts;
mod trained;
mod trees;
