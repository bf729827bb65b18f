//! What a pair of customer and item counts: how much of its weight, and how much of it is left the longer ago it was.
//!
//! It must not know models. Invariant: weights are above 0.

use crate::interactions::Interactions;
use crate::matrix::SparseMatrix;

/// How the sum of a pair's weights counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighting {
    /// Each pair is 1: whether, not how often or how many stars.
    Events,
    /// ln(1 + weight) as a part of its mean.
    Log,
    /// The weight as a part of its mean.
    Linear,
}

impl Weighting {
    /// All, with the names that options have.
    pub const CHOICES: [(&str, Weighting); 3] =
        [("events", Weighting::Events), ("log", Weighting::Log), ("linear", Weighting::Linear)];

    /// As options call it.
    pub fn name(self) -> &'static str {
        Self::CHOICES.iter().find(|(_, one)| *one == self).map_or("events", |(name, _)| name)
    }

    /// Weights of all pairs; their mean is 1.
    pub fn apply(self, matrix: &SparseMatrix) -> SparseMatrix {
        let of = |value: f32| match self {
            Weighting::Events => 1.0,
            Weighting::Log => value.ln_1p(),
            Weighting::Linear => value,
        };
        let sum: f64 = matrix.values.iter().map(|&value| f64::from(of(value))).sum();
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        let mean = (sum / matrix.values.len().max(1) as f64) as f32;
        matrix.map_rows(|_, _, values| values.iter_mut().for_each(|value| *value = of(*value) / mean))
    }
}

/// What is left of each pair's weight when so many of the customer's other pairs came later: half of it after `half_life` of
/// them. Counted in pairs and not in days, it is the same for those who buy daily and yearly. Nothing changes without one.
pub fn faded(weights: &SparseMatrix, interactions: &Interactions, half_life: Option<f64>) -> SparseMatrix {
    let Some(half_life) = half_life else { return weights.clone() };
    weights.map_rows(|customer, _, values| {
        let times = interactions.times_of(customer);
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        for (value, time) in values.iter_mut().zip(times) {
            let later = sorted.len() - sorted.partition_point(|one| one <= time);
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
            let left = (-(later as f64) / half_life).exp2() as f32;
            *value = (*value * left).max(f32::MIN_POSITIVE);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interactions::Event;

    #[test]
    fn weights_fade_by_what_came_later() {
        let names: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let event = |item, time, weight| Event { customer: 0, item, weight, time };
        let events = vec![event(0, 9, 1.0), event(1, 5, 3.0), event(2, 5, 1.0), event(3, 1, 3.0)];
        let interactions = Interactions::new(&names[..1], &names, events);
        let weights = Weighting::Linear.apply(&interactions.matrix);
        assert_eq!(weights.values, [0.5, 1.5, 0.5, 1.5]);
        assert_eq!(Weighting::Events.apply(&interactions.matrix).values, [1.0; 4]);
        let left = faded(&weights, &interactions, Some(1.0));
        assert_eq!(left.values, [0.5, 0.75, 0.25, 0.1875]);
        assert_eq!(faded(&weights, &interactions, None), weights);
    }
}
