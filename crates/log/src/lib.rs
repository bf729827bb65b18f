//! The server log, as far as the engine has one: its standard error.
//!
//! It must not know who writes what; it depends on nothing, so that every crate may use it.
//! Invariant: writing never stops the engine.

#![forbid(unsafe_code)]

use std::io::{self, Write};

/// Writes a line to the server log, as far as there is one.
pub fn note(line: &str) {
    // At once, so that lines of several threads don't mix; and a log that can't be written to must not stop the
    // engine, as `eprintln!` would.
    let _ = io::stderr().write_all(format!("ecommerce_ml engine: {line}\n").as_bytes());
}
