//! The encoder on the CPU: BERT-shaped models on packed sequences, in `f32` or with weights and activations in bytes.
//!
//! # Layout
//! From the instructions up:
//! - `simd`: vectors of numbers, once for each instruction set.
//! - `functions`: exponential, GELU.
//! - `dense`, `rows`, `attention`: the kernels, generic over the instruction set.
//! - `gradients`: more of them, for training.
//! - [`kernels`]: the kernels behind safe functions, chosen at run time.
//!
//! From the weights up:
//! - [`image`]: prepared weights in memory or in a mapped file.
//! - `linear`, `embeddings`, `layer`, `head`: the parts of the network.
//! - `encoder`: batches of sequences through the parts; `stepwise`: a layer at a time.
//! - [`product`]: products of plain matrices, for training.
//! - `peak`, [`samples`]: what the machine can do, and kernels at work, for benchmarks.
//! - `team`, `shared`: threads, and the memory that they share.
//!
//! It must not know text, labels, or names of weights. All of the engine's `unsafe` code is here, but for that of GPUs.
//! Invariant: a sequence's result has the same bits whatever else is in the batch and however many threads there are.

mod attention;
mod dense;
mod embeddings;
mod encoder;
mod functions;
mod gradients;
mod head;
pub mod image;
pub mod kernels;
mod layer;
mod linear;
mod peak;
pub mod product;
mod rows;
pub mod samples;
mod shared;
mod simd;
mod stepwise;
mod team;

pub use embeddings::{EmbeddingWeights, WordWeights, pack_embeddings};
pub use encoder::{Encoder, Pooling, Sequence, Shape};
pub use head::{Head, HeadActivation, HeadWeights, pack_head, softmax};
pub use image::{Image, ImageBuilder};
pub use kernels::Kernels;
pub use layer::{LayerRanges, LayerWeights, NormWeights, pack_layer};
pub use linear::{DenseWeights, Precision};
pub use peak::Peak;
pub use stepwise::States;
pub use team::Team;

#[cfg(test)]
mod tests;
