//! Sums of products.
//!
//! It must not know what is multiplied. Invariant: the order of the sum depends on the length alone.

/// A sum of products in four lanes, which is always the same order.
/// Both slices `[n]`.
pub(crate) fn dot(one: &[f64], other: &[f64]) -> f64 {
    let mut lanes = [0.0; 4];
    let (ones, rest) = one.as_chunks::<4>();
    let (others, other_rest) = other.as_chunks::<4>();
    for (one, other) in ones.iter().zip(others) {
        for ((lane, one), other) in lanes.iter_mut().zip(one).zip(other) {
            *lane += one * other;
        }
    }
    let rest: f64 = rest.iter().zip(other_rest).map(|(one, other)| one * other).sum();
    (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]) + rest
}
