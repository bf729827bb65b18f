//! Models and trainings in the database: what there is, who may use it, where its content lies.
//!
//! # Layout
//! - [`name`]: `name` and `name@version`.
//! - [`resolve`]: from a name to what the engine is asked for, cached in the session.
//! - [`versions`]: adding, deploying, rolling back, dropping, pinning, granting.
//! - [`content`]: the files of a version, in chunks; `chunking`: where a file is cut into them.
//! - [`arguments`]: what a training was called with.
//! - [`jobs`] and [`checkpoints`]: trainings, and where they go on.
//! - [`schedules`] and [`trained_rows`]: trainings again and again, and the fingerprints of the rows that they were trained on.
//! - [`alerts`]: what somebody should look at.
//! - [`roles`]: roles that rows name, and how the server knows of them.
//! - [`statement`]: statements against our own tables; [`snapshot`]: what they see.
//! - [`privilege`]: working with our own tables on behalf of any role; [`session`]: what names and conditions mean to it.
//!
//! It must not know how an engine is reached. Invariant: a version's content never changes, and has the SHA-256 that
//! names it.

pub mod alerts;
pub mod arguments;
pub mod checkpoints;
mod chunking;
pub mod content;
pub mod jobs;
pub mod name;
pub mod privilege;
pub mod resolve;
pub mod roles;
pub mod schedules;
pub mod session;
mod snapshot;
pub mod statement;
pub mod trained_rows;
pub mod versions;
