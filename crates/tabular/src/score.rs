//! Rows to answers, whatever the model: sums, what they mean, and how rows are shared out between threads.
//!
//! It must not know how sums are computed. Invariant: probabilities of a row sum to 1, or there is an error.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::ops::Range;

use ecommerce_ml_protocol::signature::{Answer, Reads};
use ecommerce_ml_protocol::{Answers, EngineError, ErrorKind, Field, Rows, Signature};
use rayon::prelude::*;

use crate::columns::refused;

/// What the sums of a model mean.
#[derive(Debug, Clone, PartialEq)]
pub enum Head {
    /// A number.
    Number,
    /// The logarithm to the base 2 of how unlike others a row is, from 0 to 1.
    AnomalyScore,
    /// Logarithms of how likely each class is, up to a constant.
    Classes {
        /// Their names: at least two.
        labels: Vec<String>,
    },
}

impl Head {
    /// The classes; none of a number.
    pub fn labels(&self) -> &[String] {
        match self {
            Head::Number | Head::AnomalyScore => &[],
            Head::Classes { labels } => labels,
        }
    }

    /// The number that a sum stands for, where there are no classes.
    pub(crate) fn number(&self, sum: f64) -> f64 {
        if *self == Head::AnomalyScore { sum.exp2() } else { sum }
    }

    /// What a model with such sums reads and answers.
    pub(crate) fn signature(&self, fields: Vec<Field>) -> Signature {
        let answer = match self {
            Head::Number => Answer::Number,
            Head::AnomalyScore => Answer::AnomalyScore,
            Head::Classes { .. } => Answer::Classes,
        };
        Signature { reads: Reads::Columns(fields), answers: vec![answer], labels: self.labels().to_vec() }
    }
}

/// Rows of a task of a thread.
const PART: usize = 8192;

/// Rows to answers.
pub(crate) trait Score: Debug + Send + Sync {
    /// About how many steps rows take: additions, or nodes on the way to a leaf.
    fn work(&self, rows: &Rows, explaining: bool) -> usize;

    /// Finds the columns of rows, once for all of them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if one is missing or of another type.
    fn prepare<'a>(&'a self, rows: &'a Rows) -> Result<Box<dyn Answering + 'a>, EngineError>;

    /// Explains all rows, unless they are given up meanwhile: a class by its place among the labels, or the likeliest.
    ///
    /// # Errors
    /// As of [`prepare`](Self::prepare) and [`Answering::answer`]; for a class that there isn't, and when it was given up.
    fn explain(
        &self,
        rows: &Rows,
        class: Option<u32>,
        is_given_up: &(dyn Fn() -> bool + Sync),
    ) -> Result<Answers, EngineError>;
}

/// Rows whose columns were found.
pub(crate) trait Answering: Sync {
    /// The answers of some of them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for infinite numbers, and for others that sums overflow with.
    fn answer(&self, rows: Range<usize>) -> Result<Answers, EngineError>;
}

/// The answers of all rows by the threads of the pool that this runs in, unless they are given up meanwhile.
///
/// # Errors
/// Those of [`Score::prepare`] and [`Answering::answer`], and [`ecommerce_ml_protocol::ErrorKind::Cancelled`] if they were given up.
pub(crate) fn answer_in_parts(
    scorer: &dyn Score,
    rows: &Rows,
    is_given_up: &(dyn Fn() -> bool + Sync),
) -> Result<Answers, EngineError> {
    let prepared = scorer.prepare(rows)?;
    let count = rows.count as usize;
    let parts: Vec<Range<usize>> =
        (0..count).step_by(PART).map(|start| start..count.min(start + PART)).collect();
    let answer = |part| if is_given_up() { Err(given_up()) } else { prepared.answer(part) };
    let parts: Vec<Answers> = parts.into_par_iter().map(answer).collect::<Result<_, _>>()?;
    parts.into_iter().reduce(joined).map_or_else(|| prepared.answer(0..0), Ok)
}

/// Probabilities of the sums of a row, `[equations]`, which are used up; none if they overflowed.
pub(crate) fn distribution(sums: &mut [f64]) -> Option<Vec<f32>> {
    if let [sum] = sums {
        let second = 1.0 / (1.0 + (-*sum).exp());
        let first = 1.0 / (1.0 + sum.exp());
        return sum.is_finite().then(|| vec![first as f32, second as f32]);
    }
    let most = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    for sum in sums.iter_mut() {
        *sum = (*sum - most).exp();
        total += *sum;
    }
    (total.is_finite() && most.is_finite()).then(|| sums.iter().map(|one| (one / total) as f32).collect())
}

pub(crate) fn overflow() -> EngineError {
    refused("values of a row are too large to compute with")
}

pub(crate) fn joined(one: Answers, other: Answers) -> Answers {
    match (one, other) {
        (Answers::Classes { labels, mut probabilities }, Answers::Classes { probabilities: more, .. }) => {
            probabilities.extend(more);
            Answers::Classes { labels, probabilities }
        }
        (Answers::Numbers(mut numbers), Answers::Numbers(more)) => {
            numbers.extend(more);
            Answers::Numbers(numbers)
        }
        // All parts are of one model.
        (one, _) => one,
    }
}

/// The error of answers that nobody waits for.
pub(crate) fn given_up() -> EngineError {
    EngineError::new(ErrorKind::Cancelled, "request was given up")
}

/// Whether a name is there twice.
pub(crate) fn has_twice<'a>(mut names: impl Iterator<Item = &'a String>) -> bool {
    let mut seen = BTreeSet::new();
    !names.all(|name| seen.insert(name))
}

/// Parts of a whole: they sum to 1, unless all are 0.
pub(crate) fn shares(mut parts: Vec<f64>) -> Vec<f64> {
    let total: f64 = parts.iter().sum();
    if total > 0.0 && total.is_finite() {
        parts.iter_mut().for_each(|part| *part /= total);
    }
    parts
}
