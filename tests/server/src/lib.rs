//! Private clusters, and what tests of the installed extension do with them.
//!
//! # Layout
//! - [`batches`]: what batching is called, how a plan shows it, and what the engine was asked.
//! - [`cluster`]: a PostgreSQL cluster of one's own, removed when dropped.
//! - [`corpus`]: statements in number, to be answered alike with and without batches.
//! - [`installation`]: where the server and the extension are installed, and as whom a cluster runs.
//! - [`processes`]: the engine processes of a cluster, as the kernel lists them.
//! - [`jobs`]: rows to learn from, and trainings small enough to wait for.
//! - [`statement`]: short ways to ask one thing, and to say how a statement must fail.
//! - [`fixtures`]: copies of the reference models, whole or damaged.
//! - [`hub`]: a Hugging Face hub of one repository, on this machine.
//! - [`readme`]: the documents of the manual, and their SQL blocks.
//! - [`links`]: links, headings and tables of Markdown.
//! - [`wait`]: waiting for a condition, with a limit.
//!
//! The tests are in `tests/`, a theme a file. They need `make install` and either root, whose clusters run as
//! user postgres, or any other user.

pub mod batches;
pub mod cluster;
pub mod corpus;
pub mod fixtures;
pub mod hub;
pub mod installation;
pub mod jobs;
pub mod links;
pub mod processes;
pub mod readme;
pub mod statement;
pub mod wait;

pub use cluster::{Cluster, Shutdown};
pub use statement::{ask, fails_with, predict, texts_of_any_length};
pub use wait::{eventually, wait_for};
