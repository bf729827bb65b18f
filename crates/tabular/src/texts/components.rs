//! Principal components: the directions in which rows of numbers differ most.
//!
//! Found by subspace iteration with Rayleigh-Ritz steps on the covariance (Golub and Van Loan, "Matrix computations", 4th edition,
//! section 8.2.4; the small problems by Jacobi's method, section 8.5).
//! It must not know what the numbers are. Invariant: the same rows in the same order give the same bits, with any number of threads.

use ecommerce_ml_training::random::SplitMix64;
use rayon::prelude::*;

use crate::dot::dot;

/// Directions that are followed beside those that are wanted: convergence depends on how much less the first of them matters.
const MORE: usize = 16;

/// Most steps; most take some dozens.
const STEPS: usize = 300;

/// A direction has been found when what is left of it is this part of the largest variance.
const EXACT: f64 = 1e-9;

/// Variances below this part of the largest are rounding.
const NOTHING: f64 = 1e-9;

/// The mean of rows and directions from it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Components {
    /// `[width]`.
    pub(crate) mean: Vec<f64>,
    /// `[directions][width]`, of length 1 each, those of the largest variance first; the largest number of each is positive.
    pub(crate) directions: Vec<Vec<f64>>,
}

/// The directions of the largest variance of rows of `width` numbers, at most `most`; fewer if rows differ in fewer.
pub(crate) fn components(rows: &[&[f32]], width: usize, most: usize) -> Components {
    let count = rows.len().max(1) as f64;
    let mut mean = vec![0.0; width];
    for row in rows {
        mean.iter_mut().zip(*row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    mean.iter_mut().for_each(|sum| *sum /= count);
    let covariance = covariance(rows, &mean);
    let wanted = most.min(width).min(rows.len().saturating_sub(1));
    let mut basis = start(width, (wanted + MORE).min(width));
    let mut variances = Vec::new();
    for _ in 0..STEPS {
        orthonormalise(&mut basis);
        let images: Vec<Vec<f64>> = basis.par_iter().map(|one| product(&covariance, one)).collect();
        let small: Vec<Vec<f64>> =
            basis.iter().map(|one| images.iter().map(|image| dot(one, image)).collect()).collect();
        let (values, vectors) = jacobi(small);
        basis = turned(&basis, &vectors);
        let images = turned(&images, &vectors);
        let largest = values.first().copied().unwrap_or_default();
        let rest = |((one, image), value): ((&Vec<f64>, &Vec<f64>), &f64)| {
            image.iter().zip(one).map(|(image, one)| (image - value * one).powi(2)).sum::<f64>().sqrt()
        };
        let found = basis.iter().zip(&images).zip(&values).take(wanted).all(|at| rest(at) <= EXACT * largest);
        variances = values;
        if found {
            break;
        }
        basis = images;
    }
    orthonormalise(&mut basis);
    let least = NOTHING * variances.first().copied().unwrap_or_default();
    let real = variances.iter().take(wanted).take_while(|variance| **variance > least).count();
    basis.truncate(real);
    basis.iter_mut().for_each(|one| point(one));
    Components { mean, directions: basis }
}

/// `[width][width]`.
fn covariance(rows: &[&[f32]], mean: &[f64]) -> Vec<Vec<f64>> {
    let width = mean.len();
    let centred: Vec<Vec<f64>> = rows
        .par_iter()
        .map(|row| row.iter().zip(mean).map(|(value, mean)| f64::from(*value) - mean).collect())
        .collect();
    let count = rows.len().max(1) as f64;
    let row = |of: usize| {
        let mut sums = vec![0.0; width];
        for row in &centred {
            let factor = row.get(of).copied().unwrap_or_default();
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += factor * value);
        }
        sums.iter_mut().for_each(|sum| *sum /= count);
        sums
    };
    (0..width).into_par_iter().map(row).collect()
}

/// Directions to begin with, the same always.
fn start(width: usize, count: usize) -> Vec<Vec<f64>> {
    let mut random = SplitMix64::new(1);
    let mut next = || (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
    (0..count).map(|_| (0..width).map(|_| next()).collect()).collect()
}

/// Gram and Schmidt, twice, so that rounding doesn't bend what is nearly parallel.
fn orthonormalise(basis: &mut [Vec<f64>]) {
    for at in 0..basis.len() {
        let (before, rest) = basis.split_at_mut(at);
        let Some(one) = rest.first_mut() else { return };
        for _ in 0..2 {
            for other in before.iter() {
                let along = dot(other, one);
                one.iter_mut().zip(other).for_each(|(one, other)| *one -= along * other);
            }
        }
        let length = dot(one, one).sqrt();
        // Nothing is left of it: any other direction will do, also none.
        let factor = if length > f64::MIN_POSITIVE { 1.0 / length } else { 0.0 };
        one.iter_mut().for_each(|one| *one *= factor);
    }
}

fn product(matrix: &[Vec<f64>], vector: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| dot(row, vector)).collect()
}

/// Sums of vectors with the weights of each row of `weights`.
fn turned(vectors: &[Vec<f64>], weights: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let width = vectors.first().map_or(0, Vec::len);
    let sum = |weights: &Vec<f64>| {
        let mut sums = vec![0.0; width];
        for (weight, vector) in weights.iter().zip(vectors) {
            sums.iter_mut().zip(vector).for_each(|(sum, value)| *sum += weight * value);
        }
        sums
    };
    weights.par_iter().map(sum).collect()
}

/// Eigenvalues of a symmetric matrix, the largest first, and the vector of each.
fn jacobi(mut matrix: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let size = matrix.len();
    let mut vectors: Vec<Vec<f64>> =
        (0..size).map(|row| (0..size).map(|column| f64::from(u8::from(row == column))).collect()).collect();
    for _ in 0..60 {
        let outside: f64 =
            (0..size).flat_map(|p| (0..p).map(move |q| (p, q))).map(|(p, q)| matrix[p][q].powi(2)).sum();
        let inside: f64 = (0..size).map(|p| matrix[p][p].powi(2)).sum();
        if outside <= 1e-28 * inside {
            break;
        }
        for p in 1..size {
            for q in 0..p {
                rotate(&mut matrix, &mut vectors, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&one, &other| matrix[other][other].total_cmp(&matrix[one][one]));
    let values = order.iter().map(|&at| matrix[at][at]).collect();
    (values, order.iter().map(|&at| vectors[at].clone()).collect())
}

/// Makes one pair of numbers outside of the diagonal 0. The vectors are rows.
fn rotate(matrix: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    let between = matrix[p][q];
    if between == 0.0 {
        return;
    }
    let slope = (matrix[q][q] - matrix[p][p]) / (2.0 * between);
    let tangent = slope.signum() / (slope.abs() + slope.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = tangent * cosine;
    let turn = |one: f64, other: f64| (cosine * one - sine * other, sine * one + cosine * other);
    for row in matrix.iter_mut() {
        (row[p], row[q]) = turn(row[p], row[q]);
    }
    for rows in [matrix, vectors] {
        let Ok([one, other]) = rows.get_disjoint_mut([p, q]) else { continue };
        for (one, other) in one.iter_mut().zip(other) {
            (*one, *other) = turn(*one, *other);
        }
    }
}

/// Turns a direction so that its largest number is positive.
fn point(direction: &mut [f64]) {
    let largest =
        direction.iter().copied().fold(0.0, |most: f64, one| if one.abs() > most.abs() { one } else { most });
    if largest < 0.0 {
        direction.iter_mut().for_each(|one| *one = -*one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_in_a_plane_have_its_directions() {
        // Four times as far along (0.6, 0, 0.8) as along (0, 1, 0), around (1, 2, 3).
        let rows: Vec<Vec<f32>> = (0..40)
            .map(|at| {
                let angle = f64::from(at) * std::f64::consts::TAU / 40.0;
                let (along, across) = (4.0 * angle.cos(), angle.sin());
                [1.0 + 0.6 * along, 2.0 + across, 3.0 + 0.8 * along].map(|value| value as f32).to_vec()
            })
            .collect();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let found = components(&rows, 3, 3);
        let near = |one: &[f64], other: [f64; 3]| {
            one.iter().zip(other).all(|(one, other)| (one - other).abs() < 1e-6)
        };
        assert!(near(&found.mean, [1.0, 2.0, 3.0]), "{found:?}");
        assert!(near(&found.directions[0], [0.6, 0.0, 0.8]), "{found:?}");
        assert!(near(&found.directions[1], [0.0, 1.0, 0.0]), "{found:?}");
        // Single precision leaves some dust across.
        assert!(found.directions.len() <= 3);
    }

    #[test]
    fn equal_rows_have_no_directions() {
        let row = [1.0_f32, 2.0];
        assert_eq!(components(&[&row, &row, &row], 2, 2).directions, Vec::<Vec<f64>>::new());
        assert_eq!(components(&[&row], 2, 2).directions, Vec::<Vec<f64>>::new());
        assert_eq!(components(&[], 2, 2).directions, Vec::<Vec<f64>>::new());
    }
}
