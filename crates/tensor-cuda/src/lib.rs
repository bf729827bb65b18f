//! Numbers on devices with memory of their own: NVIDIA GPUs, by CUDA.
//!
//! # Layout
//! - [`backend`]: what a GPU can do: keep bytes, run kernels, multiply matrices. The kernels' source is in `kernels/` of
//!   this crate.
//! - `gpu`: the backend that is a real GPU; only with feature `cuda`, which is all that needs `nvcc`. Tests have another, which runs the
//!   same kernels on the CPU.
//!
//! candle has a CUDA backend too. A binary that links it doesn't start where there is no driver, and it has no attention for
//! sequences without padding nor layer norms fused with the sums before them.
//!
//! It must not know networks, text or files, nor what computes on the CPU.
//! Invariant: work is done in the order in which it is given.

pub mod backend;
#[cfg(feature = "cuda")]
#[allow(unsafe_code, reason = "calls into NVIDIA's libraries; each block says why it is sound")]
mod gpu;

pub use backend::{GpuBackend, GpuError, HalfPrecision, MemoryUse};
#[cfg(feature = "cuda")]
pub use gpu::Gpu;
