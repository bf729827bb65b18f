//! What it is worth to answer the same whatever a row says: the least that a model has to beat.
//!
//! The answer is the best one for each metric: of classes the most frequent, with how frequent each is as probabilities; of
//! numbers the mean, which no other number has a smaller squared error than, and the median, which none has a smaller
//! absolute error than. Held against the mean, a model that says nothing of the rows but lies nearer to the median would
//! seem to have learned something. It must not know which rows were learned from. Invariant: the numbers are those of
//! scikit-learn's `DummyClassifier` (`prior`) and `DummyRegressor` (`mean`, `median`).

use crate::{Confusion, ratio};

/// Most numbers that are kept for a median: 8 MiB.
const MOST_NUMBERS: usize = 1 << 20;

/// What always answering the most frequent class is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassBaseline {
    /// That class; the first of equals.
    pub class: usize,
    /// Share of rows of that class.
    pub accuracy: f64,
    /// Mean of F1 over the classes that occur.
    pub macro_f1: f64,
    /// Of the frequencies as probabilities.
    pub log_loss: f64,
}

/// The baseline of rows of these classes, learned from others: both count rows by class.
///
/// `None` if there are no rows to learn from or to measure on.
#[allow(clippy::cast_precision_loss)]
pub fn of_classes(learned: &[u64], measured: &[u64]) -> Option<ClassBaseline> {
    let class = majority(learned)?;
    let mut confusion = Confusion::new(learned.len().max(measured.len()));
    let mut loss = 0.0;
    let all: u64 = learned.iter().sum();
    for (actual, &rows) in measured.iter().enumerate() {
        confusion.add(actual, class, rows).ok()?;
        let frequency = ratio(learned.get(actual).copied().unwrap_or(0) as f64, all)?;
        // As scikit-learn clips: a class that was never seen costs 36, not everything.
        loss -= rows as f64 * frequency.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
    }
    Some(ClassBaseline {
        class,
        accuracy: confusion.accuracy()?,
        macro_f1: confusion.macro_average()?.f1,
        log_loss: ratio(loss, confusion.total())?,
    })
}

/// The most frequent class, the first of equals; `None` if there are no rows.
pub fn majority(rows: &[u64]) -> Option<usize> {
    let most = *rows.iter().max()?;
    if most > 0 { rows.iter().position(|&count| count == most) } else { None }
}

/// Numbers that no more is known of than that they are there.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    values: Vec<f64>,
    too_many: bool,
}

impl Numbers {
    /// All of these.
    pub fn of(values: Vec<f64>) -> Self {
        Self { values, too_many: false }
    }

    /// Takes one in. Of more than a million nothing is known any more, so that memory is bounded.
    pub fn add(&mut self, value: f64) {
        self.too_many |= self.values.len() >= MOST_NUMBERS;
        if !self.too_many {
            self.values.push(value);
        }
    }

    /// Their mean.
    #[allow(clippy::cast_precision_loss)]
    pub fn mean(&self) -> Option<f64> {
        // Divided first, since a sum of huge ones overflows.
        let count = self.known()?.len() as f64;
        finite(self.values.iter().map(|value| value / count).sum())
    }

    /// Their median: of an even number of them, the mean of the two in the middle.
    pub fn median(&self) -> Option<f64> {
        let mut values = self.known()?.to_vec();
        let at = values.len() / 2;
        let is_even = values.len().is_multiple_of(2);
        let (below, &mut upper, _) = values.select_nth_unstable_by(at, f64::total_cmp);
        let lower = if is_even { below.iter().copied().max_by(f64::total_cmp)? } else { upper };
        finite(lower / 2.0 + upper / 2.0)
    }

    /// Mean absolute error of always answering `answer`.
    #[allow(clippy::cast_precision_loss)]
    pub fn mae(&self, answer: f64) -> Option<f64> {
        let values = self.known()?;
        finite(values.iter().map(|value| (value - answer).abs()).sum::<f64>() / values.len() as f64)
    }

    /// Root of the mean squared error of always answering `answer`.
    #[allow(clippy::cast_precision_loss)]
    pub fn rmse(&self, answer: f64) -> Option<f64> {
        let values = self.known()?;
        let squares: f64 = values.iter().map(|value| (value - answer).powi(2)).sum();
        finite((squares / values.len() as f64).sqrt())
    }

    fn known(&self) -> Option<&[f64]> {
        (!self.too_many && !self.values.is_empty()).then_some(&self.values)
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
