//! Which models give way to a new one. Pure: sizes in, a choice out.
//!
//! Invariant: a pinned model never gives way, and none does unless that makes room enough.

use ecommerce_ml_checkpoint::upload::does_not_fit;
use ecommerce_ml_protocol::EngineError;

/// A loaded model as far as memory is concerned.
#[derive(Debug, Clone)]
pub struct EvictionCandidate<K> {
    /// Which model.
    pub key: K,
    /// Its memory in bytes.
    pub bytes: u64,
    /// It must stay.
    pub pinned: bool,
    /// Grows with each use of any model.
    pub last_use: u64,
}

/// The models to drop, least recently used first, so that `needed` more bytes fit under `capacity`.
///
/// # Errors
/// [`ErrorKind::OutOfMemory`](ecommerce_ml_protocol::ErrorKind::OutOfMemory) if even dropping all that aren't pinned isn't enough.
pub fn choose_evicted<K>(
    mut models: Vec<EvictionCandidate<K>>,
    needed: u64,
    capacity: u64,
) -> Result<Vec<K>, EngineError> {
    let pinned: u64 = models.iter().filter(|model| model.pinned).map(|model| model.bytes).sum();
    if needed.saturating_add(pinned) > capacity {
        return Err(does_not_fit(needed, capacity, pinned));
    }
    let mut used: u64 = models.iter().map(|model| model.bytes).sum();
    models.retain(|model| !model.pinned);
    models.sort_by_key(|model| model.last_use);
    let mut dropped = Vec::new();
    for model in models {
        if used.saturating_add(needed) <= capacity {
            break;
        }
        used -= model.bytes;
        dropped.push(model.key);
    }
    Ok(dropped)
}
