//! The number that is explained.
//!
//! It must not know labels. Invariant: it is linear in probabilities, so that what windows contribute to it adds up as their
//! probabilities do.

/// A number made of the outputs of a model.
#[derive(Debug, Clone, PartialEq)]
pub enum Explained {
    /// The value of a regression.
    Value,
    /// A sum of probabilities by these weights, `[labels]`: a probability itself, or a mean of stars.
    Weighted(Vec<f64>),
}

impl Explained {
    /// The number for these outputs: probabilities, `[labels]`, or the value of a regression, `[1]`.
    pub fn of(&self, outputs: &[f32]) -> f64 {
        match self {
            Explained::Value => outputs.first().copied().map_or(0.0, f64::from),
            Explained::Weighted(weights) => {
                weights.iter().zip(outputs).map(|(weight, &output)| weight * f64::from(output)).sum()
            }
        }
    }

    /// How far apart two of its numbers can be; nothing of a regression, whose unit isn't known.
    pub fn range(&self) -> f64 {
        let Explained::Weighted(weights) = self else { return 0.0 };
        let most = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least = weights.iter().copied().fold(f64::INFINITY, f64::min);
        (most - least).max(0.0)
    }

    /// Its derivatives by the logits that these outputs came of, both `[labels]`: of `Σ w p` with `p = softmax(z)`, by `z`, they
    /// are `p (w - Σ w p)`.
    pub fn logit_gradient(&self, outputs: &[f32]) -> Vec<f32> {
        match self {
            Explained::Value => vec![1.0],
            Explained::Weighted(weights) => {
                let mean = self.of(outputs);
                let derivative =
                    |(&output, weight): (&f32, &f64)| (f64::from(output) * (weight - mean)) as f32;
                outputs.iter().zip(weights).map(derivative).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_differences() {
        let softmax = |logits: &[f64]| {
            let powers: Vec<f64> = logits.iter().map(|logit| logit.exp()).collect();
            let sum: f64 = powers.iter().sum();
            powers.iter().map(|power| (power / sum) as f32).collect::<Vec<f32>>()
        };
        let explained = Explained::Weighted(vec![1.0, 2.0, 5.0]);
        let logits = [0.3, -0.5, 0.1];
        let gradient = explained.logit_gradient(&softmax(&logits));
        for (index, found) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut logits = logits;
                logits[index] += by;
                explained.of(&softmax(&logits))
            };
            let expected = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} {expected}");
        }
        assert!((explained.range() - 4.0).abs() < 1e-12);
    }
}
