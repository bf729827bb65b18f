//! How much of a question the terms of a row cover: BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009) with
//! the weights of Lucene, over what a row with all of the question's terms, each once, would have.
//!
//! Invariant: a row without a term of the question has 0, and 1 is about what the question itself would have.

use crate::terms::TermCounts;

/// How soon a term that comes again counts no more, and how much a long row's terms count less.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// What is known of all rows together.
#[derive(Debug, Clone)]
pub struct Statistics {
    rows: u64,
    length: u64,
    /// Rows that have each of the question's terms.
    having: Vec<u64>,
}

impl Statistics {
    /// Of no rows, for a question of so many terms.
    #[must_use]
    pub fn new(terms: usize) -> Self {
        Self { rows: 0, length: 0, having: vec![0; terms] }
    }

    /// Counts a row.
    pub fn add(&mut self, row: &TermCounts) {
        self.rows = self.rows.saturating_add(1);
        self.length = self.length.saturating_add(u64::from(row.length));
        for (term, _) in &row.found {
            if let Some(having) = self.having.get_mut(*term as usize) {
                *having += 1;
            }
        }
    }

    /// How to score, once all rows are counted.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn weights(&self) -> Weights {
        let rows = self.rows as f64;
        let weight = |having: &u64| {
            let having = *having as f64;
            (1.0 + (rows - having + 0.5) / (having + 0.5)).ln()
        };
        let weights: Vec<f64> = self.having.iter().map(weight).collect();
        let mean_length = (self.length as f64 / rows.max(1.0)).max(1.0);
        Weights { whole: weights.iter().sum(), weights, mean_length }
    }
}

/// What each term of a question weighs.
#[derive(Debug, Clone)]
pub struct Weights {
    weights: Vec<f64>,
    whole: f64,
    mean_length: f64,
}

impl Weights {
    /// The score of a row.
    #[must_use]
    pub fn score(&self, row: &TermCounts) -> f64 {
        if self.whole <= 0.0 {
            return 0.0;
        }
        let length = K1 * (1.0 - B + B * f64::from(row.length) / self.mean_length);
        let term = |(term, frequency): &(u32, u32)| {
            let (weight, frequency) = (self.weights.get(*term as usize), f64::from(*frequency));
            weight.map_or(0.0, |weight| weight * frequency * (K1 + 1.0) / (frequency + length))
        };
        // A sum of nothing is -0.
        row.found.iter().map(term).fold(0.0, |sum, one| sum + one) / self.whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(length: u32, found: &[(u32, u32)]) -> TermCounts {
        TermCounts { length, found: found.to_vec() }
    }

    fn weights(rows: &[TermCounts]) -> Weights {
        let mut statistics = Statistics::new(3);
        rows.iter().for_each(|row| statistics.add(row));
        statistics.weights()
    }

    /// By hand: 4 rows of 3 terms each on average; term 0 is in two of them, term 1 in one, term 2 in none.
    #[test]
    fn scores_are_those_of_the_formula() {
        let rows = [counts(3, &[(0, 1)]), counts(2, &[(0, 1), (1, 2)]), counts(3, &[]), counts(4, &[])];
        let weights = weights(&rows);
        let idf = [2.0_f64.ln(), (1.0_f64 + 3.5 / 1.5).ln(), 10.0_f64.ln()];
        let whole: f64 = idf.iter().sum();
        assert!((weights.score(&rows[0]) - idf[0] / whole).abs() < 1e-12);
        let length = 1.2 * (0.25 + 0.75 * 2.0 / 3.0);
        let expected = (idf[0] * 2.2 / (1.0 + length) + idf[1] * 4.4 / (2.0 + length)) / whole;
        assert!((weights.score(&rows[1]) - expected).abs() < 1e-12);
        assert!(weights.score(&rows[2]).to_bits() == 0.0_f64.to_bits(), "not -0");
    }

    #[test]
    fn nothing_to_score_is_no_number_that_is_none() {
        assert!(Statistics::new(0).weights().score(&counts(3, &[])) == 0.0);
        assert!(Statistics::new(2).weights().score(&counts(0, &[])) == 0.0);
        assert!(weights(&[counts(0, &[])]).score(&counts(0, &[(7, 1)])) == 0.0);
    }
}
