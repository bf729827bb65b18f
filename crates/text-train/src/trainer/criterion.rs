//! How wrong the head's outputs are for the examples of a training.
//!
//! It must not know networks. Invariant: what examples add to loss and gradient doesn't depend on which of an update's other
//! examples they come with.

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_training::class_weights::ClassWeights;
use ecommerce_ml_training::{Stars, Targets};

use crate::recipe::loss::{CrossEntropy, Loss, Regression, RegressionLoss, Target};
use crate::recipe::options::TrainingOptions;

/// How much the squared earth mover's distance of stars counts beside the cross entropy.
const ORDINAL: f64 = 1.0;

/// A loss, and the target of every row.
#[derive(Debug)]
pub(super) enum Criterion {
    /// Of classes or stars.
    Classes(CrossEntropy, Vec<Target>),
    /// Of numbers, counted in standard deviations from their mean.
    Numbers(Regression, Vec<f32>),
}

impl Criterion {
    /// The loss that the options ask for. `learned` are the rows to learn from.
    ///
    /// # Errors
    /// As of [`ClassWeights::resolve`].
    pub(super) fn new(
        targets: &Targets,
        learned: &[usize],
        options: &TrainingOptions,
    ) -> Result<Self, EngineError> {
        let cross_entropy = |ordinal: f64| -> Result<CrossEntropy, EngineError> {
            let (labels, counts) = (targets.labels(), targets.counts(learned.iter().copied()));
            let weights = by_label(&options.class_weights, targets).resolve(&labels, &counts)?;
            let loss = CrossEntropy::new(labels.len()).with_smoothing(options.label_smoothing);
            let loss = loss.with_ordinal(ordinal);
            Ok(match weights {
                Some(weights) => loss.with_weights(&weights),
                None => loss,
            })
        };
        Ok(match targets {
            Targets::Classes { of, .. } => {
                Self::Classes(cross_entropy(0.0)?, of.iter().copied().map(Target::from).collect())
            }
            Targets::Stars(stars) => {
                Self::Classes(cross_entropy(ORDINAL)?, stars.iter().copied().map(star_target).collect())
            }
            Targets::Numbers(numbers) => {
                let (mean, deviation) = targets.scale(learned);
                let numbers = numbers.iter().map(|number| ((number - mean) / deviation) as f32);
                Self::Numbers(Regression { loss: RegressionLoss::SquaredError }, numbers.collect())
            }
        })
    }

    /// What the losses of an update are divided by.
    pub(super) fn denominator(&self, rows: &[usize]) -> Result<f64, EngineError> {
        match self {
            Self::Classes(loss, targets) => loss.denominator(&gather(targets, rows)),
            Self::Numbers(..) => Ok(rows.len() as f64),
        }
    }

    /// The loss of rows with these outputs.
    /// `outputs`: `[rows, outputs]`.
    pub(super) fn loss(
        &self,
        outputs: &[f32],
        rows: &[usize],
        denominator: f64,
    ) -> Result<Loss, EngineError> {
        match self {
            Self::Classes(loss, targets) => loss.compute(outputs, &gather(targets, rows), denominator),
            Self::Numbers(loss, targets) => loss.compute(outputs, &gather(targets, rows), denominator),
        }
    }
}

fn gather<T: Copy>(all: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|&row| all[row]).collect()
}

/// Stars as a target: a number may lie between two.
fn star_target(stars: Stars) -> Target {
    match stars {
        Stars::Number(stars) => {
            let lower = stars.floor().clamp(1.0, 5.0);
            Target::Between { class: lower as u32 - 1, towards_next: stars - lower }
        }
        Stars::Range(lowest, highest) => {
            Target::Among { first: u32::from(lowest) - 1, last: u32::from(highest) - 1 }
        }
    }
}

/// Weights by the names of the labels: stars may be written as numbers.
fn by_label(weights: &ClassWeights, targets: &Targets) -> ClassWeights {
    let (ClassWeights::Given(given), Targets::Stars(_)) = (weights, targets) else { return weights.clone() };
    let name = |label: &String| match label.parse::<usize>() {
        Ok(stars @ 1..=5) => targets.labels()[stars - 1].clone(),
        _ => label.clone(),
    };
    ClassWeights::Given(given.iter().map(|(label, &weight)| (name(label), weight)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_lie_between_two() {
        let target = |stars| star_target(Stars::Number(stars));
        assert_eq!(target(3.5), Target::Between { class: 2, towards_next: 0.5 });
        assert_eq!(target(5.0), Target::Between { class: 4, towards_next: 0.0 });
        assert_eq!(target(1.0), Target::Between { class: 0, towards_next: 0.0 });
        assert_eq!(star_target(Stars::Range(4, 5)), Target::Among { first: 3, last: 4 });
    }
}
