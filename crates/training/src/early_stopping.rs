//! Which evaluation was the best, and when to wait for a better one no longer.
//!
//! It must not know how metrics are computed. Invariant: a value that isn't a number is never the best.

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use serde::{Deserialize, Serialize};

/// What evaluations are compared by. Names are those of `evaluate_model`; `eval_` before them, as `transformers` has
/// it, is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Loss on the rows held out.
    Loss,
    /// Share of rows whose class is right.
    Accuracy,
    /// Precision, averaged over the classes.
    Precision,
    /// Recall, averaged over the classes.
    Recall,
    /// F1, averaged over the classes.
    F1,
    /// Area under the ROC curve.
    Auc,
    /// Mean absolute error.
    Mae,
    /// Root of the mean squared error.
    Rmse,
    /// Expected calibration error.
    CalibrationError,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Loss,
        Self::Accuracy,
        Self::Precision,
        Self::Recall,
        Self::F1,
        Self::Auc,
        Self::Mae,
        Self::Rmse,
        Self::CalibrationError,
    ];

    /// The metric of a name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.strip_prefix("eval_").unwrap_or(name);
        Self::ALL.into_iter().find(|metric| metric.as_str() == name)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::F1 => "f1",
            Self::Auc => "auc",
            Self::Mae => "mae",
            Self::Rmse => "rmse",
            Self::CalibrationError => "calibration_error",
        }
    }

    /// Whether a higher value is a better one.
    pub fn higher_is_better(self) -> bool {
        match self {
            Self::Accuracy | Self::Precision | Self::Recall | Self::F1 | Self::Auc => true,
            Self::Loss | Self::Mae | Self::Rmse | Self::CalibrationError => false,
        }
    }

    /// Whether a value is better than another; equal ones are not.
    pub fn is_better(self, value: f64, than: f64) -> bool {
        if self.higher_is_better() { value > than } else { value < than }
    }
}

/// What an evaluation means for the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The best so far: worth keeping the weights.
    Best,
    /// Not the best, but not yet the last.
    GoOn,
    /// As many evaluations in a row weren't the best as there was patience for.
    Stop,
}

/// Watches the evaluations of a training. As part of a checkpoint it goes on where it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    metric: Metric,
    /// Evaluations without a new best until it says stop; never if `None`.
    patience: Option<u32>,
    best: Option<f64>,
    evaluations: u32,
    /// Since the best one.
    worse: u32,
}

impl EarlyStopping {
    /// Nothing seen yet. `patience` is what `transformers.EarlyStoppingCallback` calls so, with a threshold of 0.
    pub fn new(metric: Metric, patience: Option<u32>) -> Self {
        Self { metric, patience, best: None, evaluations: 0, worse: 0 }
    }

    /// Takes the value of an evaluation.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if it isn't a number and no evaluation before was: the training has diverged, and
    /// there is no best model to go back to.
    pub fn observe(&mut self, value: f64) -> Result<Verdict, EngineError> {
        if value.is_nan() && self.best.is_none() {
            return Err(diverged(self.metric));
        }
        self.evaluations = self.evaluations.saturating_add(1);
        if !value.is_nan() && self.best.is_none_or(|best| self.metric.is_better(value, best)) {
            (self.best, self.worse) = (Some(value), 0);
            return Ok(Verdict::Best);
        }
        self.worse = self.worse.saturating_add(1);
        let stop = self.patience.is_some_and(|patience| self.worse >= patience);
        Ok(if stop { Verdict::Stop } else { Verdict::GoOn })
    }

    /// Value and number (counted from 1) of the best evaluation.
    pub fn best(&self) -> Option<(f64, u32)> {
        self.best.map(|best| (best, self.evaluations - self.worse))
    }
}

fn diverged(metric: Metric) -> EngineError {
    EngineError::new(
        ErrorKind::InvalidRequest,
        format!("training has diverged: \"{}\" is not a number", metric.as_str()),
    )
    .with_hint("Try a lower \"learning_rate\".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(metric: Metric, patience: Option<u32>, values: &[f64]) -> (Vec<Verdict>, Option<(f64, u32)>) {
        let mut stopping = EarlyStopping::new(metric, patience);
        let verdicts = values.iter().map(|&value| stopping.observe(value).unwrap()).collect();
        (verdicts, stopping.best())
    }

    #[test]
    fn lower_losses_are_better() {
        let (found, best) = verdicts(Metric::Loss, Some(2), &[0.9, 0.5, 0.5, 0.4, 0.6, f64::NAN]);
        use Verdict::{Best, GoOn, Stop};
        assert_eq!((found, best), (vec![Best, Best, GoOn, Best, GoOn, Stop], Some((0.4, 4))));
    }

    #[test]
    fn higher_scores_are_better() {
        let (found, best) = verdicts(Metric::F1, Some(1), &[0.1, 0.2, 0.2]);
        assert_eq!((found, best), (vec![Verdict::Best, Verdict::Best, Verdict::Stop], Some((0.2, 2))));
    }

    #[test]
    fn without_patience_it_never_stops() {
        let (found, best) = verdicts(Metric::Accuracy, None, &[0.5, 0.4, 0.3, 0.2]);
        assert!(!found.contains(&Verdict::Stop));
        assert_eq!(best, Some((0.5, 1)));
    }

    #[test]
    fn training_that_never_gave_a_number_has_diverged() {
        assert!(EarlyStopping::new(Metric::Loss, None).observe(f64::NAN).is_err());
    }

    #[test]
    fn it_goes_on_after_a_checkpoint() {
        let mut stopping = EarlyStopping::new(Metric::Loss, Some(2));
        stopping.observe(1.0).unwrap();
        stopping.observe(2.0).unwrap();
        let json = serde_json::to_string(&stopping).unwrap();
        let mut resumed: EarlyStopping = serde_json::from_str(&json).unwrap();
        assert_eq!(resumed, stopping);
        assert_eq!(resumed.observe(3.0).unwrap(), Verdict::Stop);
    }

    #[test]
    fn metrics_have_their_names() {
        for metric in Metric::ALL {
            assert_eq!(Metric::named(metric.as_str()), Some(metric));
            assert_eq!(Metric::named(&format!("eval_{}", metric.as_str())), Some(metric));
        }
        assert_eq!(Metric::named("accurracy"), None);
    }
}
