//! Which windows go through the model together. Pure: lengths in, a choice out.
//!
//! A model packs the windows of a batch end to end, so a batch costs the tokens that it has, whatever their lengths.
//! Invariant: a batch has no more tokens than its budget, unless it is a single window.

/// Takes candidates into a batch in their order, and passes over those that don't fit.
///
/// The first is always taken, so that whoever is at the front gets on however small the budget is.
pub fn fill<C>(candidates: impl Iterator<Item = C>, length: impl Fn(&C) -> usize, budget: usize) -> Vec<C> {
    let (mut batch, mut tokens) = (Vec::new(), 0);
    for candidate in candidates {
        if tokens >= budget && !batch.is_empty() {
            break;
        }
        let own = length(&candidate);
        if batch.is_empty() || tokens + own <= budget {
            tokens += own;
            batch.push(candidate);
        }
    }
    batch
}
