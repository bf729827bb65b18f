//! A factor and a shift that make probabilities as sure as they are right, learned from rows that were measured but not learned from.
//!
//! Of two classes both are those of a logistic regression of the label on the sum (Platt, "Probabilistic outputs for support vector
//! machines", 1999, with his targets between 0 and 1); of several classes the factor is the inverse of a temperature. So both can
//! be put into the trees: leaves are multiplied, the base score is moved, and whoever reads the trees needs no more.
//!
//! Where many rows were measured, of two classes a rising map of what comes of that (isotonic regression) is tried on rows that it was not
//! learned from, and kept if it is better by more than chance explains; it is no part of the trees.
//! It must not know trees. Invariant: the factor is positive, so that the order of rows and classes stays.

use super::loss::Wanted;
use crate::trees::isotonic::{Isotonic, Observation};

/// Least rows that a map is learned from: of fewer it learns what chance made of them (Niculescu-Mizil and Caruana, "Predicting good
/// probabilities with supervised learning", 2005).
const LEAST_ROWS: usize = 1000;

/// Parts of the rows, each of which is judged by what the others say.
const PARTS: usize = 5;

/// Least and largest factor.
const RANGE: (f64, f64) = (0.05, 20.0);

/// Steps of Newton's method, far more than it takes.
const STEPS: usize = 100;

/// Halvings of the interval that holds a factor.
const HALVINGS: usize = 50;

/// What becomes of sums.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Calibration {
    pub(super) factor: f64,
    pub(super) shift: f64,
    /// Of what these make of a sum, if that is better.
    pub(super) isotonic: Option<Isotonic>,
}

/// What should become of sums of rows, `[rows, sums]`.
pub(super) fn fit(wanted: &Wanted, rows: &[usize], margins: &[f32]) -> Calibration {
    if wanted.is_number() {
        return Calibration { factor: 1.0, shift: 0.0, isotonic: None };
    }
    if wanted.sums() > 1 {
        let factor = inverse_temperature(wanted, rows, margins);
        return Calibration { factor, shift: 0.0, isotonic: None };
    }
    let observed = rows.iter().zip(margins).filter_map(|(&row, margin)| {
        let (second, weight) = wanted.binary(row)?;
        Some(Observation { sum: f64::from(*margin), second, weight })
    });
    let observed: Vec<Observation> = observed.collect();
    let (factor, shift) = platt(&observed);
    let scaled: Vec<Observation> =
        observed.iter().map(|one| Observation { sum: factor * one.sum + shift, ..*one }).collect();
    let isotonic = if isotonic_is_better(&observed) { isotonic(&scaled) } else { None };
    Calibration { factor, shift, isotonic }
}

/// A map that is never surer than its rows are many.
fn isotonic(observed: &[Observation]) -> Option<Isotonic> {
    Some(Isotonic::fit(observed)?.within(1.0 / (observed.len() as f64 + 2.0)))
}

/// Whether a map has a smaller log loss than Platt's on rows that neither was learned from, by more than a standard error.
fn isotonic_is_better(observed: &[Observation]) -> bool {
    if observed.len() < LEAST_ROWS {
        return false;
    }
    let mut gains = Vec::with_capacity(observed.len());
    for part in 0..PARTS {
        let others = observed.iter().enumerate().filter(|(at, _)| at % PARTS != part);
        let others: Vec<Observation> = others.map(|(_, one)| *one).collect();
        let (factor, shift) = platt(&others);
        let Some(map) = isotonic(&others) else { return false };
        for one in observed.iter().skip(part).step_by(PARTS) {
            let of_platt = 1.0 / (1.0 + (-(factor * one.sum + shift)).exp());
            let of_map = map.probability(one.sum);
            gains.push(one.weight * (log_loss(of_platt, one.second) - log_loss(of_map, one.second)));
        }
    }
    let count = gains.len() as f64;
    let mean = gains.iter().sum::<f64>() / count;
    let variance = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / count;
    mean > (variance / count).sqrt()
}

fn log_loss(second: f64, is_second: bool) -> f64 {
    -(if is_second { second } else { 1.0 - second }).max(f64::MIN_POSITIVE).ln()
}

fn platt(of: &[Observation]) -> (f64, f64) {
    let total =
        |wanted: bool| -> f64 { of.iter().filter(|one| one.second == wanted).map(|one| one.weight).sum() };
    let (seconds, firsts) = (total(true), total(false));
    let (high, low) = ((seconds + 1.0) / (seconds + 2.0), 1.0 / (firsts + 2.0));
    let (mut factor, mut shift) = (1.0, 0.0);
    for _ in 0..STEPS {
        // A ridge so small that it only keeps the matrix from being singular.
        let (mut g0, mut g1, mut h00, mut h01, mut h11) = (0.0, 0.0, 1e-9, 0.0, 1e-9);
        for Observation { sum: margin, second, weight } in of {
            let probability = 1.0 / (1.0 + (-(factor * margin + shift)).exp());
            let off = weight * (probability - if *second { high } else { low });
            let curvature = weight * probability * (1.0 - probability);
            g0 += off * margin;
            g1 += off;
            h00 += curvature * margin * margin;
            h01 += curvature * margin;
            h11 += curvature;
        }
        let determinant = h00 * h11 - h01 * h01;
        let (step0, step1) = ((h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant);
        if !step0.is_finite() || !step1.is_finite() {
            break;
        }
        // Newton's steps may be too long where probabilities are nearly certain.
        let length = (step0.abs() + step1.abs()).max(1.0);
        factor -= step0 / length;
        shift -= step1 / length;
        if step0.abs() + step1.abs() < 1e-10 {
            break;
        }
    }
    (factor.clamp(RANGE.0, RANGE.1), shift)
}

fn inverse_temperature(wanted: &Wanted, rows: &[usize], margins: &[f32]) -> f64 {
    let loss = |factor: f64| {
        let scaled: Vec<f32> = margins.iter().map(|margin| (f64::from(*margin) * factor) as f32).collect();
        wanted.loss(rows, &scaled)
    };
    // Convex in the factor: the golden section would do with fewer, but this is as plain.
    let (mut low, mut high) = (RANGE.0.ln(), RANGE.1.ln());
    for _ in 0..HALVINGS {
        let third = (high - low) / 3.0;
        let (one, other) = (low + third, high - third);
        if loss(one.exp()) <= loss(other.exp()) { high = other } else { low = one }
    }
    f64::midpoint(low, high).exp()
}
