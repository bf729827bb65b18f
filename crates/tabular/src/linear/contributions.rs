//! What each column of a row contributes to what a linear model says of it, which is exact: a product or an entry of a table.
//!
//! Numbers are counted from their means, as the model has them: a column at its mean contributes nothing. The number that is
//! explained is the raw score: the value of a regression; of two classes the logarithm of the odds of one of them; of several
//! the sum whose softmax is the probability.
//! It must not know files or threads. Invariant: baseline and contributions add up to the raw score.

use ecommerce_ml_protocol::{Answers, Contributions, EngineError, Explanation, Rows};

use crate::columns::refused;
use crate::linear::scoring::{Prepared, Scorer};
use crate::score::{given_up, overflow};

/// Rows between two looks at whether anybody waits.
const ROWS: u32 = 1024;

/// Explains all rows, unless they are given up meanwhile: a class by its place among so many labels, or the likeliest.
///
/// # Errors
/// For columns as of predictions; for a class that there isn't, sums that overflow, and when it was given up.
pub(crate) fn explain(
    scorer: &Scorer,
    rows: &Rows,
    (labels, class): (usize, Option<u32>),
    is_given_up: &(dyn Fn() -> bool + Sync),
) -> Result<Answers, EngineError> {
    if class.is_some_and(|class| class as usize >= labels) {
        return Err(refused("the model has no such class"));
    }
    let prepared = scorer.prepare(rows)?;
    let mut explanations = Vec::with_capacity(rows.count as usize);
    for row in 0..rows.count {
        if row % ROWS == ROWS - 1 && is_given_up() {
            return Err(given_up());
        }
        explanations.push(Some(explain_row(&prepared, row as usize, (labels, class))?));
    }
    Ok(Answers::Explanations(explanations))
}

fn explain_row(
    prepared: &Prepared<'_>,
    row: usize,
    (labels, class): (usize, Option<u32>),
) -> Result<Explanation, EngineError> {
    let (columns, intercepts) = prepared.worth(row)?;
    let sum = |equation: usize| {
        let own = columns.iter().filter_map(|column| column.get(equation)).sum::<f64>();
        intercepts.get(equation).map_or(f64::NAN, |intercept| intercept + own)
    };
    let (equation, sign) = match (intercepts.len(), labels) {
        // A single equation is that of the second of two classes.
        (1, 2) => {
            let first = class.map_or(sum(0) <= 0.0, |class| class == 0);
            (0, if first { -1.0 } else { 1.0 })
        }
        (equations, _) => {
            let likeliest = || (0..equations).max_by(|one, other| sum(*one).total_cmp(&sum(*other)));
            (class.map(|class| class as usize).or_else(likeliest).unwrap_or(0), 1.0)
        }
    };
    let contributions: Vec<f64> =
        columns.iter().filter_map(|column| column.get(equation)).map(|worth| sign * worth).collect();
    if !contributions.iter().all(|one| one.is_finite()) {
        return Err(overflow());
    }
    let baseline = sign * intercepts.get(equation).copied().unwrap_or_default();
    Ok(Explanation { baseline, contributions: Contributions::Columns(contributions) })
}
