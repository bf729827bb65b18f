//! Which parameters are trained.
//!
//! Invariant: what is trained is always the last parameters, so that the backward pass can stop where it begins.

/// A choice among the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tuning {
    /// All of them.
    Full,
    /// All but the embeddings and this many layers, counted from the embeddings; 0 freezes the embeddings alone.
    Frozen {
        /// Layers that keep their weights.
        layers: usize,
    },
    /// The two dense layers of the head, BERT's pooler included.
    Head,
    /// The head and the adapters that [`Network::adapt`](super::Network::adapt) has added.
    Lora {
        /// Layers without adapters, counted from the embeddings.
        frozen: usize,
    },
}
