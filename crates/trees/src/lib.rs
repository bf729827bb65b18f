//! Trees whose values add up, as kinds of models share them.
//!
//! # Layout
//! - [`forest`]: trees, and the sums that they come to; [`booster_file`]: the same in XGBoost's JSON.
//!
//! It must not know what features are, how trees are grown, or what sums mean. Invariant: whatever a file has, what it is read to has a
//! leaf for every row.

#![forbid(unsafe_code)]

pub mod booster_file;
pub mod forest;
