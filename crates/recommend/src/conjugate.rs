//! Factors of one customer or item of the others', by conjugate gradients (Takács, Pilászy and Tikk, "Applications of the conjugate
//! gradient method for implicit feedback collaborative filtering", RecSys 2011).
//!
//! A few steps from where the last round ended come near the solution, and each takes no more than products with the vectors of what there
//! are interactions with; the solution itself takes a decomposition of a matrix for each customer. It must not know who is solved for.
//! Invariant: a solution depends on its own weights, the others' factors and where it begins alone.

use ecommerce_ml_tensor_cpu::vectors::Normal;

use crate::factors::Factors;

/// Steps for each.
const STEPS: usize = 3;

/// Residuals, squared, below which nothing is left to do.
const SOLVED: f32 = 1e-20;

/// Numbers that are added side by side.
const LANES: usize = 8;

/// What all solutions of a round have in common.
#[derive(Debug)]
pub struct Round<'a> {
    others: &'a Factors,
    /// `Y' Y + λ I`: `[width, width]`.
    gram: Vec<f32>,
    alpha: f32,
}

/// Room for one solution at a time: each `[width]`.
#[derive(Debug)]
pub struct Scratch {
    residual: Vec<f32>,
    direction: Vec<f32>,
    product: Vec<f32>,
}

impl Scratch {
    /// For factors of this length.
    pub fn new(width: usize) -> Self {
        let zeros = vec![0.0; width];
        Self { residual: zeros.clone(), direction: zeros.clone(), product: zeros }
    }
}

impl<'a> Round<'a> {
    /// Of the others' factors, `Y' Y + λ I` and α.
    #[allow(clippy::cast_possible_truncation, reason = "factors are kept so")]
    pub fn new(others: &'a Factors, gram: &[f64], alpha: f64) -> Self {
        Self { others, gram: gram.iter().map(|&one| one as f32).collect(), alpha: alpha as f32 }
    }

    /// Takes factors nearer to the solution for these places of others and their weights. `solution`: `[width]`.
    pub fn improve(&self, others: &[u32], weights: &[f32], solution: &mut [f32], scratch: &mut Scratch) {
        let Scratch { residual, direction, product } = scratch;
        // `A = Y' Y + λ I + Σ α weight y y'`.
        let (gram, matrix) = (&self.gram[..], &self.others.values[..]);
        let normal = Normal { gram, matrix, places: others, weights, factor: self.alpha };
        // Of the right side, `Σ c y`, what is left: `b - A x`.
        normal.multiply(solution, residual);
        residual.iter_mut().for_each(|one| *one = -*one);
        normal.add_sum(residual);
        direction.copy_from_slice(residual);
        let mut left = dot(residual, residual);
        for _ in 0..STEPS {
            if left < SOLVED {
                return;
            }
            normal.multiply(direction, product);
            let step = left / dot(direction, product);
            add(solution, step, direction);
            add(residual, -step, product);
            let before = std::mem::replace(&mut left, dot(residual, residual));
            let ratio = left / before;
            direction.iter_mut().zip(&*residual).for_each(|(one, &rest)| *one = rest + ratio * *one);
        }
    }
}

/// Adds a multiple of a vector to another.
fn add(into: &mut [f32], factor: f32, vector: &[f32]) {
    into.iter_mut().zip(vector).for_each(|(one, &other)| *one += factor * other);
}

/// A product of two vectors; numbers are added in an order that doesn't depend on the machine.
pub fn dot(one: &[f32], other: &[f32]) -> f32 {
    let (chunks, others) = (one.chunks_exact(LANES), other.chunks_exact(LANES));
    let rest = chunks.remainder().iter().zip(others.remainder());
    let mut sums = [0.0; LANES];
    for (chunk, other) in chunks.clone().zip(others) {
        for ((sum, &one), &other) in sums.iter_mut().zip(chunk).zip(other) {
            *sum += one * other;
        }
    }
    sums.iter().sum::<f32>() + rest.map(|(one, other)| one * other).sum::<f32>()
}
