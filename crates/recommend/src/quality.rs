//! What a model's rankings for a customer are worth, given what the customer turned to after it was made.
//!
//! It must not know who asks. Invariant: model and popularity are asked for the same items, and neither is asked for what the model knows
//! the customer to have had.

use crate::evaluation::{RECALLED, SHOWN, Worth};
use crate::model::Recommender;
use crate::ranking::Ranked;

/// What two rankings are worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Quality {
    /// Items that were turned to and that the model doesn't know the customer to have had, those that it doesn't know at all among them.
    pub new: usize,
    /// The others.
    pub known: usize,
    /// The model's.
    pub model: List,
    /// Of the most popular items.
    pub baseline: List,
}

/// A ranking, measured.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// Zeros if nothing is new.
    pub worth: Worth,
    /// The first ten places.
    pub shown: Vec<u32>,
    /// How little known these are, summed.
    pub bits: f64,
}

impl Quality {
    /// For a customer who turned to these items; one that comes twice counts once.
    pub fn of(model: &Recommender, customer: &str, items: &[String]) -> Self {
        let mut names: Vec<&String> = items.iter().collect();
        names.sort_unstable();
        names.dedup();
        let history = model.history(customer);
        let passes = |item: u32| history.0.binary_search(&item).is_err();
        let mut places: Vec<u32> = names.iter().map(|name| model.item(name).unwrap_or(u32::MAX)).collect();
        places.retain(|&item| passes(item));
        places.sort_unstable();
        let list = |ranked: &[Ranked]| List {
            worth: Worth::of(ranked, &places),
            shown: ranked.iter().take(SHOWN).map(|one| one.item).collect(),
            bits: ranked.iter().take(SHOWN).map(|one| model.bits(one.item)).sum(),
        };
        Self {
            new: places.len(),
            known: names.len() - places.len(),
            model: list(&model.ranked(history, RECALLED, passes)),
            baseline: list(&model.most_popular(RECALLED, passes)),
        }
    }
}
