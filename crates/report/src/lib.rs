//! What many reviews say: what changed against the period before, and whether chance explains it, in tables, sentences and pictures.
//!
//! # Layout
//! - [`input`]: what is reported on: counts of rows, and reviews with what a model read in them.
//! - [`spans`]: which period is reported on, and which is the one before.
//! - [`words`]: words of a text.
//! - [`analysis`]: from the input to the report: tests, ranking, examples.
//! - [`report`]: the report as plain structs, whose fields are those of the JSON.
//! - [`sections`]: the report as rows of JSON.
//! - [`sentences`]: what changed, in words.
//! - [`page`]: the report as one HTML page.
//! - [`picture`]: pictures in SVG: charts of the report, and a forecast.
//! - [`markup`]: texts that become part of HTML and SVG.
//! - [`numbers`]: numbers and dates as people read them.
//!
//! It must not know where reviews come from or how a model reads: no PostgreSQL, no models, no I/O. Invariant: the same input gives
//! the same report, to the byte, and no text of the input becomes markup.

#![forbid(unsafe_code)]

pub mod analysis;
pub mod input;
pub mod markup;
pub mod numbers;
pub mod page;
pub mod picture;
pub mod report;
pub mod sections;
pub mod sentences;
pub mod spans;
pub mod words;

pub use analysis::Analysis;
