//! The engine of `ecommerce_ml`: everything about models, nothing about PostgreSQL. This crate is the program around the others.
//!
//! # Layout
//! - [`registry`]: the kinds of models; [`shared`]: models that other models hold.
//! - [`engine`]: what each request means.
//! - [`hub`]: downloads from a Hugging Face hub.
//! - [`evaluate`]: what a training's models say of what was held out.
//!
//! Being a program:
//! - [`cli`]: the command line.
//! - [`serve`], [`train`], [`predict`], [`mod@bench`]: the modes.
//! - [`process`]: what the process inherits, and when it ends.
//!
//! It must not compute: it only puts together what the other crates do, and no crate knows it.
//! Invariant: whatever comes in, by socket, pipe or file, is answered with a value or an
//! [`EngineError`](ecommerce_ml_protocol::EngineError); the process goes on.

#![forbid(unsafe_code)]

pub mod bench;
pub mod cli;
pub mod engine;
pub mod evaluate;
pub mod hub;
pub mod predict;
pub mod process;
pub mod registry;
pub mod serve;
pub mod shared;
pub mod train;
