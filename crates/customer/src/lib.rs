//! What customers will do, learned from when they bought, and for how much.
//!
//! # Layout
//! - [`history`]: what is known of a customer.
//! - [`purchases`]: how often a customer buys, and whether he still does: BG/NBD.
//! - [`spend`]: what a purchase is worth: Gamma-Gamma.
//! - [`value`]: both together: what a customer will spend, with an interval.
//! - [`fit`]: maximum likelihood from several starts, or why there is none; [`minimize`]: the method.
//! - [`special`]: functions that the standard library lacks; [`random`]: random numbers.
//!
//! It must not know where purchases come from: no PostgreSQL, no I/O. Invariant: parameters are those of a maximum that was reached,
//! or there are none; the same histories give the same parameters, in whatever order they come.

#![forbid(unsafe_code)]

pub mod fit;
pub mod history;
pub mod minimize;
pub mod purchases;
pub mod random;
pub mod special;
pub mod spend;
pub mod value;

pub use fit::FitError;
pub use history::History;
pub use purchases::Purchases;
pub use spend::Spend;
