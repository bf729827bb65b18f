//! Factors of implicit feedback by alternating least squares (Hu, Koren and Volinsky, "Collaborative filtering for implicit
//! feedback datasets", ICDM 2008).
//!
//! Minimises `Σ c (p - x y)² + λ (Σ x² + Σ y²)` over all pairs of customers and items, with p = 1 and c = 1 + α weight where
//! there is an interaction, p = 0 and c = 1 elsewhere. In a fit, both sides come nearer to it by a few steps a round; then customers'
//! factors are solved of the items' exactly, so that those of someone new are as good as those of the others, and needn't be kept.
//!
//! It must not know where weights come from. Invariant: a customer's factors depend on that customer's weights and the items'
//! factors alone.

use ecommerce_ml_tensor_cpu::product::{Matrix, multiply};
use rayon::prelude::*;

use crate::conjugate::{Round, Scratch};
use crate::factors::Factors;
use crate::matrix::SparseMatrix;

/// What is to be chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlsSettings {
    /// Length of each vector.
    pub factors: usize,
    /// λ, above 0.
    pub regularization: f64,
    /// α.
    pub alpha: f64,
    /// Times that both sides are solved.
    pub iterations: usize,
    /// Of the factors that it begins with.
    pub seed: u64,
}

/// Bytes that a fit takes at most, beside the interactions.
pub fn bytes(customers: usize, items: usize, factors: usize) -> u64 {
    (customers + 2 * items) as u64 * (factors * size_of::<f32>()) as u64
}

/// Items' factors and what solving for a customer needs of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Solver {
    /// Those of the items.
    pub factors: Factors,
    /// `Y' Y + λ I`: `[width, width]`.
    gram: Vec<f64>,
    alpha: f64,
}

/// A customer's factors, and the decomposition that they were solved by.
#[derive(Debug, Clone)]
pub struct Solved {
    /// `[width]`.
    pub factors: Vec<f64>,
    /// `U` of `Y' C Y + λ I = U' U`: `[width, width]`.
    triangle: Vec<f64>,
}

/// Takes all vectors nearer to what the others' and the weights make of them. `weights`: `[rows, rows of others]`.
fn improve(
    factors: &mut Factors,
    others: &Factors,
    weights: &SparseMatrix,
    (regularization, alpha): (f64, f64),
) {
    let round = Round::new(others, &gram(others, regularization), alpha);
    let width = factors.width;
    let solve = |scratch: &mut Scratch, (row, solution): (usize, &mut [f32])| {
        let (others, values) = weights.row(row);
        round.improve(others, values, solution, scratch);
    };
    let rows = factors.values.par_chunks_mut(width.max(1)).enumerate();
    rows.for_each_init(|| Scratch::new(width), solve);
}

/// `Y' Y + λ I`: `[width, width]`.
fn gram(factors: &Factors, regularization: f64) -> Vec<f64> {
    let width = factors.width;
    let rows = factors.values.len() / width.max(1);
    let wide: Vec<f64> = factors.values.iter().map(|&value| f64::from(value)).collect();
    let mut gram = vec![0.0; width * width];
    let all = Matrix::new(&wide, (rows, width), width);
    multiply(all.transposed(), all, 1.0, (&mut gram, width), false);
    gram.iter_mut().step_by(width + 1).for_each(|diagonal| *diagonal += regularization);
    gram
}

/// Factors of the items of weights of customers and items.
/// `weights`: `[customers, items]`.
pub fn fit(weights: &SparseMatrix, settings: AlsSettings) -> Solver {
    let AlsSettings { factors, regularization, alpha, iterations, seed } = settings;
    let customers_of = weights.transposed();
    let mut items = Factors::initial(weights.width, factors, seed);
    let mut customers = Factors { width: factors, values: vec![0.0; weights.rows() * factors] };
    for _ in 0..iterations {
        improve(&mut customers, &items, weights, (regularization, alpha));
        improve(&mut items, &customers, &customers_of, (regularization, alpha));
    }
    Solver::new(items, regularization, alpha)
}

impl Solver {
    /// Of factors.
    pub fn new(factors: Factors, regularization: f64, alpha: f64) -> Self {
        let gram = gram(&factors, regularization);
        Self { factors, gram, alpha }
    }

    /// Factors of one who has these items: places and weights. Zeros of one who has none.
    pub fn solve(&self, items: &[u32], weights: &[f32]) -> Solved {
        let width = self.factors.width;
        let (mut matrix, mut right) = (self.gram.clone(), vec![0.0; width]);
        for (&item, &weight) in items.iter().zip(weights) {
            let more = self.alpha * f64::from(weight);
            let factors = self.factors.row(item as usize);
            for (row, &factor) in factors.iter().enumerate() {
                let scaled = more * f64::from(factor);
                right[row] += scaled + f64::from(factor);
                let into = &mut matrix[row * width + row..(row + 1) * width];
                into.iter_mut()
                    .zip(&factors[row..])
                    .for_each(|(one, &other)| *one += scaled * f64::from(other));
            }
        }
        decompose(&mut matrix, width);
        let mut solved = Solved { factors: right, triangle: matrix };
        let right = std::mem::take(&mut solved.factors);
        solved.factors = solved.solve(right);
        solved
    }

    /// What each of a customer's items adds to the score of another: `c y_item' (Y' C Y + λ I)⁻¹ y_target`; all of it together is
    /// the score (section 5 of the paper).
    pub fn contributions(
        &self,
        solved: &Solved,
        (items, weights): (&[u32], &[f32]),
        target: usize,
    ) -> Vec<f64> {
        let wanted = solved.solve(self.factors.row(target).iter().map(|&one| f64::from(one)).collect());
        let of = |(&item, &weight): (&u32, &f32)| {
            let product = dot(&wanted, self.factors.row(item as usize));
            (1.0 + self.alpha * f64::from(weight)) * product
        };
        items.iter().zip(weights).map(of).collect()
    }
}

impl Solved {
    /// `(U' U)⁻¹ right`: `[width]`.
    fn solve(&self, mut right: Vec<f64>) -> Vec<f64> {
        let width = right.len();
        for row in 0..width {
            let own = &self.triangle[row * width + row..(row + 1) * width];
            let value = right[row] / own[0];
            right[row] = value;
            right[row + 1..].iter_mut().zip(&own[1..]).for_each(|(one, other)| *one -= value * other);
        }
        for row in (0..width).rev() {
            let own = &self.triangle[row * width + row..(row + 1) * width];
            let sum: f64 = own[1..].iter().zip(&right[row + 1..]).map(|(one, other)| one * other).sum();
            right[row] = (right[row] - sum) / own[0];
        }
        right
    }
}

/// A product of two vectors.
pub fn dot(one: &[f64], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(one, &other)| one * f64::from(other)).sum()
}

/// `U` in the upper triangle of a matrix with λ on its diagonal: rounding makes no pivot negative. Rows are changed as a whole, which
/// compilers make vectors of, and sums of products not.
fn decompose(matrix: &mut [f64], width: usize) {
    for step in 0..width {
        let (done, rest) = matrix.split_at_mut((step + 1) * width);
        let own = &mut done[step * width + step..];
        let pivot = own[0].max(f64::MIN_POSITIVE).sqrt();
        own.iter_mut().for_each(|one| *one /= pivot);
        for (offset, row) in rest.chunks_mut(width).enumerate() {
            let own = &own[offset + 1..];
            let factor = own[0];
            let into = &mut row[step + offset + 1..];
            into.iter_mut().zip(own).for_each(|(one, other)| *one -= factor * other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_rounds_reach_the_solution() {
        let others = Factors::initial(20, 11, 3);
        let others = Factors { values: others.values.iter().map(|one| one * 100.0).collect(), ..others };
        let (items, weights) = ([1, 4, 5, 17], [1.0, 0.5, 2.0, 1.0]);
        let exact = Solver::new(others.clone(), 0.7, 3.0);
        let expected = exact.solve(&items, &weights).factors;
        let round = Round::new(&others, &exact.gram, 3.0);
        let (mut found, mut scratch) = (vec![0.0; 11], Scratch::new(11));
        for _ in 0..12 {
            round.improve(&items, &weights, &mut found, &mut scratch);
        }
        for (&found, expected) in found.iter().zip(expected) {
            assert!((f64::from(found) - expected).abs() < 1e-4, "{found} {expected}");
        }
        // One who has nothing is at 0.
        let mut nothing = vec![0.0; 11];
        round.improve(&[], &[], &mut nothing, &mut scratch);
        assert_eq!(nothing, [0.0; 11]);
    }
}
