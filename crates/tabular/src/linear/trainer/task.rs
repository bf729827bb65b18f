//! What labels ask of a linear model: its equations, and what each row should be.
//!
//! Classes without a row to learn from (stars that nobody gave, or those whose weight is 0) have no equation: their best intercept
//! would be infinite. Stars between two are shared out between them, so that the expected stars of a target are its own: 3.5 is
//! half three, half four stars.
//! It must not know features. Invariant: every equation has a row that speaks for it.

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_training::Targets;

use super::design::Design;
use super::options::Options;
use super::problem::{Link, Problem, Target};
use crate::call::by_stars;
use crate::columns::refused;
use crate::linear::encoding::Encoding;
use crate::linear::model::LinearModel;
use crate::score::Head;

/// What is to be learned.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LearningTask {
    link: Link,
    pub(super) equations: usize,
    /// The sum of the weights of all rows to learn from.
    pub(super) weight: f64,
    labels: Vec<String>,
    /// How much a row of each class counts.
    weights: Vec<f64>,
    /// Which classes have rows that count, in order.
    present_classes: Vec<usize>,
    /// Mean and deviation that numbers are counted by.
    scale: (f64, f64),
}

impl LearningTask {
    /// What the labels of these rows ask.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for weights of labels that there aren't, or if no row counts.
    pub(super) fn new(targets: &Targets, learned: &[usize], options: &Options) -> Result<Self, EngineError> {
        let labels = targets.labels();
        let counts = targets.counts(learned.iter().copied());
        let weights = by_stars(&options.class_weights, targets).resolve(&labels, &counts)?;
        let weights =
            weights.map_or_else(|| vec![1.0; labels.len()], |all| all.into_iter().map(f64::from).collect());
        let mut task = Self {
            link: Link::Squared,
            equations: 1,
            weight: learned.len() as f64,
            weights,
            present_classes: Vec::new(),
            scale: targets.scale(learned),
            labels,
        };
        if task.labels.is_empty() {
            return Ok(task);
        }
        let mut of_class = vec![0.0; task.labels.len()];
        for &row in learned {
            for (class, weight) in task.shares(targets, row) {
                of_class[class] += weight;
            }
        }
        task.present_classes = (0..of_class.len()).filter(|&class| of_class[class] > 0.0).collect();
        task.weight = of_class.iter().sum();
        if task.present_classes.is_empty() {
            return Err(refused(
                "training option \"class_weights\" gives every row to learn from the weight 0",
            ));
        }
        (task.link, task.equations) = match task.present_classes.len() {
            2 => (Link::Logistic, 1),
            classes => (Link::Softmax, classes),
        };
        Ok(task)
    }

    /// The problem of finding the coefficients.
    pub(super) fn problem(
        &self,
        targets: &Targets,
        learned: &[usize],
        design: Design,
        penalty: f64,
    ) -> Problem {
        Problem {
            design,
            targets: learned.iter().map(|&row| self.target(targets, row)).collect(),
            link: self.link,
            equations: self.equations,
            weight: self.weight,
            penalty,
        }
    }

    /// The model of parameters that were found.
    /// `parameters`: `[features, equations]` coefficients, then `[equations]` intercepts.
    pub(super) fn model(&self, encoding: &Encoding, problem: &Problem, parameters: &[f64]) -> LinearModel {
        let (weights, intercepts) = parameters.split_at(parameters.len() - self.equations);
        let mut intercepts = problem.offsets(weights, intercepts);
        let mut coefficients = weights.to_vec();
        let head = if self.labels.is_empty() {
            let (mean, deviation) = self.scale;
            coefficients.iter_mut().for_each(|one| *one *= deviation);
            intercepts.iter_mut().for_each(|one| *one = *one * deviation + mean);
            Head::Number
        } else {
            if self.labels.len() != 2 || self.link != Link::Logistic {
                coefficients =
                    coefficients.chunks(self.equations).flat_map(|some| self.of_all(some, 0.0)).collect();
                intercepts = self.of_all(&intercepts, f64::NEG_INFINITY);
            }
            Head::Classes { labels: self.labels.clone() }
        };
        LinearModel { encoding: encoding.clone(), head, intercepts, coefficients }
    }

    /// What each class adds, given what each equation does.
    fn of_all(&self, of_equations: &[f64], of_others: f64) -> Vec<f64> {
        let mut all = vec![of_others; self.labels.len()];
        // With a logistic loss the first class that has rows adds nothing.
        let first = (self.link == Link::Logistic).then_some(0.0);
        for (&class, one) in
            self.present_classes.iter().zip(first.into_iter().chain(of_equations.iter().copied()))
        {
            all[class] = one;
        }
        all
    }

    fn target(&self, targets: &Targets, row: usize) -> Target {
        if let Targets::Numbers(numbers) = targets {
            let (mean, deviation) = self.scale;
            return Target::Number((numbers[row] - mean) / deviation);
        }
        let place = |class: usize| self.present_classes.binary_search(&class).unwrap_or(0) as u32;
        let mut shares = self.shares(targets, row).filter(|(_, weight)| *weight > 0.0);
        match (shares.next(), shares.next()) {
            (None, _) => Target::Class { class: 0, own: 0.0, next: 0.0 },
            (Some((class, own)), None) => Target::Class { class: place(class), own, next: 0.0 },
            (Some((class, own)), Some((_, next))) => Target::Class { class: place(class), own, next },
        }
    }

    /// The classes of a row and how much it counts for each.
    fn shares(&self, targets: &Targets, row: usize) -> impl Iterator<Item = (usize, f64)> + use<> {
        let (class, upper) = match targets {
            Targets::Stars(stars) => {
                // A range counts as its middle.
                let stars = stars[row].middle();
                let lower = stars.floor().clamp(1.0, 5.0);
                (lower as usize - 1, stars - lower)
            }
            _ => (targets.class(row) as usize, 0.0),
        };
        let weight = |class: usize| self.weights.get(class).copied().unwrap_or(0.0);
        [(class, (1.0 - upper) * weight(class)), (class + 1, upper * weight(class + 1))]
            .into_iter()
            .take(if upper > 0.0 { 2 } else { 1 })
    }
}
