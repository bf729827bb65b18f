//! The engine's kernels by themselves.

#![allow(dead_code, reason = "only the tests use them here")]

/// As much of the engine's module of this name as the kernels need.
pub mod config {
    /// The same as the engine's.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Activation {
        GeluErf,
        GeluTanh,
        Relu,
    }
}

/// The engine's files.
#[path = "../../../crates/engine/src/cpu"]
pub mod cpu {
    mod attention;
    mod dense;
    mod functions;
    pub mod image;
    pub mod kernels;
    mod linear;
    mod peak;
    mod rows;
    mod simd;
    mod team;
    #[cfg(test)]
    mod tests;
}
