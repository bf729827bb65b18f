//! The rule that integrals are computed by: Gauss and Legendre's on a few nodes.
//!
//! It must not know what is integrated. Invariant: the weights sum to 1, so that the rule's value is a mean over the interval.

/// Nodes of the rule.
pub(super) const NODES: usize = 3;

/// Where in an interval from 0 to 1 the nodes lie, and their weights: `(1 ± √(3/5)) / 2` by 5/18 each and 1/2 by 8/18. Exact for
/// polynomials up to the fifth degree.
pub(super) fn nodes() -> [(f64, f64); NODES] {
    let distance = 0.6_f64.sqrt() / 2.0;
    [(0.5 - distance, 5.0 / 18.0), (0.5, 8.0 / 18.0), (0.5 + distance, 5.0 / 18.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_up_to_the_fifth_degree_are_exact() {
        for degree in 0..=5 {
            let mean: f64 = nodes().iter().map(|(at, weight)| weight * at.powi(degree)).sum();
            assert!((mean - 1.0 / f64::from(degree + 1)).abs() < 1e-12, "{degree}");
        }
    }
}
