//! Which items a customer turns to next, learned from who had to do with which items before.
//!
//! # Layout
//! From the bottom up:
//! - [`matrix`]: sparse matrices; `cholesky`: the inverse of a large symmetric one.
//! - [`interactions`]: rows put together to pairs of customer and item; [`weighting`]: what a pair counts, and how that fades.
//! - [`ease`]: item-item weights in closed form; [`factors`]: vectors, [`als`]: those by alternating least squares, `conjugate`: its steps; [`ranking`]: the best of many scores.
//! - [`scorer`]: scores of all items for one history, whichever of both computes them, and what each of them is made of.
//! - [`diversity`]: items of a list that are unlike each other; [`item_set`]: items to choose from; [`model`]: a scorer with names, histories and popularity: what answers.
//! - [`described`]: texts of items, and how alike they are; [`cold`]: items without a sale, by those; `extension`: a model with more items.
//! - [`split`]: which pairs are held out; [`evaluation`]: what rankings are worth on them; [`quality`]: what those of a model are worth on pairs that came later;
//!   [`options`]: what a training is asked to do; [`selection`]: choosing settings; [`incumbent`]: a new model beside the live one; [`training`]: all of it, from
//!   interactions to a model that was measured.
//! - [`kind`]: the kind `recommendation` of models: files, requests and jobs. Nothing else here knows these.
//!
//! It must not know PostgreSQL, or clients. Invariant: the same interactions and settings give the same model and the same
//! answers, bit by bit, in whatever order the rows came and with any number of threads.

#![forbid(unsafe_code)]

pub mod als;
mod cholesky;
pub mod cold;
mod conjugate;
pub mod described;
pub mod diversity;
pub mod ease;
pub mod evaluation;
mod extension;
pub mod factors;
pub mod incumbent;
pub mod interactions;
pub mod item_set;
pub mod kind;
pub mod matrix;
pub mod model;
pub mod options;
pub mod quality;
pub mod ranking;
pub mod scorer;
pub mod selection;
pub mod split;
pub mod training;
pub mod weighting;

pub use cholesky::{NotPositiveDefinite, SymmetricMatrix};
pub use interactions::{Event, Interactions};
pub use kind::Recommendation;
pub use matrix::SparseMatrix;
pub use model::Recommender;
pub use weighting::Weighting;
