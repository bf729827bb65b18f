//! Which phrases drive what a model says of many texts: contributions of words, put together to phrases and counted.
//!
//! # Layout
//! - [`words`]: pieces of a text to words.
//! - [`extraction`]: words to phrases.
//! - [`tally`]: phrases of many texts, counted.
//!
//! It must not know models. Invariant: the same texts with the same contributions give the same phrases, in whatever order they
//! come.

pub mod extraction;
pub mod tally;
pub mod words;

pub use extraction::{Phrase, extract, means_nothing};
pub use tally::{CountedPhrase, PhraseTally};
pub use words::Piece;
