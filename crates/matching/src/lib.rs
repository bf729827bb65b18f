//! Which of many answered questions are like a new one.
//!
//! # Layout
//! - [`terms`]: what a text is made of: the lexemes of a `tsvector`, and pairs of characters where words have no spaces between.
//! - [`bm25`]: how much of a question the terms of a row cover.
//! - [`embedding`]: how alike embeddings are.
//! - [`ranking`]: both scores fused, the best question of each answer, the best answers.
//! - [`confidence`]: how often an answer like the first one is right.
//!
//! It must not know where texts and embeddings come from: no PostgreSQL, no models, no I/O. Invariant: the same rows give the same
//! answers, in whatever order they come.

#![forbid(unsafe_code)]

pub mod bm25;
pub mod confidence;
pub mod embedding;
pub mod ranking;
pub mod terms;
