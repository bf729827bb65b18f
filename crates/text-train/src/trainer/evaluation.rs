//! Metrics of predictions, under the names of `evaluate_model`.
//!
//! It must not know who predicts. Invariant: a metric has a value, or isn't there.

use ecommerce_ml_checkpoint::labels::{self, Meaning};
use ecommerce_ml_metrics::{Regression, Scored, report};
use ecommerce_ml_protocol::Prediction;
use ecommerce_ml_protocol::training::Metric;
use ecommerce_ml_tensor_cpu::softmax;

use super::targets::{Actual, Targets};
use crate::train::early_stopping::Metric as Wanted;

/// Predictions of rows, counted.
pub(super) struct Tally {
    labels: Vec<String>,
    meaning: Meaning,
    /// Of two classes, the one whose ROC curve counts.
    positive: Option<usize>,
    scored: Scored,
    /// Of numbers, or of stars.
    numbers: Regression,
}

impl Tally {
    /// Of no rows.
    pub(super) fn new(targets: &Targets) -> Self {
        let labels = targets.labels();
        let meaning = Meaning::of(&labels);
        let positive = match meaning {
            Meaning::Sentiments { positive, neutral: None, .. } => Some(positive),
            _ => (labels.len() == 2).then_some(1),
        };
        Self { scored: Scored::new(labels.len()), numbers: Regression::default(), labels, meaning, positive }
    }

    /// Counts a row. What doesn't fit, or isn't finite, isn't counted.
    pub(super) fn add(&mut self, actual: Actual, prediction: &Prediction) {
        let class = match actual {
            Actual::Class(class) => class,
            Actual::Stars(stars) => stars.round() as usize - 1,
            Actual::Number(number) => {
                let _ = self.numbers.add(number, prediction.value.unwrap_or(f64::NAN));
                return;
            }
        };
        let counted = self.scored.add(class, &prediction.probabilities);
        let stars = match (actual, self.meaning) {
            (Actual::Stars(stars), _) => Some(stars),
            (_, Meaning::Stars(order)) => order.iter().position(|&of| of == class).map(|at| (at + 1) as f64),
            _ => None,
        };
        if let (Ok(()), Some(stars), Some(rating)) = (counted, stars, prediction.rating) {
            let _ = self.numbers.add(stars, f64::from(rating));
        }
    }

    /// All metrics.
    pub(super) fn metrics(&self) -> Vec<Metric> {
        let metrics = if self.labels.is_empty() {
            report::of_numbers(&self.numbers, 0)
        } else {
            let mut metrics = report::of_classes(&self.labels, self.scored.confusion(), 0);
            metrics.extend(report::of_probabilities(&self.labels, self.positive, &self.scored));
            metrics.extend(report::of_rating(&self.numbers));
            metrics
        };
        metrics.into_iter().map(|(name, class, value)| Metric { name, class, value }).collect()
    }

    /// The metric that epochs are compared by, given the loss.
    pub(super) fn wanted(&self, wanted: Wanted, loss: f64) -> Option<f64> {
        let average = self.scored.confusion().macro_average();
        match wanted {
            Wanted::Loss => Some(loss),
            Wanted::Accuracy => self.scored.confusion().accuracy(),
            Wanted::Precision => average.map(|average| average.precision),
            Wanted::Recall => average.map(|average| average.recall),
            Wanted::F1 => average.map(|average| average.f1),
            Wanted::Auc => match self.positive {
                Some(positive) => self.scored.roc_auc(positive),
                None => self.scored.macro_roc_auc(),
            },
            Wanted::Mae => self.numbers.mae(),
            Wanted::Rmse => self.numbers.rmse(),
            Wanted::CalibrationError => self.scored.calibration_error(),
        }
    }
}

/// What a network's outputs for a row say; numbers are counted in deviations from a mean.
pub(super) fn prediction(outputs: &[f32], meaning: Meaning, numbers: Option<(f64, f64)>) -> Prediction {
    if let Some((mean, deviation)) = numbers {
        return labels::regression(
            outputs.first().map_or(f64::NAN, |&value| f64::from(value) * deviation + mean),
        );
    }
    let mut probabilities = outputs.to_vec();
    softmax(&mut probabilities);
    meaning.interpret(probabilities)
}
