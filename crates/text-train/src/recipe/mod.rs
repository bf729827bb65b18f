//! What fine-tuning needs apart from a network: options, data order, changes to texts, loss, optimizer.
//!
//! # Layout
//! - [`options`]: what the user may choose, under Hugging Face's names.
//! - [`batches`]: which rows come together, and in which order.
//! - [`augment`]: other words for the same.
//! - [`loss`]: how wrong outputs are, and in which direction.
//! - [`optimizer`]: gradients to changes of the weights.
//! - [`schedule`]: how large those are.
//!
//! It must not know networks or where rows come from: it works on numbers in slices and, in [`augment`], on texts.
//! Invariant: the same rows, options and seed give the same data order and the same bits, also when a training goes on
//! from a checkpoint.

pub mod augment;
pub mod batches;
pub mod loss;
pub mod optimizer;
pub mod options;
pub mod schedule;
