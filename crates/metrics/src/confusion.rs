//! The confusion matrix, and what is read off it.
//!
//! It must not know names of classes. Invariant: averages are over the classes that occur, as actual or as predicted
//! ones, as scikit-learn's are; a quotient without denominator is 0 there (`zero_division=0`).

use crate::{Refused, ratio};

/// Counts of rows by actual and predicted class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// Row by row: a row for each actual class.
    counts: Vec<u64>,
}

/// Precision, recall and F1 of a class, or averaged over classes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClassScores {
    /// Share of the rows predicted to be of the class that are.
    pub precision: f64,
    /// Share of the rows of the class that are predicted to be.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Rows of the class; all rows for an average.
    pub support: u64,
}

impl Confusion {
    /// Of no rows.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts rows.
    ///
    /// # Errors
    /// [`Refused::NoSuchClass`].
    pub fn add(&mut self, actual: usize, predicted: usize, rows: u64) -> Result<(), Refused> {
        if actual >= self.classes || predicted >= self.classes {
            return Err(Refused::NoSuchClass);
        }
        self.counts[actual * self.classes + predicted] += rows;
        Ok(())
    }

    /// How many rows of one class were predicted to be of another; 0 for classes that there aren't.
    pub fn count(&self, actual: usize, predicted: usize) -> u64 {
        if actual >= self.classes || predicted >= self.classes {
            return 0;
        }
        self.counts[actual * self.classes + predicted]
    }

    /// All rows.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The classes that occur, as actual or as predicted ones.
    pub fn occurring(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.classes).filter(|class| self.support(*class) + self.predictions(*class) > 0)
    }

    /// Rows of a class.
    pub fn support(&self, class: usize) -> u64 {
        (0..self.classes).map(|predicted| self.count(class, predicted)).sum()
    }

    /// Rows predicted to be of a class.
    fn predictions(&self, class: usize) -> u64 {
        (0..self.classes).map(|actual| self.count(actual, class)).sum()
    }

    /// Share of rows that are predicted rightly.
    #[allow(clippy::cast_precision_loss)]
    pub fn accuracy(&self) -> Option<f64> {
        let right: u64 = (0..self.classes).map(|class| self.count(class, class)).sum();
        ratio(right as f64, self.total())
    }

    /// Scores of a class.
    #[allow(clippy::cast_precision_loss)]
    pub fn class(&self, class: usize) -> ClassScores {
        let (support, predictions) = (self.support(class), self.predictions(class));
        let right = self.count(class, class) as f64;
        ClassScores {
            precision: ratio(right, predictions).unwrap_or(0.0),
            recall: ratio(right, support).unwrap_or(0.0),
            f1: ratio(2.0 * right, support + predictions).unwrap_or(0.0),
            support,
        }
    }

    /// The plain mean over the classes that occur.
    pub fn macro_average(&self) -> Option<ClassScores> {
        self.average(|_| 1)
    }

    /// The mean over classes, each weighted by its rows.
    pub fn weighted_average(&self) -> Option<ClassScores> {
        self.average(|scores| scores.support)
    }

    #[allow(clippy::cast_precision_loss)]
    fn average(&self, weigh: impl Fn(&ClassScores) -> u64) -> Option<ClassScores> {
        let (mut sum, mut weights) = (ClassScores::default(), 0);
        for class in self.occurring() {
            let scores = self.class(class);
            let weight = weigh(&scores);
            sum.precision += scores.precision * weight as f64;
            sum.recall += scores.recall * weight as f64;
            sum.f1 += scores.f1 * weight as f64;
            weights += weight;
        }
        Some(ClassScores {
            precision: ratio(sum.precision, weights)?,
            recall: ratio(sum.recall, weights)?,
            f1: ratio(sum.f1, weights)?,
            support: self.total(),
        })
    }
}
