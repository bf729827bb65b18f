//! The kernels of `crates/tensor-cpu` by themselves.

#![allow(dead_code, reason = "only the tests use them here")]

/// Some of the crate's files.
#[path = "../../../crates/tensor-cpu/src"]
pub mod cpu {
    mod attention;
    mod dense;
    mod functions;
    mod gradients;
    pub mod prepacked;
    pub mod kernels;
    mod linear;
    mod peak;
    mod quantised;
    mod registers;
    mod rows;
    mod simd;
    mod thread_pool;
    #[cfg(test)]
    mod tests;
}
