//! Rows with a probability for each class.
//!
//! It must not know names of classes. Invariant: the predicted class is the likeliest one, the last of equals, as
//! `predict_class` has it.

use crate::{Confidence, Confusion, Curve, Refused, ratio};

/// Different scores that all curves together may hold, at about 32 bytes each.
const MOST_SCORES: usize = 1 << 20;
/// And what a curve may hold at least, so that more than 256 classes take more.
const LEAST_SCORES: usize = 1 << 12;

/// What is kept of the rows.
#[derive(Debug, Clone)]
pub struct Scored {
    confusion: Confusion,
    /// Of the top probability.
    confidence: Confidence,
    curves: Vec<Curve>,
    log_loss: f64,
    rows: u64,
}

impl Scored {
    /// Of no rows.
    pub fn new(classes: usize) -> Self {
        let most = (MOST_SCORES / classes.max(1)).max(LEAST_SCORES);
        Self {
            confusion: Confusion::new(classes),
            confidence: Confidence::default(),
            curves: vec![Curve::new(most); classes],
            log_loss: 0.0,
            rows: 0,
        }
    }

    /// Counts a row: its class, and the probability of each class in order.
    ///
    /// # Errors
    /// [`Refused::NotFinite`], [`Refused::NoSuchClass`]; the row isn't counted then.
    pub fn add(&mut self, actual: usize, probabilities: &[f32]) -> Result<(), Refused> {
        if probabilities.len() != self.curves.len() || actual >= probabilities.len() {
            return Err(Refused::NoSuchClass);
        }
        if !probabilities.iter().all(|probability| probability.is_finite()) {
            return Err(Refused::NotFinite);
        }
        let (predicted, confidence) = likeliest(probabilities);
        self.confusion.add(actual, predicted, 1)?;
        self.confidence.add(f64::from(confidence), predicted == actual)?;
        for (class, (curve, score)) in self.curves.iter_mut().zip(probabilities).enumerate() {
            curve.add(*score, class == actual)?;
        }
        // As scikit-learn clips: an impossible class costs 36, not everything.
        self.log_loss -= f64::from(probabilities[actual]).clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
        self.rows += 1;
        Ok(())
    }

    /// Counts by actual and predicted class.
    pub fn confusion(&self) -> &Confusion {
        &self.confusion
    }

    /// The expected calibration error of the top probability.
    pub fn calibration_error(&self) -> Option<f64> {
        self.confidence.calibration_error()
    }

    /// Right answers, by how large the top probability is.
    pub fn confidence(&self) -> &Confidence {
        &self.confidence
    }

    /// The mean of the negative logarithm of the actual class's probability.
    pub fn log_loss(&self) -> Option<f64> {
        ratio(self.log_loss, self.rows)
    }

    /// Area under the ROC curve of a class against all others.
    pub fn roc_auc(&self, class: usize) -> Option<f64> {
        self.curves.get(class)?.area()
    }

    /// The mean of that over all classes (one-vs-rest); none unless every class occurs.
    pub fn macro_roc_auc(&self) -> Option<f64> {
        let areas: Option<Vec<f64>> = self.curves.iter().map(Curve::area).collect();
        let areas = areas?;
        ratio(areas.iter().sum(), areas.len() as u64)
    }
}

/// The index of the largest probability, and the probability.
fn likeliest(probabilities: &[f32]) -> (usize, f32) {
    let all = probabilities.iter().copied().enumerate();
    all.max_by(|(_, one), (_, other)| one.total_cmp(other)).unwrap_or_default()
}
