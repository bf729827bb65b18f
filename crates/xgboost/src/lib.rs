//! A safe part of XGBoost's C interface, opened at run time: enough to boost trees by gradients of one's own.
//!
//! # Layout
//! - [`library`]: the shared library and its functions; [`matrix`]: rows to learn from; [`booster`]: trees being grown.
//!
//! The functions are those that versions 1.7 to 3.0 share: [`library`] says which one stands in where they differ.
//! It must not know where rows come from or what is learned. Invariant: handles are freed once, before the library is closed, and
//! what the library hands out is copied before it is called again.

#![allow(unsafe_code, reason = "functions of a C library are called")]

mod booster;
mod library;
mod matrix;

pub use booster::Booster;
pub use library::{Error, Library};
pub use matrix::Matrix;
