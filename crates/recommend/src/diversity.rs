//! A list of items that are good and unlike each other: maximal marginal relevance (Carbonell and Goldstein, "The use of MMR,
//! diversity-based reranking for reordering documents and producing summaries", SIGIR 1998).
//!
//! The next item of the list is that of the highest `(1 - d) r - d l`: r is its score, as a part of the way from the lowest to the highest
//! of those to choose from, and l the cosine of its vector and that of the item in the list that it is likest, 0 if that is below. The vector of an
//! item is its factors, or its row of item-item weights.
//!
//! It must not know names. Invariant: the first item is that of the highest score, and with d of 0 all are in the order of scores.

use crate::conjugate::dot;
use crate::ranking::Ranked;
use crate::scorer::Scorer;

/// Places that are filled so; those after them are in the order of scores.
const FILLED: usize = 100;

/// Items to choose from, for each of these places.
const CHOICE: usize = 10;

/// How many of the best items a list of `count` items is chosen from.
pub fn pool_size(count: usize, diversity: f32) -> usize {
    if diversity > 0.0 { count.max(CHOICE * count.min(FILLED)) } else { count }
}

/// `count` of the items of a pool, which is in the order of scores. `diversity`: d, from 0 to 1.
pub fn diversified(scorer: &Scorer, pool: Vec<Ranked>, count: usize, diversity: f32) -> Vec<Ranked> {
    if diversity <= 0.0 {
        return pool.into_iter().take(count).collect();
    }
    let relevance = relevance(&pool);
    let mut vectors = Vectors::new(scorer, &pool);
    let mut candidates: Vec<Candidate> = (0..)
        .zip(relevance)
        .map(|(place, relevance)| Candidate { place, relevance, likeness: 0.0 })
        .collect();
    let mut list = Vec::with_capacity(count.min(pool.len()));
    while list.len() < count.min(FILLED) {
        let worth = |one: &Candidate| (1.0 - diversity) * one.relevance - diversity * one.likeness;
        // Of equals the one with the higher score, which is the first.
        let better = |one: &(usize, &Candidate), other: &(usize, &Candidate)| {
            worth(one.1).total_cmp(&worth(other.1)).then(other.0.cmp(&one.0))
        };
        let Some(next) = candidates.iter().enumerate().max_by(better).map(|(at, _)| at) else { break };
        let chosen = candidates.remove(next);
        list.extend(pool.get(chosen.place));
        vectors.compare(chosen.place, &mut candidates);
    }
    let rest = candidates.iter().filter_map(|one| pool.get(one.place)).take(count - list.len());
    list.extend(rest);
    list
}

/// An item that isn't in the list yet.
struct Candidate {
    /// In the pool.
    place: usize,
    /// From 0 to 1.
    relevance: f32,
    /// With the item of the list that it is likest.
    likeness: f32,
}

/// Scores as parts of the way from the lowest to the highest: `[pool]`.
fn relevance(pool: &[Ranked]) -> Vec<f32> {
    let highest = pool.first().map_or(0.0, |one| one.score);
    let lowest = pool.last().map_or(0.0, |one| one.score);
    let range = highest - lowest;
    pool.iter().map(|one| if range > 0.0 { (one.score - lowest) / range } else { 1.0 }).collect()
}

/// Vectors of the items of a pool.
struct Vectors<'a> {
    scorer: &'a Scorer,
    pool: &'a [Ranked],
    /// `[pool]`.
    lengths: Vec<f32>,
    /// Room for one vector of weights: `[items]`, zeros between two comparisons.
    dense: Vec<f32>,
}

impl<'a> Vectors<'a> {
    fn new(scorer: &'a Scorer, pool: &'a [Ranked]) -> Self {
        let squared = |values: &[f32]| dot(values, values);
        let length = |one: &Ranked| match scorer {
            Scorer::Ease(weights) => squared(weights.row(one.item as usize).1).sqrt(),
            Scorer::Als(solver) => squared(solver.factors.row(one.item as usize)).sqrt(),
            Scorer::Popularity { .. } => 0.0,
        };
        let dense = match scorer {
            Scorer::Ease(weights) => vec![0.0; weights.width],
            Scorer::Als(_) | Scorer::Popularity { .. } => Vec::new(),
        };
        Self { scorer, pool, lengths: pool.iter().map(length).collect(), dense }
    }

    /// Tells candidates how like the item of a place they are.
    fn compare(&mut self, place: usize, candidates: &mut [Candidate]) {
        let Some(item) = self.item(place) else { return };
        self.fill(item, 1.0);
        for one in candidates {
            let Some(other) = self.item(one.place) else { continue };
            let product = match self.scorer {
                Scorer::Ease(weights) => {
                    weights.entries(other).map(|(at, value)| self.number(at as usize) * value).sum()
                }
                Scorer::Als(solver) => dot(solver.factors.row(item), solver.factors.row(other)),
                Scorer::Popularity { .. } => 0.0,
            };
            let length = |place: usize| self.lengths.get(place).copied().unwrap_or_default();
            let lengths = length(place) * length(one.place);
            if lengths > 0.0 {
                one.likeness = one.likeness.max(product / lengths);
            }
        }
        self.fill(item, 0.0);
    }

    fn item(&self, place: usize) -> Option<usize> {
        self.pool.get(place).map(|one| one.item as usize)
    }

    fn number(&self, item: usize) -> f32 {
        self.dense.get(item).copied().unwrap_or_default()
    }

    /// Writes a multiple of the vector of weights of an item.
    fn fill(&mut self, item: usize, factor: f32) {
        let Scorer::Ease(weights) = self.scorer else { return };
        for (at, value) in weights.entries(item) {
            if let Some(number) = self.dense.get_mut(at as usize) {
                *number = factor * value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::als::Solver;
    use crate::factors::Factors;
    use crate::matrix::SparseMatrix;

    /// Items 0 and 1 are alike, item 2 is a little like both, and item 3 like none.
    fn scorers() -> [Scorer; 2] {
        let values = vec![1.0, 0.0, 1.0, 0.1, 1.0, 1.0, 0.0, 1.0];
        // What having one of them adds to the scores of two others.
        let row = |own: &[f32]| (4..).zip(own.iter().copied()).filter(|one| one.1 != 0.0).collect();
        let rows = values.chunks(2).map(row).chain([Vec::new(), Vec::new()]).collect();
        [
            Scorer::Ease(SparseMatrix::from_rows(6, rows)),
            Scorer::Als(Solver::new(Factors { width: 2, values }, 1.0, 1.0)),
        ]
    }

    fn items(scorer: &Scorer, count: usize, diversity: f32) -> Vec<u32> {
        let pool = (0..4_u8).map(|item| Ranked { item: item.into(), score: 4.0 - f32::from(item) }).collect();
        diversified(scorer, pool, count, diversity).into_iter().map(|one| one.item).collect()
    }

    #[test]
    fn what_is_like_the_list_comes_later() {
        for scorer in scorers() {
            assert_eq!(items(&scorer, 4, 0.0), [0, 1, 2, 3]);
            assert_eq!(items(&scorer, 4, 0.1), [0, 1, 2, 3]);
            assert_eq!(items(&scorer, 4, 1.0), [0, 3, 2, 1]);
            assert_eq!(items(&scorer, 2, 0.8), [0, 3]);
            assert_eq!(items(&scorer, 9, 1.0).len(), 4);
            assert_eq!(items(&scorer, 0, 1.0), Vec::<u32>::new());
        }
        // Of items that nothing is known of, scores say all.
        assert_eq!(items(&Scorer::Popularity { items: 4 }, 3, 1.0), [0, 1, 2]);
    }

    #[test]
    fn places_beyond_those_that_are_filled_are_in_the_order_of_scores() {
        let values = (0..600_u16).map(|item| f32::from(item % 3) - 1.0).flat_map(|one| [one, 0.5]).collect();
        let scorer = Scorer::Als(Solver::new(Factors { width: 2, values }, 1.0, 1.0));
        let pool = (0..600_u16).map(|item| Ranked { item: item.into(), score: -f32::from(item) });
        let found = diversified(&scorer, pool.collect(), 300, 0.5);
        assert_eq!(found.len(), 300);
        assert!(found[FILLED..].windows(2).all(|pair| pair[0].item < pair[1].item));
        let mut all: Vec<u32> = found.iter().map(|one| one.item).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 300);
        assert_eq!((pool_size(10, 0.0), pool_size(10, 0.5), pool_size(5000, 0.5)), (10, 100, 5000));
        assert_eq!(pool_size(usize::MAX, 0.5), usize::MAX);
    }
}
