//! What models and predictions are worth, measured on the rows of a relation.
//!
//! # Layout
//! - [`model_classes`]: which class of a model a label of the user's means.
//! - [`columns`]: which columns of a relation a model is measured on.
//! - [`pipeline`]: rows through a model while the next are read.
//! - [`measure`]: a model against labels.
//! - [`recommendations`]: rankings against what customers turned to.
//! - [`series`]: forecasts against what came; [`lifetimes`]: customers against what they did.
//! - [`predictions`]: two columns against each other.
//!
//! It must not know how a metric is computed: that is `ecommerce_ml_metrics`. Invariant: rows are read by a statement
//! of the calling role, so privileges and row security hold, and no more than two batches of them are held.

mod columns;
mod lifetimes;
mod measure;
mod model_classes;
mod pipeline;
mod predictions;
mod recommendations;
mod series;

pub use columns::{NamedColumns, inputs_of, selected};
pub use measure::{confusion, held_out, measure};
pub use model_classes::ModelClasses;
pub use predictions::compare;
