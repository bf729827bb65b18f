//! Numbers on the CPU: kernels for each instruction set, products of matrices, the threads that share them, and prepared
//! weights as they lie in memory or in a file, up to an encoder of packed sequences in `f32` or in bytes.
//!
//! # Layout
//! From the instructions up:
//! - `simd`: vectors of numbers, once for each instruction set.
//! - `functions`: exponential, GELU.
//! - `dense`, `rows`, `attention`, `registers`: the kernels, generic over the instruction set.
//! - `gradients`: more of them, for training.
//! - [`kernels`]: the kernels behind safe functions, chosen at run time.
//!
//! From the weights up:
//! - [`prepacked`]: prepacked weights in memory or in a mapped file.
//! - `shape`: sizes.
//! - `linear`, `embeddings`, `layer`, `head`: the parts of the network.
//! - `encoder`: batches of sequences through the parts, among threads as `division` says; `layerwise`: a layer at a time.
//! - [`product`]: products of plain matrices, [`vectors`]: those of a vector with some rows of one, for training.
//! - `peak`, [`samples`]: what the machine can do, and kernels at work, for benchmarks; `speed`: which precision is faster.
//! - `cpu`: the processor that all this runs on, and its threads: `thread_pool`; `shared`: the memory that they share.
//!
//! It must not know text, labels, names of weights or files of models, nor the protocol: it depends on no crate of this
//! workspace. All of the engine's `unsafe` code is here, but for that of GPUs. `tests/arm` compiles some of these files by
//! themselves, which is why they name each other by `super`.
//!
//! Invariant: a sequence's result has the same bits whatever else is in the batch and however many threads there are.

#![allow(
    unsafe_code,
    reason = "instructions, and memory that threads share; each block says why it is sound"
)]

mod attention;
mod cpu;
mod dense;
mod division;
mod embeddings;
mod encoder;
mod functions;
mod gradients;
mod head;
pub mod kernels;
mod layer;
mod layerwise;
mod linear;
mod peak;
pub mod prepacked;
pub mod product;
mod quantised;
mod registers;
mod rows;
pub mod samples;
mod shape;
mod shared;
mod simd;
mod speed;
mod thread_pool;
pub mod vectors;

pub use cpu::{Cpu, KERNELS_VARIABLE, MissingKernels};
pub use embeddings::{EmbeddingWeights, WordWeights, pack_embeddings};
pub use encoder::{PackedEncoder, Pooling, Sequence};
pub use functions::Activation;
pub use head::{Head, HeadActivation, HeadWeights, pack_head, softmax};
pub use kernels::Kernels;
pub use layer::{LayerNormWeights, LayerRanges, LayerWeights, pack_layer};
pub use layerwise::LayerwiseStates;
pub use linear::{DenseWeights, Precision};
pub use peak::Peak;
pub use prepacked::{PrepackedBuilder, PrepackedWeights};
pub use shape::{EncoderSizes, Shape};
pub use thread_pool::ThreadPool;

#[cfg(test)]
mod tests;
