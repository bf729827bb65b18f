//! Which windows go through the model together. Pure: lengths in, a choice out.
//!
//! Invariant: a batch costs no more than its budget, unless it is a single window.

/// Largest ratio of padded to real tokens in a batch. Beyond it, two batches are faster than one.
const MOST_PADDING: usize = 2;

/// Tokens that a batch costs: each window is padded to the longest.
pub fn cost(longest: usize, windows: usize) -> usize {
    longest * windows
}

/// Takes candidates into a batch in their order, and passes over those that don't fit.
///
/// The first is always taken, so that whoever is at the front gets on however small the budget is.
pub fn fill<C>(candidates: impl Iterator<Item = C>, length: impl Fn(&C) -> usize, budget: usize) -> Vec<C> {
    let mut batch = Vec::new();
    let (mut longest, mut real) = (0, 0);
    for candidate in candidates {
        if cost(longest, batch.len() + 1) > budget && !batch.is_empty() {
            break;
        }
        let own = length(&candidate);
        let padded = cost(longest.max(own), batch.len() + 1);
        if batch.is_empty() || (padded <= budget && padded <= MOST_PADDING * (real + own)) {
            longest = longest.max(own);
            real += own;
            batch.push(candidate);
        }
    }
    batch
}
