//! What answers: a scorer with names, what customers had, and how popular items are.
//!
//! It must not know files or requests. Invariant: whatever is asked there is an answer, the most popular items if nothing else is
//! known.

use crate::diversity::{diversified, pool_size};
use crate::interactions::Interactions;
use crate::item_set::ItemSet;
use crate::matrix::SparseMatrix;
use crate::ranking::{Ranked, best};
use crate::scorer::{History, Scorer};

/// Customers who had nothing, added to those that there are, so that shares of few customers aren't taken at their word.
const EXTRA_CUSTOMERS: f32 = 10.0;

/// The reason for items that are recommended because many have them.
pub const POPULARITY: &str = "popularity";

/// Most items that are named as reasons.
const REASONS: usize = 3;

/// A model that recommends.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommender {
    /// Names, ascending; rows of the histories.
    pub customers: Vec<String>,
    /// Names, ascending; what all other places of items are places in.
    pub items: Vec<String>,
    /// `[customers, items]`: weights as the scorer reads them.
    pub histories: SparseMatrix,
    /// `[items]`: the part of customers who have it, shrunk towards 0.
    pub popularity: Vec<f32>,
    /// The rest.
    pub scorer: Scorer,
}

/// Who asks, for what.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<'a> {
    /// One whose history the model may know.
    pub customer: Option<&'a str>,
    /// What the customer had, if not what the model knows is to count.
    pub history: Option<&'a [String]>,
    /// Most items of the answer.
    pub count: usize,
    /// Whether items of the history are left out.
    pub exclude_seen: bool,
    /// The items to choose from, if not all.
    pub candidates: Option<&'a ItemSet>,
    /// From 0, the best items however alike they are, to 1.
    pub diversity: f32,
}

/// An item of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation<'a> {
    /// Its name.
    pub item: &'a str,
    /// The higher the better, within one answer; of the most popular items the share of customers who have it.
    pub score: f32,
    /// Items of the history that spoke for it most, most first; [`POPULARITY`] if nothing is known that could.
    pub because: Vec<&'a str>,
}

/// What an item of an answer is there for, if nothing is known of the customer.
pub fn popularity(matrix: &SparseMatrix) -> Vec<f32> {
    let mut counts = vec![0.0_f32; matrix.width];
    for &item in &matrix.columns {
        counts[item as usize] += 1.0;
    }
    #[allow(clippy::cast_precision_loss)]
    let customers = matrix.rows() as f32 + EXTRA_CUSTOMERS;
    counts.iter().map(|count| count / customers).collect()
}

impl Recommender {
    /// Of a scorer that was fitted to interactions, and their weights as it reads them.
    pub fn new(interactions: &Interactions, histories: SparseMatrix, scorer: Scorer) -> Self {
        Self {
            customers: interactions.customers.clone(),
            items: interactions.items.clone(),
            popularity: popularity(&interactions.matrix),
            histories,
            scorer,
        }
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> u64 {
        let names =
            |names: &[String]| names.iter().map(|name| name.len() + size_of::<String>()).sum::<usize>();
        let matrix = |matrix: &SparseMatrix| 8 * (matrix.columns.len() + matrix.offsets.len());
        let scorer = match &self.scorer {
            Scorer::Ease(weights) => matrix(weights),
            Scorer::Als(solver) => size_of_val(&solver.factors.values[..]),
            Scorer::Popularity { .. } => 0,
        };
        let known = names(&self.customers) + names(&self.items) + matrix(&self.histories);
        (known + size_of_val(&self.popularity[..]) + scorer) as u64
    }

    /// The place of an item.
    pub fn item(&self, name: &str) -> Option<u32> {
        place(&self.items, name)
    }

    /// What a customer is known to have had; nothing of somebody unknown.
    pub fn history(&self, customer: &str) -> History<'_> {
        place(&self.customers, customer).map_or((&[], &[]), |row| self.histories.row(row as usize))
    }

    /// The best items for a history, best first, but for those that the function keeps out; the most popular ones without one.
    pub fn ranked(&self, history: History<'_>, count: usize, passes: impl Fn(u32) -> bool) -> Vec<Ranked> {
        if self.goes_by_popularity(history) {
            return self.most_popular(count, passes);
        }
        best(&self.scorer.scores(history).scores, &self.popularity, count, passes)
    }

    /// The most popular items, but for those that the function keeps out.
    pub fn most_popular(&self, count: usize, passes: impl Fn(u32) -> bool) -> Vec<Ranked> {
        best(&self.popularity, &[], count, passes)
    }

    /// How little known an item is: 0 if everybody has it, 10 if one of 1,024 customers has.
    pub fn bits(&self, item: u32) -> f64 {
        let share = self.popularity.get(item as usize).copied().unwrap_or_default();
        if share > 0.0 { -f64::from(share.min(1.0)).log2() } else { 0.0 }
    }

    fn goes_by_popularity(&self, history: History<'_>) -> bool {
        history.0.is_empty() || matches!(self.scorer, Scorer::Popularity { .. })
    }

    /// The best items for a customer or a history, best first, or as its diversity has them; the most popular ones of somebody unknown.
    pub fn recommend(&self, query: Query<'_>) -> Vec<Recommendation<'_>> {
        let known = query.customer.map_or((&[][..], &[][..]), |name| self.history(name));
        let given = query.history.map(|names| self.given(names));
        let history = given.as_ref().map_or(known, |(items, weights)| (items.as_slice(), weights.as_slice()));
        let seen = |item: u32| known.0.binary_search(&item).is_ok() || history.0.binary_search(&item).is_ok();
        let passes = |item: u32| {
            query.candidates.is_none_or(|all| all.contains(item)) && !(query.exclude_seen && seen(item))
        };
        let scores = self.scorer.scores(history);
        let of_popularity = self.goes_by_popularity(history);
        let pool_size = pool_size(query.count, query.diversity);
        let pool = if of_popularity {
            self.most_popular(pool_size, passes)
        } else {
            best(&scores.scores, &self.popularity, pool_size, passes)
        };
        let ranked = diversified(&self.scorer, pool, query.count, query.diversity);
        let recommendation = |Ranked { item, score }: Ranked| Recommendation {
            item: self.name(item),
            score,
            because: match of_popularity {
                true => vec![POPULARITY],
                false => self.reasons(history, &self.scorer.contributions(&scores, history, item as usize)),
            },
        };
        ranked.into_iter().map(recommendation).collect()
    }

    /// The items that an item speaks for most, most first, as far as it does; none for an item that isn't known.
    pub fn similar(&self, item: &str, count: usize) -> Option<Vec<Recommendation<'_>>> {
        let item = self.item(item)?;
        let scores = self.scorer.similar(item as usize);
        let ranked = best(&scores, &self.popularity, count, |other| other != item);
        let positive = ranked.into_iter().filter(|ranked| ranked.score > 0.0);
        Some(
            positive
                .map(|ranked| Recommendation {
                    item: self.name(ranked.item),
                    score: ranked.score,
                    because: Vec::new(),
                })
                .collect(),
        )
    }

    /// The name of an item; nothing of one that there isn't.
    pub fn name(&self, item: u32) -> &str {
        self.items.get(item as usize).map_or("", String::as_str)
    }

    fn reasons(&self, (items, _): History<'_>, contributions: &[f64]) -> Vec<&str> {
        let mut reasons: Vec<(f64, u32)> = contributions.iter().copied().zip(items.iter().copied()).collect();
        reasons.retain(|(contribution, _)| *contribution > 0.0);
        reasons.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        reasons.truncate(REASONS);
        reasons.into_iter().map(|(_, item)| self.name(item)).collect()
    }

    /// A history of names, as often as each is there; unknown ones are left out.
    fn given(&self, names: &[String]) -> (Vec<u32>, Vec<f32>) {
        let mut places: Vec<u32> = names.iter().filter_map(|name| self.item(name)).collect();
        places.sort_unstable();
        #[allow(clippy::cast_precision_loss)]
        places.chunk_by(u32::eq).map(|same| (same[0], same.len() as f32)).unzip()
    }

    /// The set of the items of these names; unknown ones are left out.
    pub fn item_set(&self, names: &[String]) -> ItemSet {
        ItemSet::of(self.items.len(), names.iter().filter_map(|name| self.item(name)))
    }
}

fn place(names: &[String], name: &str) -> Option<u32> {
    names.binary_search_by(|one| one.as_str().cmp(name)).ok().and_then(|place| u32::try_from(place).ok())
}
