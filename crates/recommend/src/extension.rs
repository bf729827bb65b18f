//! Items that are added to a model, between those that it has.
//!
//! It must not know what they are made of. Invariant: scores of the items that were there stay as they are, but for those of factors, where
//! more items that somebody hasn't had speak a little against all.

use crate::als::Solver;
use crate::factors::Factors;
use crate::matrix::SparseMatrix;
use crate::model::Recommender;
use crate::scorer::Scorer;
use crate::selection::Algorithm;

/// An item that is added.
#[derive(Debug, Clone, PartialEq)]
pub struct NewItem {
    /// Its name.
    pub name: String,
    /// What a scorer is to know of it.
    pub parts: Parts,
}

/// What a scorer knows of an item.
#[derive(Debug, Clone, PartialEq)]
pub enum Parts {
    /// Of item-item weights, by places before items are added.
    Weights {
        /// What having others adds to its score.
        column: Vec<(u32, f32)>,
        /// What having it adds to the scores of others.
        row: Vec<(u32, f32)>,
    },
    /// Its factors.
    Factors(Vec<f32>),
}

/// Where an item of the longer list comes from.
enum Origin {
    Old(usize),
    New(usize),
}

/// A model with more items, none of which it has. The algorithm is that of its scorer.
pub fn extended(model: Recommender, mut new: Vec<NewItem>, algorithm: Algorithm) -> Recommender {
    new.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let Recommender { customers, items, histories, popularity, scorer } = model;
    let old = items.iter().enumerate().map(|(place, name)| (name.clone(), Origin::Old(place)));
    let mut all: Vec<(String, Origin)> = old.collect();
    all.extend(new.iter().enumerate().map(|(place, item)| (item.name.clone(), Origin::New(place))));
    all.sort_by(|one, other| one.0.cmp(&other.0));
    let mut layout = Layout { old: vec![0; items.len()], new: vec![0; new.len()], count: all.len() };
    for (place, (_, origin)) in (0..).zip(&all) {
        match origin {
            Origin::Old(at) => layout.old[*at] = place,
            Origin::New(at) => layout.new[*at] = place,
        }
    }
    let scorer = match scorer {
        Scorer::Ease(weights) => Scorer::Ease(layout.weights(&weights, &new)),
        Scorer::Als(solver) => layout.solver(solver, &new, algorithm),
        Scorer::Popularity { .. } => Scorer::Popularity { items: layout.count },
    };
    let mut shares = vec![0.0; layout.count];
    popularity.iter().zip(&layout.old).for_each(|(&share, &place)| shares[place as usize] = share);
    Recommender {
        customers,
        items: all.into_iter().map(|(name, _)| name).collect(),
        histories: SparseMatrix {
            width: layout.count,
            columns: histories.columns.iter().map(|&item| layout.old[item as usize]).collect(),
            ..histories
        },
        popularity: shares,
        scorer,
    }
}

/// Where items are in the longer list. Places of old ones ascend, so rows stay in order.
struct Layout {
    old: Vec<u32>,
    new: Vec<u32>,
    count: usize,
}

impl Layout {
    fn weights(&self, weights: &SparseMatrix, new: &[NewItem]) -> SparseMatrix {
        let mut rows: Vec<Vec<(u32, f32)>> = vec![Vec::new(); self.count];
        let moved = |(item, value): (u32, f32)| (self.old[item as usize], value);
        for (item, &place) in self.old.iter().enumerate() {
            rows[place as usize].extend(weights.entries(item).map(moved));
        }
        for (item, &place) in new.iter().zip(&self.new) {
            let Parts::Weights { column, row } = &item.parts else { continue };
            rows[place as usize].extend(row.iter().copied().map(moved));
            for &(other, value) in column {
                rows[self.old[other as usize] as usize].push((place, value));
            }
        }
        rows.iter_mut().for_each(|row| row.sort_unstable_by_key(|entry| entry.0));
        SparseMatrix::from_rows(self.count, rows)
    }

    fn solver(&self, solver: Solver, new: &[NewItem], algorithm: Algorithm) -> Scorer {
        let Algorithm::Als(settings) = algorithm else { return Scorer::Als(solver) };
        let width = solver.factors.width;
        let mut values = vec![0.0; self.count * width];
        let mut put = |place: u32, own: &[f32]| {
            let start = place as usize * width;
            values[start..start + width].copy_from_slice(own);
        };
        self.old.iter().enumerate().for_each(|(item, &place)| put(place, solver.factors.row(item)));
        for (item, &place) in new.iter().zip(&self.new) {
            if let Parts::Factors(own) = &item.parts {
                put(place, own);
            }
        }
        Scorer::Als(Solver::new(Factors { width, values }, settings.regularization, settings.alpha))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::als::AlsSettings;
    use crate::ease::EaseSettings;

    fn model(scorer: Scorer) -> Recommender {
        Recommender {
            customers: vec!["c".to_owned()],
            items: vec!["b".to_owned(), "d".to_owned()],
            histories: SparseMatrix::from_rows(2, vec![vec![(0, 1.0), (1, 2.0)]]),
            popularity: vec![0.5, 0.25],
            scorer,
        }
    }

    #[test]
    fn weights_keep_their_items() {
        let weights = SparseMatrix::from_rows(2, vec![vec![(1, 3.0)], vec![(0, 4.0)]]);
        let item = |name: &str, value: f32| NewItem {
            name: name.to_owned(),
            parts: Parts::Weights { column: vec![(1, value)], row: vec![(0, -value)] },
        };
        let settings = EaseSettings { regularization: 1.0, dropout: 0.0, power: 0.0 };
        let new = vec![item("e", 7.0), item("a", 5.0), item("c", 6.0)];
        let found = extended(model(Scorer::Ease(weights)), new, Algorithm::Ease(settings));
        assert_eq!(found.items, ["a", "b", "c", "d", "e"]);
        assert_eq!(found.popularity, [0.0, 0.5, 0.0, 0.25, 0.0]);
        assert_eq!(found.histories, SparseMatrix::from_rows(5, vec![vec![(1, 1.0), (3, 2.0)]]));
        let rows = vec![
            vec![(1, -5.0)],
            vec![(3, 3.0)],
            vec![(1, -6.0)],
            vec![(0, 5.0), (1, 4.0), (2, 6.0), (4, 7.0)],
            vec![(1, -7.0)],
        ];
        assert_eq!(found.scorer, Scorer::Ease(SparseMatrix::from_rows(5, rows)));
    }

    #[test]
    fn factors_keep_their_items() {
        let settings = AlsSettings { factors: 1, regularization: 1.0, alpha: 2.0, iterations: 1, seed: 1 };
        let solver = Solver::new(Factors { width: 1, values: vec![1.0, 2.0] }, 1.0, 2.0);
        let new = vec![NewItem { name: "c".to_owned(), parts: Parts::Factors(vec![3.0]) }];
        let found = extended(model(Scorer::Als(solver)), new, Algorithm::Als(settings));
        let Scorer::Als(solver) = found.scorer else { panic!("other scorer") };
        assert_eq!(solver.factors.values, [1.0, 3.0, 2.0]);
    }
}
