//! The best answers of many rows: both scores of each fused, then the best row of each answer.
//!
//! Invariant: memory grows with the number of rows, some 100 bytes each, and not with the length of their texts.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::bm25::Statistics;
use crate::confidence::{Evidence, confidence};
use crate::terms::{TermCounts, Terms};

/// A row, by hashes of its answer and its question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// Of the answer: rows with the same one are one answer.
    pub answer: i64,
    /// Of the question.
    pub question: i64,
}

/// An answer that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// Its best row.
    pub row: RowKey,
    /// Cosine of the embeddings, from -1 to 1; none if the row has none.
    pub semantic: Option<f64>,
    /// What the row's terms cover of the question: 0 none, about 1 all of it.
    pub lexical: f64,
    /// Both, fused.
    pub score: f64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matches {
    /// The best answers, the best first.
    pub best: Vec<Match>,
    /// The probability that the first one is right.
    pub confidence: f64,
}

struct Row {
    key: RowKey,
    semantic: Option<f32>,
    counts: TermCounts,
}

/// Collects the rows to choose from.
pub struct Ranking {
    terms: Terms,
    /// Of the lexical score; the rest is the semantic one's.
    lexical_weight: f64,
    statistics: Statistics,
    rows: Vec<Row>,
}

impl Ranking {
    /// For a question of these terms, with a weight from 0 to 1 of the lexical score.
    #[must_use]
    pub fn new(terms: Terms, lexical_weight: f64) -> Self {
        let statistics = Statistics::new(terms.len());
        Self { terms, lexical_weight, statistics, rows: Vec::new() }
    }

    /// Counts the words of a row, given as its question's `tsvector` in text form and as it is: how rare each is.
    pub fn count(&mut self, lexemes: &str, text: &str) {
        self.statistics.add(&self.terms.count(lexemes, text));
    }

    /// Adds a row whose words are counted, given in the same way, and the cosine of the embeddings.
    pub fn add(&mut self, key: RowKey, lexemes: &str, text: &str, semantic: Option<f32>) {
        let counts = self.terms.count(lexemes, text);
        self.statistics.add(&counts);
        self.rows.push(Row { key, semantic, counts });
    }

    /// Adds a row whose words are not: how rare each is, others say.
    pub fn add_uncounted(&mut self, key: RowKey, lexemes: &str, text: &str, semantic: Option<f32>) {
        let counts = self.terms.count(lexemes, text);
        self.rows.push(Row { key, semantic, counts });
    }

    /// The `count` best answers.
    #[must_use]
    pub fn finish(self, count: usize) -> Matches {
        let weights = self.statistics.weights();
        let mut best: HashMap<i64, Match> = HashMap::new();
        for row in &self.rows {
            let lexical = weights.score(&row.counts);
            let semantic = row.semantic.map(f64::from);
            let score = self.lexical_weight * lexical + (1.0 - self.lexical_weight) * semantic.unwrap_or(0.0);
            // A row that nothing speaks for or against is no answer.
            if row.counts.found.is_empty() && (semantic.is_none() || self.lexical_weight >= 1.0) {
                continue;
            }
            let found = Match { row: row.key, semantic, lexical, score };
            best.entry(row.key.answer)
                .and_modify(|one| {
                    if order(&found, one).is_lt() {
                        *one = found;
                    }
                })
                .or_insert(found);
        }
        let mut best: Vec<Match> = best.into_values().collect();
        best.sort_unstable_by(order);
        let confidence = evidence(&best).map_or(0.0, confidence);
        best.truncate(count);
        Matches { best, confidence }
    }
}

/// The better first, in one order whatever that of the rows.
fn order(one: &Match, other: &Match) -> Ordering {
    other.score.total_cmp(&one.score).then_with(|| one.row.cmp(&other.row))
}

fn evidence(best: &[Match]) -> Option<Evidence> {
    let first = best.first()?;
    let second = best.get(1).map_or(0.0, |second| second.score.max(0.0));
    Some(Evidence {
        semantic: first.semantic.unwrap_or(0.0),
        lexical: first.lexical,
        margin: first.score - second,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(rows: &[(i64, i64, &str, Option<f32>)], weight: f64, count: usize) -> Matches {
        let mut ranking = Ranking::new(Terms::of("'lamp':1 'return':2", ""), weight);
        for (answer, question, lexemes, semantic) in rows {
            ranking.add(RowKey { answer: *answer, question: *question }, lexemes, "", *semantic);
        }
        ranking.finish(count)
    }

    const ROWS: [(i64, i64, &str, Option<f32>); 5] = [
        (1, 10, "'lamp':1", Some(0.2)),
        (1, 11, "'lamp':1 'return':2", Some(0.1)),
        (2, 12, "'chair':1", Some(0.9)),
        (3, 13, "'return':1", None),
        (4, 14, "'chair':1", None),
    ];

    fn order_of(matches: &Matches) -> Vec<(i64, i64)> {
        matches.best.iter().map(|one| (one.row.answer, one.row.question)).collect()
    }

    #[test]
    fn each_answer_has_its_best_row_and_nothing_is_no_answer() {
        assert_eq!(order_of(&rank(&ROWS, 0.7, 9)), [(1, 11), (3, 13), (2, 12)]);
        assert_eq!(order_of(&rank(&ROWS, 0.0, 9)), [(2, 12), (1, 10), (3, 13)]);
        assert_eq!(order_of(&rank(&ROWS, 1.0, 9)), [(1, 11), (3, 13)]);
        assert_eq!(order_of(&rank(&ROWS, 0.7, 1)), [(1, 11)]);
        assert_eq!(rank(&[], 0.7, 9), Matches::default());
    }

    #[test]
    fn the_order_of_rows_does_not_matter() {
        let mut rows = ROWS.to_vec();
        rows.push((5, 15, "'lamp':1 'return':2", Some(0.1)));
        let first = rank(&rows, 0.7, 9);
        for _ in 0..rows.len() {
            rows.rotate_left(1);
            assert_eq!(rank(&rows, 0.7, 9), first);
        }
        assert_eq!(order_of(&first)[..2], [(1, 11), (5, 15)]);
    }

    #[test]
    fn words_of_some_rows_may_tell_how_rare_they_are() {
        let key = |(answer, question, ..): &(i64, i64, &str, Option<f32>)| RowKey {
            answer: *answer,
            question: *question,
        };
        let mut ranking = Ranking::new(Terms::of("'lamp':1 'return':2", ""), 0.7);
        for row in &ROWS {
            ranking.count(row.2, "");
        }
        for row in ROWS.iter().skip(1) {
            ranking.add_uncounted(key(row), row.2, "", row.3);
        }
        let found = ranking.finish(9);
        let all = rank(&ROWS, 0.7, 9);
        assert_eq!(found, all, "the best rows are the same, and so is what their words weigh");
    }

    #[test]
    fn confidence_is_that_of_the_first_whatever_is_returned() {
        let (all, one) = (rank(&ROWS, 0.7, 9), rank(&ROWS, 0.7, 1));
        assert!((all.confidence - one.confidence).abs() < 1e-12 && all.confidence > 0.0);
        let alone = rank(&ROWS[..2], 0.7, 9);
        assert!(alone.confidence > all.confidence, "without a rival it is surer");
    }
}
