//! Models of table columns.
//!
//! # Layout
//! - [`trees`]: boosted trees, the kind `boosted_trees`; [`linear`]: logistic and ridge regression, the kind `linear`.
//! - [`isolation`]: how unlike others rows are, the kind `isolation_forest`.
//! - `columns`: the columns that a model reads, found among those that came.
//! - `call`: what trainings of both are called with.
//! - [`texts`]: columns of text that a text model reads, before any other model sees them.
//! - `score`: sums to answers; [`predictor`]: a loaded model behind the boundary of all kinds.
//! - `findings`: columns that tell the label alone, and columns that tell nothing.
//! - `threads`: the threads that models of this crate compute on; `dot`: sums of products.
//!
//! It must not know tokens or encoders, nor requests, clients and PostgreSQL.
//! Invariant: what a row is answered depends on that row and the model alone: not on the other rows, their order, or the number
//! of threads.

#![forbid(unsafe_code)]

mod call;
mod columns;
mod dot;
mod findings;
pub mod isolation;
pub mod linear;
pub mod predictor;
mod score;
pub mod texts;
mod threads;
pub mod trees;

pub use isolation::IsolationForest;
pub use linear::Linear;
pub use score::Head;
pub use trees::BoostedTrees;
