//! How far off a model of numbers is on rows that it has not learned from, for intervals around what it says.
//!
//! It must not know how anything is predicted. Invariant: there are [`RESIDUALS`] quantiles, ascending, or none.

use ecommerce_ml_protocol::{Answers, Prediction};

use crate::targets::Targets;

/// How many quantiles are kept, at even steps.
pub const RESIDUALS: usize = 201;

/// Least rows whose differences say how far off others will be.
const LEAST_RESIDUALS: usize = 20;

/// Absolute differences of answers for `rows` and what these rows are; none unless the targets are numbers, and of rows without
/// an answer.
pub fn off_by(targets: &Targets, rows: &[usize], answers: &Answers) -> Vec<f64> {
    let Targets::Numbers(numbers) = targets else { return Vec::new() };
    let off = |(place, &row): (usize, &usize)| match answers.prediction(place)? {
        Prediction::Number(value) => Some((value - numbers.get(row)?).abs()),
        Prediction::Class { .. } => None,
    };
    rows.iter().enumerate().filter_map(off).collect()
}

/// Quantiles of differences, at even steps; of each the next larger difference, one row more being counted than there is, as split
/// conformal prediction has it (Lei and others, "Distribution-free predictive inference for regression", 2018). None of too few.
pub fn quantiles(mut residuals: Vec<f64>) -> Vec<f64> {
    if residuals.len() < LEAST_RESIDUALS {
        return Vec::new();
    }
    residuals.sort_by(f64::total_cmp);
    let count = residuals.len();
    let at = |step: usize| {
        let rank = ((count + 1) * step).div_ceil(RESIDUALS - 1).clamp(1, count);
        residuals[rank - 1]
    };
    (0..RESIDUALS).map(at).collect()
}
