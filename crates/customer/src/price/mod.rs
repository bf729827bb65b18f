//! How sales respond to prices.
//!
//! # Layout
//! - [`panel`]: what was sold of each series in each period; [`regression`]: slopes with fixed effects and clustered errors; [`linear`]: their
//!   equations; [`shrinkage`]: each slope in the light of the others; [`response`]: all levels, with what to mind; [`held_out`]: what
//!   that is worth on later periods.
//!
//! It must not know messages or models. Invariant: the same sales give the same elasticities, in whatever order they come.

pub mod held_out;
pub mod linear;
pub mod panel;
pub mod regression;
pub mod response;
pub mod shrinkage;
