//! A factor and a shift that make probabilities as sure as they are right, learned from rows that were measured but not learned from.
//!
//! Of two classes both are those of a logistic regression of the label on the sum (Platt, "Probabilistic outputs for support vector
//! machines", 1999, with his targets between 0 and 1); of several classes the factor is the inverse of a temperature. So both can
//! be put into the trees: leaves are multiplied, the base score is moved, and whoever reads the trees needs no more.
//! It must not know trees. Invariant: the factor is positive, so that the order of rows and classes stays.

use super::loss::Wanted;

/// Least and largest factor.
const RANGE: (f64, f64) = (0.05, 20.0);

/// Steps of Newton's method, far more than it takes.
const STEPS: usize = 100;

/// Halvings of the interval that holds a factor.
const HALVINGS: usize = 50;

/// Factor and shift for sums of rows, `[rows, sums]`.
pub(super) fn fit(wanted: &Wanted, rows: &[usize], margins: &[f32]) -> (f64, f64) {
    if wanted.is_number() {
        return (1.0, 0.0);
    }
    if wanted.sums() == 1 {
        platt(wanted, rows, margins)
    } else {
        (inverse_temperature(wanted, rows, margins), 0.0)
    }
}

fn platt(wanted: &Wanted, rows: &[usize], margins: &[f32]) -> (f64, f64) {
    let of = rows.iter().zip(margins).filter_map(|(&row, margin)| {
        wanted.binary(row).map(|(second, weight)| (f64::from(*margin), second, weight))
    });
    let of: Vec<(f64, bool, f64)> = of.collect();
    let total = |wanted: bool| -> f64 {
        of.iter().filter(|(_, second, _)| *second == wanted).map(|(_, _, weight)| weight).sum()
    };
    let (seconds, firsts) = (total(true), total(false));
    let (high, low) = ((seconds + 1.0) / (seconds + 2.0), 1.0 / (firsts + 2.0));
    let (mut factor, mut shift) = (1.0, 0.0);
    for _ in 0..STEPS {
        // A ridge so small that it only keeps the matrix from being singular.
        let (mut g0, mut g1, mut h00, mut h01, mut h11) = (0.0, 0.0, 1e-9, 0.0, 1e-9);
        for (margin, second, weight) in &of {
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
