//! Models of table columns: numbers equal to scikit-learn's, damaged files, inputs that don't fit.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod answering;
mod damaged;
mod kit;
