//! Metrics of predictions, under the names of `evaluate_model`.
//!
//! It must not know who predicts. Invariant: a metric has a value, or isn't there.

use ecommerce_ml_metrics::{Confidence, Regression, Scored, report};
use ecommerce_ml_protocol::training::Metric;
use ecommerce_ml_protocol::{Answers, LabelScheme, Prediction};

use crate::early_stopping::Metric as SelectionMetric;
use crate::targets::{Actual, Targets};

/// Predictions of rows, counted.
pub struct MetricAccumulator {
    labels: Vec<String>,
    scheme: LabelScheme,
    /// Of two classes, the one whose ROC curve counts.
    positive: Option<usize>,
    scored: Scored,
    /// Of the sentiments that several labels mean.
    sentiments: Confidence,
    /// Of numbers, or of stars.
    numbers: Regression,
}

impl MetricAccumulator {
    /// Of no rows.
    pub fn new(targets: &Targets) -> Self {
        let labels = targets.labels();
        let scheme = LabelScheme::of(&labels);
        let positive = match scheme {
            LabelScheme::Sentiments { positive, neutral: None, .. } => Some(positive),
            _ => (labels.len() == 2).then_some(1),
        };
        let (scored, numbers) = (Scored::new(labels.len()), Regression::default());
        Self { scored, sentiments: Confidence::default(), numbers, labels, scheme, positive }
    }

    /// Counts a row, whose probabilities are in the order of the targets' labels. What doesn't fit, or isn't finite, isn't
    /// counted.
    pub fn add(&mut self, actual: Actual, prediction: Prediction<'_>) {
        let class = match (actual, prediction) {
            (Actual::Number(number), Prediction::Number(value)) => {
                let _ = self.numbers.add(number, value);
                return;
            }
            (Actual::Number(_), Prediction::Class { .. }) => return,
            (Actual::Class(class), _) => class,
            (Actual::Stars(stars), _) => stars.round() as usize - 1,
        };
        let Prediction::Class { probabilities, .. } = prediction else { return };
        let counted = self.scored.add(class, probabilities);
        let stars = match (actual, self.scheme) {
            (Actual::Stars(stars), _) => Some(stars),
            (_, LabelScheme::Stars(order)) => {
                order.iter().position(|&of| of == class).map(|at| (at + 1) as f64)
            }
            _ => None,
        };
        if counted.is_err() {
            return;
        }
        let reading = self.scheme.read(probabilities);
        if let Some((stars, rating)) = stars.zip(reading.rating) {
            let _ = self.numbers.add(stars, f64::from(rating));
        }
        if let Some(confidence) =
            self.scheme.confidence(probabilities).filter(|_| self.scheme.groups_labels())
        {
            let right = reading.sentiment == self.scheme.sentiment_of(class);
            let _ = self.sentiments.add(f64::from(confidence), right);
        }
    }

    /// All metrics.
    pub fn metrics(&self) -> Vec<Metric> {
        let metrics = if self.labels.is_empty() {
            report::of_numbers(&self.numbers, 0)
        } else {
            let mut metrics = report::of_classes(&self.labels, self.scored.confusion(), 0);
            metrics.extend(report::of_probabilities(&self.labels, self.positive, &self.scored));
            metrics.extend(report::of_rating(&self.numbers));
            metrics.extend(report::of_sentiments(&self.sentiments));
            metrics
        };
        metrics.into_iter().map(|(name, class, value)| Metric { name, class, value }).collect()
    }

    /// The metric that epochs are compared by, given the loss.
    pub fn wanted(&self, wanted: SelectionMetric, loss: f64) -> Option<f64> {
        let average = self.scored.confusion().macro_average();
        match wanted {
            SelectionMetric::Loss => Some(loss),
            SelectionMetric::Accuracy => self.scored.confusion().accuracy(),
            SelectionMetric::Precision => average.map(|average| average.precision),
            SelectionMetric::Recall => average.map(|average| average.recall),
            SelectionMetric::F1 => average.map(|average| average.f1),
            SelectionMetric::Auc => match self.positive {
                Some(positive) => self.scored.roc_auc(positive),
                None => self.scored.macro_roc_auc(),
            },
            SelectionMetric::Mae => self.numbers.mae(),
            SelectionMetric::Rmse => self.numbers.rmse(),
            SelectionMetric::CalibrationError => self.scored.calibration_error(),
        }
    }
}

/// Metrics of a model's answers for `rows`, in their order; none if there is no row.
pub fn metrics(targets: &Targets, rows: &[usize], answers: &Answers) -> Vec<Metric> {
    if rows.is_empty() {
        return Vec::new();
    }
    let mut accumulator = MetricAccumulator::new(targets);
    for (place, &row) in rows.iter().enumerate() {
        if let Some(prediction) = answers.prediction(place) {
            accumulator.add(targets.actual(row), prediction);
        }
    }
    accumulator.metrics()
}
