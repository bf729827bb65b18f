//! What is known of one slope from all others: empirical Bayes.
//!
//! Slopes of a group vary around a common one with a variance that is learned from how much the estimates vary more than their errors say
//! (Paule and Mandel 1982). Each estimate is drawn towards the common one, the more the less sure it is. It must not know where estimates
//! come from. Invariant: what is drawn lies between the estimate and the common one, and is no less sure than the estimate, but for how
//! unsure the common one is.

use ecommerce_ml_metrics::student;

use super::regression::Estimate;

/// Halvings, beyond which nothing changes.
const HALVINGS: usize = 200;

/// What is known of a slope.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The slope that is expected.
    pub value: f64,
    /// Its standard error.
    pub std_error: f64,
    /// Where it lies with the probability asked for.
    pub lower: f64,
    /// See `lower`.
    pub upper: f64,
}

impl Known {
    /// An estimate on its own, at a level between 0 and 1.
    #[must_use]
    pub fn alone(estimate: Estimate, level: f64) -> Self {
        Self::with(estimate.value, estimate.std_error, estimate.clusters, level)
    }

    /// An estimate that is one of many around a common one, with this variance between them.
    #[must_use]
    pub fn drawn(estimate: Estimate, common: Estimate, between: f64, level: f64) -> Self {
        let own = estimate.std_error.powi(2);
        let weight = if between + own > 0.0 { between / (between + own) } else { 1.0 };
        let value = common.value + weight * (estimate.value - common.value);
        let variance = weight * own + ((1.0 - weight) * common.std_error).powi(2);
        Self::with(value, variance.sqrt(), estimate.clusters, level)
    }

    fn with(value: f64, std_error: f64, clusters: usize, level: f64) -> Self {
        let degrees = clusters.saturating_sub(1).max(1) as f64;
        let margin = student::upper_quantile((1.0 - level) / 2.0, degrees) * std_error;
        Self { value, std_error, lower: value - margin, upper: value + margin }
    }
}

/// An estimate beside the common one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deviation {
    /// Their distance.
    pub distance: f64,
    /// The standard error of the estimate.
    pub std_error: f64,
}

/// The variance between slopes that makes the weighted sum of squared distances as large as it should be; 0 if it is no larger than errors explain.
#[must_use]
pub fn between_variance(deviations: &[Deviation]) -> f64 {
    let expected = deviations.len() as f64 - 1.0;
    let sum = |between: f64| -> f64 {
        let weighed = |one: &Deviation| match one.std_error.powi(2) + between {
            variance if variance > 0.0 => one.distance.powi(2) / variance,
            // Two exact estimates that differ.
            _ if one.distance != 0.0 => f64::INFINITY,
            _ => 0.0,
        };
        deviations.iter().map(weighed).sum()
    };
    if expected <= 0.0 || sum(0.0) <= expected {
        return 0.0;
    }
    let squares: f64 = deviations.iter().map(|one| one.distance.powi(2)).sum();
    let (mut low, mut high) = (0.0, squares / expected);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if sum(middle) > expected { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deviations(distances: &[f64], std_error: f64) -> Vec<Deviation> {
        distances.iter().map(|distance| Deviation { distance: *distance, std_error }).collect()
    }

    #[test]
    fn what_varies_more_than_its_errors_is_drawn_less() {
        let distances = [-1.0, 1.0, -1.0, 1.0, 0.0];
        // The sum of squares is 4 = (n - 1) (variance + error²).
        let between = between_variance(&deviations(&distances, 0.5));
        assert!((between - 0.75).abs() < 1e-12, "{between}");
        assert_eq!(between_variance(&deviations(&distances, 2.0)), 0.0);
        assert_eq!(between_variance(&deviations(&[], 1.0)), 0.0);
        let exact = between_variance(&deviations(&distances, 0.0));
        assert!((exact - 1.0).abs() < 1e-12, "{exact}");
        let one = Estimate { value: -3.0, std_error: 0.5, clusters: 30 };
        let common = Estimate { value: -2.0, std_error: 0.0, clusters: 30 };
        let drawn = Known::drawn(one, common, between, 0.95);
        assert!(
            (drawn.value + 2.75).abs() < 1e-12 && (drawn.std_error - 0.75_f64.sqrt() * 0.5).abs() < 1e-12
        );
        // t of 29 degrees is passed on one side with 2.5 % at 2.045.
        assert!(((drawn.upper - drawn.value) / drawn.std_error - 2.04523).abs() < 1e-5, "{drawn:?}");
        assert_eq!(Known::drawn(one, common, 0.0, 0.95).value, -2.0);
        assert_eq!(Known::alone(one, 0.95).value, -3.0);
    }
}
