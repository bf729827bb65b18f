//! What rankings are worth on pairs that were held out: all items are ranked but those that the customer had.
//!
//! It must not know how a scorer came about. Invariant: two scorers that are evaluated on the same split are measured on the same
//! customers, in the same order.

use ecommerce_ml_metrics::ranking::{coverage, ndcg, novelty, recall};
use rayon::prelude::*;

use crate::matrix::SparseMatrix;
use crate::model::popularity;
use crate::ranking::{Ranked, best};
use crate::scorer::Scorer;

/// Places that NDCG, coverage and novelty look at.
pub const SHOWN: usize = 10;

/// Places that recall looks at.
pub const RECALLED: usize = 20;

/// Most customers that are measured: the mean of as many is known well enough.
const MOST_CUSTOMERS: usize = 20_000;

/// What rankings are worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// NDCG of the first ten places, of each customer who has something held out.
    pub ndcg: Vec<f64>,
    /// Part of what was held out that is among the first twenty, of each of the same customers.
    pub recall: Vec<f64>,
    /// Part of all items that is shown to anybody in the first ten places.
    pub coverage: Option<f64>,
    /// How little known what is shown is, in bits.
    pub novelty: Option<f64>,
}

/// What a scorer is measured on.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// `[customers, items]`: what each had, and is not recommended.
    pub seen: &'a SparseMatrix,
    /// `[customers, items]`: the same, weighted as the scorer reads it.
    pub histories: &'a SparseMatrix,
    /// `[customers, items]`: what is to be found.
    pub held_out: &'a SparseMatrix,
}

struct Measured {
    ndcg: f64,
    recall: f64,
    shown: Vec<u32>,
}

/// Measures a scorer.
pub fn evaluate(scorer: &Scorer, task: Task<'_>) -> Evaluation {
    let by_popularity = popularity(task.seen);
    let asked: Vec<usize> =
        (0..task.held_out.rows()).filter(|&row| !task.held_out.row(row).0.is_empty()).collect();
    let step = asked.len().div_ceil(MOST_CUSTOMERS).max(1);
    let asked: Vec<usize> = asked.into_iter().step_by(step).collect();
    let measured: Vec<Measured> =
        asked.into_par_iter().map(|customer| measure(scorer, task, &by_popularity, customer)).collect();
    let mut recommended = vec![0; task.held_out.width];
    for item in measured.iter().flat_map(|one| &one.shown) {
        recommended[*item as usize] += 1;
    }
    let shares: Vec<f64> = by_popularity.iter().map(|&share| f64::from(share)).collect();
    Evaluation {
        ndcg: measured.iter().map(|one| one.ndcg).collect(),
        recall: measured.iter().map(|one| one.recall).collect(),
        coverage: coverage(&recommended),
        novelty: novelty(&recommended, &shares),
    }
}

fn measure(scorer: &Scorer, task: Task<'_>, by_popularity: &[f32], customer: usize) -> Measured {
    let history = task.histories.row(customer);
    let scores = scorer.scores(history).scores;
    let seen = task.seen.row(customer).0;
    let ranked = best(&scores, by_popularity, RECALLED, |item| seen.binary_search(&item).is_err());
    let worth = Worth::of(&ranked, task.held_out.row(customer).0);
    Measured {
        ndcg: worth.ndcg,
        recall: worth.recall,
        shown: ranked.iter().take(SHOWN).map(|one| one.item).collect(),
    }
}

/// What one ranking is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worth {
    /// Of the first ten places.
    pub ndcg: f64,
    /// Of the first twenty.
    pub recall: f64,
}

impl Worth {
    /// Of a ranking of at least twenty places, as far as there are as many items; `relevant`: places of items, ascending.
    pub fn of(ranked: &[Ranked], relevant: &[u32]) -> Self {
        let hits: Vec<bool> = ranked.iter().map(|one| relevant.binary_search(&one.item).is_ok()).collect();
        Self {
            ndcg: ndcg(&hits, relevant.len(), SHOWN).unwrap_or_default(),
            recall: recall(&hits, relevant.len(), RECALLED).unwrap_or_default(),
        }
    }
}

/// A mean; 0 of nothing.
#[allow(clippy::cast_precision_loss)]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
