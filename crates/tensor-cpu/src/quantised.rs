//! Weights in bytes.
//!
//! It must not know layers or panels. Invariant: no dot product with these bytes saturates, whatever the activations.

use super::simd::ByteLimits;

/// Greatest magnitudes of a byte that are tried where neighbouring weights may not be as large as they like.
const RESOLUTIONS: [i8; 7] = [127, 118, 109, 100, 91, 82, 73];

/// The weights of an output; of one that pads, none.
pub(super) struct QuantisedRow {
    /// Inputs of a group; the last one may have fewer.
    group: usize,
    /// Of each group, what a step of its bytes means.
    scales: Vec<f32>,
    pub(super) values: Vec<i8>,
}

impl QuantisedRow {
    /// Weights in groups, each with the scale that leaves the least squared error.
    pub(super) fn new(row: &[f32], limits: ByteLimits) -> Self {
        let (mut scales, mut values) = (Vec::new(), Vec::with_capacity(row.len()));
        for weights in row.chunks(limits.group) {
            let greatest = weights.iter().fold(0.0_f32, |greatest, weight| greatest.max(weight.abs()));
            let resolutions =
                if limits.pair < 2 * i32::from(i8::MAX) { &RESOLUTIONS[..] } else { &RESOLUTIONS[..1] };
            let tried = resolutions
                .iter()
                .map(|&resolution| Group::new(weights, greatest / f32::from(resolution), limits));
            if let Some(best) = tried.min_by(|a, b| a.error.total_cmp(&b.error)) {
                scales.push(best.scale);
                values.extend(best.values);
            }
        }
        Self { group: limits.group, scales, values }
    }

    /// Of the bytes of a group.
    pub(super) fn sum(&self, group: usize) -> i32 {
        let values = self.values.chunks(self.group).nth(group).unwrap_or_default();
        values.iter().map(|&value| i32::from(value)).sum()
    }

    /// What a step of the bytes of a group means.
    pub(super) fn scale(&self, group: usize) -> f32 {
        self.scales.get(group).copied().unwrap_or_default()
    }
}

/// Some weights that share a scale.
struct Group {
    scale: f32,
    values: Vec<i8>,
    /// Sum of squared differences from the weights.
    error: f64,
}

impl Group {
    fn new(weights: &[f32], scale: f32, limits: ByteLimits) -> Self {
        let per_step = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let mut values: Vec<i8> =
            weights.iter().map(|&weight| (weight * per_step).round_ties_even() as i8).collect();
        values.chunks_exact_mut(2).for_each(|pair| limit(pair, limits));
        let difference = |(&weight, &value): (&f32, &i8)| f64::from(weight - scale * f32::from(value));
        let error =
            weights.iter().zip(&values).map(difference).map(|difference| difference * difference).sum();
        Self { scale, values, error }
    }
}

/// Brings two neighbours nearer to zero by the same amount, so that they keep to the limit: the least change that does.
fn limit(pair: &mut [i8], limits: ByteLimits) {
    let sum: i32 = pair.iter().map(|&value| i32::from(value)).sum();
    let mut excess = (sum.abs() - limits.pair).max(0);
    for (rest, value) in (1..=2).rev().zip(pair) {
        let share = excess / rest;
        *value -= (share * sum.signum()) as i8;
        excess -= share;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ByteLimits = ByteLimits { byte: 192, pair: 170, group: 4 };

    #[test]
    fn neighbours_keep_to_the_limit_and_change_no_more_than_they_must() {
        for (pair, expected) in [
            ([127, 127], [85, 85]),
            ([-127, -127], [-85, -85]),
            ([127, -127], [127, -127]),
            ([120, 51], [120, 50]),
            ([-100, -75], [-98, -72]),
            ([100, 70], [100, 70]),
        ] {
            let mut found = pair;
            limit(&mut found, LIMITS);
            assert_eq!(found, expected, "{pair:?}");
        }
    }

    #[test]
    fn the_scale_is_that_of_the_least_error() {
        // Two neighbours as large as the greatest: with the finest steps both would lose a third.
        let twins = QuantisedRow::new(&[1.0, 1.0, 0.1, -0.3], LIMITS);
        assert!(twins.values[0] == twins.values[1] && twins.values[0] <= 85);
        assert!((twins.scale(0) * f32::from(twins.values[0]) - 1.0).abs() < 1e-6);
        let apart = QuantisedRow::new(&[1.0, 0.1, 1.0, -0.3], LIMITS);
        assert!(apart.values[0] == apart.values[2] && apart.values[0] > 85);
        let free = QuantisedRow::new(&[1.0, 1.0, 0.1, -0.3], ByteLimits { byte: 255, pair: 254, group: 4 });
        assert_eq!(free.values, [127, 127, 13, -38]);
    }

    #[test]
    fn groups_have_scales_and_sums_of_their_own() {
        let row = QuantisedRow::new(&[1.0, -1.0, 0.5, 254.0, 127.0], ByteLimits { group: 2, ..LIMITS });
        assert_eq!((row.sum(0), row.sum(1), row.sum(2), row.sum(3)), (0, 127, 127, 0));
        assert_eq!((row.scale(1), row.scale(2), row.scale(3)), (2.0, 1.0, 0.0));
    }
}
