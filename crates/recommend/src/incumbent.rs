//! A new model beside the live one.
//!
//! The live version has learned from most of what is held out, so it is asked, as it answers now, for those pairs alone that came since,
//! and the new one, made without them, for the same. Where too few came since, its settings are compared: a model is made by them without
//! what is held out, and both are measured on that. It must not know files. Invariant: neither knows a pair that it is compared by.

use std::collections::HashSet;

use rayon::prelude::*;

use crate::ease::kept_entries;
use crate::evaluation::{RECALLED, Task, Worth, evaluate};
use crate::matrix::SparseMatrix;
use crate::model::Recommender;
use crate::options::TrainingError;
use crate::ranking::best;
use crate::scorer::Scorer;
use crate::selection::Settings;
use crate::split::HeldOut;

/// Customers with something new below whom settings are compared instead.
const LEAST_CUSTOMERS: usize = 20;

/// Most customers that are compared.
const MOST_CUSTOMERS: usize = 20_000;

/// The live version.
#[derive(Debug, Clone, PartialEq)]
pub struct Incumbent {
    /// As it answers.
    pub model: Recommender,
    /// What it was made by; none if popularity is all that it goes by.
    pub settings: Option<Settings>,
}

/// What both are worth for the same customers.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside {
    /// `ndcg` of what came since; `ndcg_of_settings` of all that is held out, by models made without it.
    pub metric: &'static str,
    /// Of the new model.
    pub new: Vec<f64>,
    /// Of the live one.
    pub incumbent: Vec<f64>,
}

impl Incumbent {
    /// NDCG on held-out pairs that the live version doesn't know; none if too few customers have such. `new`: a scorer that was made without
    /// what is held out, and the histories that it reads.
    pub fn on_what_is_new(&self, split: &HeldOut, new: (&Scorer, &SparseMatrix)) -> Option<Beside> {
        let asked: Vec<Asked> = (0..split.held_out.rows())
            .into_par_iter()
            .filter_map(|customer| Asked::of(&self.model, split, customer))
            .collect();
        if asked.len() < LEAST_CUSTOMERS {
            return None;
        }
        let popularity = crate::model::popularity(&split.training.matrix);
        let step = asked.len().div_ceil(MOST_CUSTOMERS);
        let asked: Vec<Asked> = asked.into_iter().step_by(step).collect();
        let (new, incumbent) = asked
            .par_iter()
            .map(|asked| (asked.of_new(split, new, &popularity), asked.of_incumbent(&self.model, split)))
            .unzip();
        Some(Beside { metric: "ndcg", new, incumbent })
    }

    /// NDCG of a model made by the live version's settings, on all that is held out; `new` is that of the new one. None if there are no
    /// settings, or `fits` says that they can't be tried.
    ///
    /// # Errors
    /// [`TrainingError::NotPositiveDefinite`].
    pub fn by_settings(
        &self,
        split: &HeldOut,
        new: &[f64],
        fits: impl Fn(&Settings) -> bool,
    ) -> Result<Option<Beside>, TrainingError> {
        let Some(settings) = self.settings.filter(fits) else { return Ok(None) };
        let HeldOut { training, held_out } = split;
        let scorer = settings.fit(training, kept_entries(training.items.len()))?;
        let histories = settings.histories(training);
        let found = evaluate(&scorer, Task { seen: &training.matrix, histories: &histories, held_out });
        Ok(Some(Beside { metric: "ndcg_of_settings", new: new.to_vec(), incumbent: found.ndcg }))
    }
}

/// A customer who turned to something that the live version doesn't know of.
struct Asked {
    customer: usize,
    /// What, ascending.
    new: Vec<u32>,
    /// The rest of what is held out: neither model is asked for it.
    known: Vec<u32>,
}

impl Asked {
    fn of(incumbent: &Recommender, split: &HeldOut, customer: usize) -> Option<Self> {
        let held_out = split.held_out.row(customer).0;
        let names = &split.training;
        let name = names.customers.get(customer).filter(|_| !held_out.is_empty())?;
        let had = incumbent.history(name).0;
        let is_new = |item: &u32| {
            let name = names.items.get(*item as usize);
            let place = name.and_then(|name| incumbent.item(name));
            place.is_none_or(|place| had.binary_search(&place).is_err())
        };
        let (new, known): (Vec<u32>, Vec<u32>) = held_out.iter().copied().partition(is_new);
        (!new.is_empty()).then_some(Self { customer, new, known })
    }

    fn of_new(
        &self,
        split: &HeldOut,
        (scorer, histories): (&Scorer, &SparseMatrix),
        popularity: &[f32],
    ) -> f64 {
        let seen = split.training.matrix.row(self.customer).0;
        let passes =
            |item: u32| seen.binary_search(&item).is_err() && self.known.binary_search(&item).is_err();
        let scores = scorer.scores(histories.row(self.customer)).scores;
        Worth::of(&best(&scores, popularity, RECALLED, passes), &self.new).ndcg
    }

    fn of_incumbent(&self, incumbent: &Recommender, split: &HeldOut) -> f64 {
        let names = &split.training;
        let name = names.customers.get(self.customer).map_or("", String::as_str);
        let history = incumbent.history(name);
        let passes = |item: u32| history.0.binary_search(&item).is_err();
        let new: HashSet<&str> =
            self.new.iter().filter_map(|&item| names.items.get(item as usize)).map(String::as_str).collect();
        // Places among its items; those that it doesn't know count as missed.
        let mut relevant: Vec<u32> = new.iter().filter_map(|name| incumbent.item(name)).collect();
        relevant.extend((relevant.len()..new.len()).map(|_| u32::MAX));
        relevant.sort_unstable();
        Worth::of(&incumbent.ranked(history, RECALLED, passes), &relevant).ndcg
    }
}
