//! Items without a sale, by their texts.
//!
//! What an item is to those who have others is taken from items whose text is like its: their weights or factors are put together as kernel
//! ridge regression does it (Schein et al., "Methods and metrics for cold-start recommendations", SIGIR 2002, has the problem; Saunders,
//! Gammerman and Vovk, "Ridge regression learning algorithm in dual variables", ICML 1998, the solution). How is chosen on items whose sales
//! are taken away, and measured on others.
//!
//! It must not know who embeds texts. Invariant: no item that it is measured on was looked at while it was chosen.

use rayon::prelude::*;

use crate::cholesky::SymmetricMatrix;
use crate::conjugate::dot;
use crate::described::Described;
use crate::ease::kept_entries;
use crate::evaluation::{RECALLED, Worth, mean};
use crate::extension::{self, NewItem, Parts};
use crate::interactions::Interactions;
use crate::matrix::SparseMatrix;
use crate::model::Recommender;
use crate::options::TrainingError;
use crate::ranking::best;
use crate::scorer::Scorer;
use crate::selection::Settings;
use crate::split::{hash, unit};

/// Items that others are taken from, at most: those that most customers have.
const MOST_ANCHORS: usize = 4_000;

/// Items with sales and a text below which nothing is learned.
const LEAST_ITEMS: usize = 50;

/// Customers that are looked at.
const MOST_CUSTOMERS: usize = 2_000;

/// Parts of the items that are held out: one to choose by, one to measure on.
const HELD_OUT: f64 = 0.1;

/// How texts make items alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likeness {
    /// What embeddings count beside words.
    pub share: f32,
    /// λ of the ridge regression.
    pub ridge: f64,
}

/// What is tried.
const SHARES: [f32; 3] = [0.5, 1.0, 0.0];
const RIDGES: [f64; 3] = [3.0, 1.0, 10.0];

/// What rankings of items are worth whose sales were taken away, among each other.
#[derive(Debug, Clone, PartialEq)]
pub struct ColdStart {
    /// What was chosen.
    pub likeness: Likeness,
    /// NDCG of ten places, and recall of twenty.
    pub by_text: Worth,
    /// The same of an order by chance.
    pub by_chance: Worth,
    /// How many items were ranked.
    pub items: usize,
}

/// Bytes that it takes at most.
pub fn bytes(described: &Described, items: usize) -> u64 {
    let anchors = described.names.len().min(items).min(MOST_ANCHORS);
    described.bytes() + SymmetricMatrix::bytes(anchors) + (anchors * anchors * size_of::<f32>()) as u64
}

/// Items that others are taken from.
struct Anchors<'a> {
    described: &'a Described,
    /// Places of their texts.
    texts: Vec<usize>,
    /// Their places among the items.
    items: Vec<u32>,
    share: f32,
    /// `(K + λ I)⁻¹`: `[anchors, anchors]`.
    inverse: Vec<f32>,
}

/// An item with sales and a text.
#[derive(Clone, Copy)]
struct Sold {
    item: u32,
    text: usize,
    customers: usize,
}

impl<'a> Anchors<'a> {
    fn new(described: &'a Described, mut sold: Vec<Sold>, likeness: Likeness) -> Result<Self, TrainingError> {
        sold.sort_unstable_by_key(|one| (std::cmp::Reverse(one.customers), one.item));
        sold.truncate(MOST_ANCHORS);
        sold.sort_unstable_by_key(|one| one.item);
        let texts: Vec<usize> = sold.iter().map(|one| one.text).collect();
        let kernel = SymmetricMatrix::fill(texts.len(), |row, numbers| {
            for (number, &other) in numbers.iter_mut().zip(&texts) {
                *number =
                    texts.get(row).map_or(0.0, |&own| described.likeness(own, other, likeness.share).into());
            }
            if let Some(diagonal) = numbers.last_mut() {
                *diagonal += likeness.ridge;
            }
        });
        let inverse = kernel.inverse().map_err(|_| TrainingError::NotPositiveDefinite)?;
        let count = texts.len();
        #[allow(clippy::cast_possible_truncation, reason = "weights need no more digits")]
        let row = |row: usize| (0..count).map(move |column| (row, column));
        let inverse = (0..count).flat_map(row).map(|(row, column)| inverse.get(row, column) as f32).collect();
        let items = sold.iter().map(|one| one.item).collect();
        Ok(Self { described, texts, items, share: likeness.share, inverse })
    }

    /// What of each anchor makes an item of this text: `[anchors]`.
    fn weights(&self, text: usize) -> Vec<f32> {
        let like = |&anchor: &usize| self.described.likeness(text, anchor, self.share);
        let like: Vec<f32> = self.texts.iter().map(like).collect();
        self.inverse.chunks(like.len().max(1)).map(|row| dot(row, &like)).collect()
    }
}

/// Items of interactions that have a text, and sales.
fn sold(interactions: &Interactions, described: &Described) -> Vec<Sold> {
    let customers_of = interactions.matrix.transposed();
    let one = |(text, name): (usize, &String)| {
        let item = interactions.items.binary_search(name).ok()?;
        let customers = customers_of.row(item).0.len();
        let item = u32::try_from(item).ok()?;
        (customers > 0).then_some(Sold { item, text, customers })
    };
    described.names.iter().enumerate().filter_map(one).collect()
}

/// Chooses how texts make items alike, for a model of these settings; none if there are too few items to tell. `go_on` is asked before each fit.
///
/// # Errors
/// [`TrainingError::Cancelled`], [`TrainingError::NotPositiveDefinite`].
pub fn choose(
    interactions: &Interactions,
    settings: Settings,
    described: &Described,
    seed: u64,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<ColdStart>, TrainingError> {
    let all = sold(interactions, described);
    if all.len() < LEAST_ITEMS {
        return Ok(None);
    }
    let chance = |one: &Sold| unit(hash(seed, usize::MAX, one.item));
    let (held_out, rest): (Vec<Sold>, Vec<Sold>) =
        all.into_iter().partition(|one| chance(one) < 2.0 * HELD_OUT);
    let (choosing, measuring): (Vec<Sold>, Vec<Sold>) =
        held_out.iter().partition(|one| chance(one) < HELD_OUT);
    if choosing.len() < 2 || measuring.len() < 2 {
        return Ok(None);
    }
    if !go_on() {
        return Err(TrainingError::Cancelled);
    }
    let is_held_out = |item: u32| held_out.iter().any(|one| one.item == item);
    let is_held_out: Vec<bool> =
        (0..interactions.items.len()).map(|item| u32::try_from(item).is_ok_and(is_held_out)).collect();
    let training =
        interactions.filtered(|_, item, _| !is_held_out.get(item as usize).copied().unwrap_or_default());
    let scorer = settings.fit(&training, kept_entries(training.items.len()))?;
    let histories = settings.histories(&training);
    let asked = Asked { interactions, scorer: &scorer, histories: &histories, seed };
    let mut found: Option<(f64, Likeness, Anchors<'_>)> = None;
    for (share, ridge) in SHARES.into_iter().flat_map(|share| RIDGES.map(|ridge| (share, ridge))) {
        let likeness = Likeness { share, ridge };
        let anchors = Anchors::new(described, rest.clone(), likeness)?;
        let worth = asked.measure(&choosing, Some(&anchors)).ndcg;
        if found.as_ref().is_none_or(|(best, ..)| worth > *best) {
            found = Some((worth, likeness, anchors));
        }
    }
    Ok(found.map(|(_, likeness, anchors)| ColdStart {
        likeness,
        by_text: asked.measure(&measuring, Some(&anchors)),
        by_chance: asked.measure(&measuring, None),
        items: measuring.len(),
    }))
}

/// What is asked about items whose sales were taken away.
struct Asked<'a> {
    /// With these sales.
    interactions: &'a Interactions,
    /// Made without them.
    scorer: &'a Scorer,
    histories: &'a SparseMatrix,
    seed: u64,
}

impl Asked<'_> {
    /// What a ranking of these items is worth to those who have some of them, by their texts or by chance.
    fn measure(&self, items: &[Sold], anchors: Option<&Anchors<'_>>) -> Worth {
        let mut items = items.to_vec();
        items.sort_unstable_by_key(|one| one.item);
        let weights: Vec<Vec<f32>> = match anchors {
            Some(anchors) => items.par_iter().map(|one| anchors.weights(one.text)).collect(),
            None => Vec::new(),
        };
        let relevant = |customer: usize| -> Vec<u32> {
            let own = self.interactions.matrix.row(customer).0;
            let is_own = |one: &Sold| own.binary_search(&one.item).is_ok();
            (0..).zip(&items).filter(|(_, one)| is_own(one)).map(|(place, _)| place).collect()
        };
        let asked: Vec<(usize, Vec<u32>)> =
            (0..self.interactions.matrix.rows()).map(|customer| (customer, relevant(customer))).collect();
        let asked: Vec<_> = asked.into_iter().filter(|(_, relevant)| !relevant.is_empty()).collect();
        let step = asked.len().div_ceil(MOST_CUSTOMERS).max(1);
        let worth = |(customer, relevant): &(usize, Vec<u32>)| {
            let scores = match anchors {
                Some(anchors) => {
                    let all = self.scorer.scores(self.histories.row(*customer)).scores;
                    let of = |&item: &u32| all.get(item as usize).copied().unwrap_or_default();
                    let own: Vec<f32> = anchors.items.iter().map(of).collect();
                    weights.iter().map(|weights| dot(weights, &own)).collect()
                }
                None => self.by_chance(*customer, &items),
            };
            Worth::of(&best(&scores, &[], RECALLED, |_| true), relevant)
        };
        let found: Vec<Worth> = asked.par_iter().step_by(step).map(worth).collect();
        let mean_of = |read: fn(&Worth) -> f64| mean(&found.iter().map(read).collect::<Vec<_>>());
        Worth { ndcg: mean_of(|one| one.ndcg), recall: mean_of(|one| one.recall) }
    }

    #[allow(clippy::cast_possible_truncation)]
    fn by_chance(&self, customer: usize, items: &[Sold]) -> Vec<f32> {
        items.iter().map(|one| unit(hash(self.seed.wrapping_add(1), customer, one.item)) as f32).collect()
    }
}

/// The model with those described items that it doesn't have.
///
/// # Errors
/// [`TrainingError::NotPositiveDefinite`].
pub fn extended(
    model: Recommender,
    (interactions, settings): (&Interactions, Settings),
    described: &Described,
    likeness: Likeness,
) -> Result<Recommender, TrainingError> {
    let new = described.names.iter().enumerate().filter(|(_, name)| model.item(name).is_none());
    let new: Vec<(usize, &String)> = new.collect();
    let anchors = Anchors::new(described, sold(interactions, described), likeness)?;
    let kept = kept_entries(model.items.len() + new.len());
    let cold = |&(text, name): &(usize, &String)| {
        let weights = anchors.weights(text);
        NewItem { name: name.clone(), parts: parts(&model.scorer, &anchors.items, &weights, kept) }
    };
    let cold: Vec<NewItem> = new.par_iter().map(cold).collect();
    Ok(extension::extended(model, cold, settings.algorithm))
}

fn parts(scorer: &Scorer, anchors: &[u32], weights: &[f32], kept: usize) -> Parts {
    let width = scorer.items();
    match scorer {
        Scorer::Ease(matrix) => {
            let (mut of_anchors, mut row) = (vec![0.0_f32; width], vec![0.0_f32; width]);
            for (&anchor, &weight) in anchors.iter().zip(weights) {
                of_anchors[anchor as usize] = weight;
                matrix
                    .entries(anchor as usize)
                    .for_each(|(target, value)| row[target as usize] += weight * value);
            }
            let sum = |item: usize| {
                let entries = matrix.entries(item).map(|(target, value)| value * of_anchors[target as usize]);
                entries.sum::<f32>()
            };
            let column = (0..width).map(sum).collect();
            Parts::Weights { column: farthest(column, kept), row: farthest(row, kept) }
        }
        Scorer::Als(solver) => {
            let mut factors = vec![0.0_f32; solver.factors.width];
            for (&anchor, &weight) in anchors.iter().zip(weights) {
                let own = solver.factors.row(anchor as usize);
                factors.iter_mut().zip(own).for_each(|(sum, one)| *sum += weight * one);
            }
            Parts::Factors(factors)
        }
        Scorer::Popularity { .. } => Parts::Weights { column: Vec::new(), row: Vec::new() },
    }
}

/// The entries that are farthest from 0, by place.
fn farthest(values: Vec<f32>, kept: usize) -> Vec<(u32, f32)> {
    let mut entries: Vec<(u32, f32)> = (0..).zip(values).filter(|(_, value)| *value != 0.0).collect();
    if entries.len() > kept {
        entries.select_nth_unstable_by(kept, |one, other| {
            other.1.abs().total_cmp(&one.1.abs()).then(one.0.cmp(&other.0))
        });
        entries.truncate(kept);
        entries.sort_unstable_by_key(|entry| entry.0);
    }
    entries
}
