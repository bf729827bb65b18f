//! Networks on a GPU, but for the GPU: the same kernels run on the CPU, one thread after the other.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod backend;
mod inference;
#[allow(dead_code, reason = "trainings on the CPU use the rest")]
#[path = "../trainer/kit.rs"]
mod kit;
mod orders;
#[path = "../support/mod.rs"]
mod support;
mod training;
mod updating;
