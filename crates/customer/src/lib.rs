//! What customers will do, learned from when they bought, and for how much; and how what is sold responds to its price.
//!
//! # Layout
//! - [`history`]: what is known of a customer; [`ledger`]: the purchases of all.
//! - [`purchases`]: how often a customer buys, and whether he still does: BG/NBD and MBG/NBD.
//! - [`spend`]: what a purchase is worth: Gamma-Gamma.
//! - [`value`]: both together: what a customer will spend, with an interval.
//! - [`learning`]: how much of the past to learn from, and what that is worth on the time that is held out, beside past rates carried on.
//! - [`kind`]: models of all of this: options, trainings, answers.
//! - [`price`]: how sales respond to prices: fixed effects, clustered errors, empirical Bayes; [`elasticity`]: models of that.
//! - [`files`]: the files of both.
//! - [`fit`]: maximum likelihood from several starts, or why there is none; [`minimize`]: the method.
//! - [`special`]: functions that the standard library lacks; [`random`]: random numbers.
//!
//! It must not know PostgreSQL or clients, nor other kinds; what is not in [`kind`], [`elasticity`] or [`files`] knows no messages either. Invariant: parameters are
//! those of a maximum that was reached, or there are none; the same histories give the same parameters, in whatever order they come.

#![forbid(unsafe_code)]

pub mod elasticity;
pub mod files;
pub mod fit;
pub mod history;
pub mod kind;
pub mod learning;
pub mod ledger;
pub mod minimize;
pub mod price;
pub mod purchases;
pub mod random;
pub mod special;
pub mod spend;
pub mod value;

pub use fit::FitError;
pub use history::History;
pub use purchases::{Loss, Purchases};
pub use spend::Spend;
