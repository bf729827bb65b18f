//! Many tests at once, and how many of those that are believed are wrong.
//!
//! It must not know what is tested. Invariant: the order of the tests doesn't matter, and a q value is never below its p value.

/// The q value of each p value: the least rate of false discoveries at which it is still one.
///
/// Benjamini and Hochberg, "Controlling the false discovery rate", 1995: of m tests that with the k-th smallest p value has
/// q = min over j >= k of m p_j / j. What is not a probability counts as 1.
#[allow(clippy::cast_precision_loss)]
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let known = |p: f64| if (0.0..=1.0).contains(&p) { p } else { 1.0 };
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&one, &other| known(p_values[one]).total_cmp(&known(p_values[other])));
    let mut q_values = vec![1.0; p_values.len()];
    let mut least = 1.0_f64;
    for (rank, &test) in order.iter().enumerate().rev() {
        least = least.min(known(p_values[test]) * p_values.len() as f64 / (rank + 1) as f64);
        q_values[test] = least;
    }
    q_values
}

/// As [`benjamini_hochberg`], where some were not tested; those have no q value and don't count.
pub fn benjamini_hochberg_of(p_values: &[Option<f64>]) -> Vec<Option<f64>> {
    let tested: Vec<f64> = p_values.iter().copied().flatten().collect();
    let mut q_values = benjamini_hochberg(&tested).into_iter();
    p_values.iter().map(|p| p.and_then(|_| q_values.next())).collect()
}
