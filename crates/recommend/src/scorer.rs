//! Scores of all items for one history, and what they are made of.
//!
//! It must not know names. Invariant: what the items of a history contribute to a score adds up to it, but for rounding.

use ecommerce_ml_tensor_cpu::vectors::row_products;

use crate::als::{Solved, Solver, dot};
use crate::matrix::SparseMatrix;

/// What computes scores.
#[derive(Debug, Clone, PartialEq)]
pub enum Scorer {
    /// `[items, items]`: what having the item of a row adds to the score of that of a column.
    Ease(SparseMatrix),
    /// Items' factors, of which each history's are solved.
    Als(Solver),
    /// Nothing was better than how popular items are: all scores are 0, and that decides.
    Popularity {
        /// Number of items.
        items: usize,
    },
}

/// A history: places of items, ascending, and their weights.
pub type History<'a> = (&'a [u32], &'a [f32]);

/// One history's scores.
#[derive(Debug, Clone)]
pub struct Scores {
    /// `[items]`.
    pub scores: Vec<f32>,
    solved: Option<Solved>,
}

impl Scorer {
    /// As model files and metrics call it.
    pub fn name(&self) -> &'static str {
        match self {
            Scorer::Ease(_) => "ease",
            Scorer::Als(_) => "als",
            Scorer::Popularity { .. } => "popularity",
        }
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        match self {
            Scorer::Ease(weights) => weights.width,
            Scorer::Als(solver) => solver.factors.values.len() / solver.factors.width.max(1),
            Scorer::Popularity { items } => *items,
        }
    }

    /// Scores of all items; all 0 without a history.
    pub fn scores(&self, (items, weights): History<'_>) -> Scores {
        let mut scores = vec![0.0_f32; self.items()];
        let mut solved = None;
        match self {
            Scorer::Ease(matrix) => {
                for (&item, &weight) in items.iter().zip(weights) {
                    add(&mut scores, weight, matrix.row(item as usize));
                }
            }
            Scorer::Als(solver) if !items.is_empty() => {
                let own = solver.solve(items, weights);
                #[allow(clippy::cast_possible_truncation, reason = "scores need no more digits")]
                let factors: Vec<f32> = own.factors.iter().map(|&one| one as f32).collect();
                row_products(&solver.factors.values, &factors, &mut scores);
                solved = Some(own);
            }
            Scorer::Als(_) | Scorer::Popularity { .. } => {}
        }
        Scores { scores, solved }
    }

    /// What each item of the history adds to the score of a target; as many as the history has.
    pub fn contributions(&self, scores: &Scores, history: History<'_>, target: usize) -> Vec<f64> {
        let (items, weights) = history;
        match (self, &scores.solved) {
            (Scorer::Ease(matrix), _) => {
                let of = |(&item, &weight): (&u32, &f32)| {
                    let (targets, values) = matrix.row(item as usize);
                    let found = targets.binary_search_by(|one| (*one as usize).cmp(&target));
                    found.ok().and_then(|at| values.get(at)).map_or(0.0, |&value| f64::from(weight * value))
                };
                items.iter().zip(weights).map(of).collect()
            }
            (Scorer::Als(solver), Some(solved)) => solver.contributions(solved, history, target),
            _ => vec![0.0; items.len()],
        }
    }

    /// How much an item speaks for each of the others; none where that isn't known.
    pub fn similar(&self, item: usize) -> Vec<f32> {
        match self {
            Scorer::Ease(matrix) => {
                let mut scores = vec![0.0; matrix.width];
                for (target, value) in matrix.entries(item) {
                    scores[target as usize] = value;
                }
                scores
            }
            Scorer::Als(solver) => {
                let wide = |row: &[f32]| row.iter().map(|&one| f64::from(one)).collect::<Vec<_>>();
                let own = wide(solver.factors.row(item));
                let length = |row: &[f32]| dot(&wide(row), row).sqrt();
                let own_length = length(solver.factors.row(item));
                #[allow(clippy::cast_possible_truncation, reason = "scores need no more digits")]
                let cosine = |row: &[f32]| match own_length * length(row) {
                    lengths if lengths > 0.0 => (dot(&own, row) / lengths) as f32,
                    _ => 0.0,
                };
                solver.factors.values.chunks(solver.factors.width.max(1)).map(cosine).collect()
            }
            Scorer::Popularity { .. } => Vec::new(),
        }
    }
}

/// Entries that are looked at together.
const BLOCK: usize = 16;

/// Adds a multiple of a sparse row. Most rows have nearly all entries, in blocks without a gap, which compilers make vectors of.
fn add(scores: &mut [f32], weight: f32, (targets, values): History<'_>) {
    let (blocks, numbers) = (targets.chunks_exact(BLOCK), values.chunks_exact(BLOCK));
    let rest = blocks.remainder().iter().zip(numbers.remainder());
    for (targets, values) in blocks.zip(numbers) {
        let first = targets[0] as usize;
        if targets[BLOCK - 1] as usize == first + BLOCK - 1 {
            let own = scores[first..first + BLOCK].iter_mut().zip(values);
            own.for_each(|(score, &value)| *score += weight * value);
        } else {
            let own = targets.iter().zip(values);
            own.for_each(|(&target, &value)| scores[target as usize] += weight * value);
        }
    }
    rest.for_each(|(&target, &value)| scores[target as usize] += weight * value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_and_without_gaps_are_added() {
        let kept = (0..70_u16).filter(|place| ![3, 40].contains(place));
        let row = kept.map(|place| (u32::from(place), f32::from(place))).collect();
        let matrix = SparseMatrix::from_rows(70, vec![row]);
        let mut scores = vec![1.0; 70];
        add(&mut scores, 2.0, matrix.row(0));
        let expected = |place: u16| if [3, 40].contains(&place) { 1.0 } else { 1.0 + 2.0 * f32::from(place) };
        assert_eq!(scores, (0..70).map(expected).collect::<Vec<_>>());
    }
}
