//! Which aspects of what was bought a review speaks of, and where.
//!
//! # Layout
//! - [`words`]: the words of a text, and where they stand.
//! - [`sentences`]: where a sentence ends.
//! - [`vocabulary`]: terms that speak of aspects, found in words.
//! - [`lexicon`]: the terms of the aspects of shops, in `lexicon.txt`.
//! - [`clauses`]: sentences cut where another aspect, or a contrast, begins.
//! - [`aspects`]: the aspects that are asked for, and the clauses that speak of them.
//!
//! It must not know where texts come from, nor what is felt about an aspect: no PostgreSQL, no models, no I/O. Invariant: a clause is
//! a part of the text as it was given, and clauses stand in its order and don't overlap.

#![forbid(unsafe_code)]

pub mod aspects;
pub mod clauses;
pub mod lexicon;
pub mod sentences;
pub mod vocabulary;
pub mod words;
