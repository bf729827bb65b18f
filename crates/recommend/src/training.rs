//! From interactions to a model that was measured.
//!
//! Settings are chosen on pairs held out of those that are learned from; the model with these settings is measured on pairs that
//! were held out of all of this; then it is fitted once more, to all pairs, so that it knows what customers did last.
//! It must not know where interactions come from. Invariant: no number that is told of a model was looked at while it was chosen.

use crate::als::{self, AlsSettings};
use crate::cold::{self, ColdStart};
use crate::described::Described;
use crate::ease::{self, EaseSettings, kept_entries};
use crate::evaluation::{Evaluation, Task, evaluate, mean};
use crate::incumbent::{Beside, Incumbent};
use crate::interactions::Interactions;
use crate::model::Recommender;
pub use crate::options::{Options, TrainingError, Wanted};
use crate::scorer::Scorer;
use crate::selection::{Algorithm, Settings, select};
use crate::split::{HeldOut, Split, sampled};
use crate::weighting::Weighting;

/// A model, and what it is worth.
#[derive(Debug, Clone)]
pub struct Trained {
    /// Fitted to all interactions.
    pub model: Recommender,
    /// What was chosen.
    pub settings: Settings,
    /// What the settings were worth, fitted without the pairs that were held out.
    pub measured: Measured,
    /// How items without a sale are known by their texts; none if there are none, or texts tell nothing.
    pub cold: Option<ColdStart>,
    /// Whether such items were added.
    pub is_extended: bool,
}

/// What a training knows beside interactions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The live version.
    pub incumbent: Option<&'a Incumbent>,
    /// Items with texts.
    pub described: Option<&'a Described>,
}

/// What was measured on pairs that were held out.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Of the model.
    pub model: Evaluation,
    /// Of recommending what is most popular, on the same pairs.
    pub popularity: Evaluation,
    /// Mean NDCG with all item-item weights, where some are left out; else that of the model.
    pub unpruned_ndcg: f64,
    /// Beside the live version, if there is one and anything to compare by.
    pub beside: Option<Beside>,
}

/// A training that fits into memory, with what is held out of it.
#[derive(Debug)]
pub struct Training<'a> {
    interactions: &'a Interactions,
    options: &'a Options,
    first: Settings,
    split: HeldOut,
    /// Bytes that it will take, as estimated.
    pub memory: u64,
    /// What recommending what is most popular is worth on what is held out.
    pub popularity: Evaluation,
}

/// Customers that settings of factors are chosen by.
const SELECTION_CUSTOMERS: usize = 50_000;

impl<'a> Training<'a> {
    /// Of interactions.
    ///
    /// # Errors
    /// [`TrainingError::TooFew`], [`TrainingError::DoesNotFit`].
    pub fn new(interactions: &'a Interactions, options: &'a Options) -> Result<Self, TrainingError> {
        let (customers, items) = (interactions.customers.len(), interactions.items.len());
        if customers < 2 || items < 2 {
            return Err(TrainingError::TooFew { customers, items });
        }
        let (first, memory) = first_settings(interactions, options)?;
        let split = split(options, options.seed).apply(interactions);
        let seen = &split.training.matrix;
        let task = Task { seen, histories: seen, held_out: &split.held_out };
        let popularity = evaluate(&Scorer::Popularity { items }, task);
        Ok(Self { interactions, options, first, split, memory, popularity })
    }

    /// Pairs to learn from, and pairs that are held out.
    pub fn pairs(&self) -> (usize, usize) {
        (self.split.training.pairs(), self.split.held_out.columns.len())
    }

    /// Trains the model, and compares it with the live version. `go_on` is asked before each fit.
    ///
    /// # Errors
    /// [`TrainingError::Cancelled`], [`TrainingError::NotPositiveDefinite`].
    pub fn run(
        self,
        context: Context<'_>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Trained, TrainingError> {
        let settings = selected(&self.split.training, self.first, self.options, go_on)?;
        let kept = kept_entries(self.interactions.items.len());
        let measured = self.measure(settings, kept, context.incumbent, go_on)?;
        let found = match context.described {
            None => None,
            Some(texts) => cold::choose(self.interactions, settings, texts, self.options.seed, go_on)?,
        };
        if !go_on() {
            return Err(TrainingError::Cancelled);
        }
        let scorer = settings.fit(self.interactions, kept)?;
        let histories = settings.histories(self.interactions);
        let model = Recommender::new(self.interactions, histories, scorer);
        let tells = found.as_ref().filter(|found| found.by_text.ndcg > found.by_chance.ndcg);
        let is_extended = tells.is_some();
        let model = match tells.zip(context.described) {
            None => model,
            Some((found, texts)) => {
                cold::extended(model, (self.interactions, settings), texts, found.likeness)?
            }
        };
        Ok(Trained { model, settings, measured, cold: found, is_extended })
    }

    fn measure(
        &self,
        settings: Settings,
        kept: usize,
        incumbent: Option<&Incumbent>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Measured, TrainingError> {
        if !go_on() {
            return Err(TrainingError::Cancelled);
        }
        let HeldOut { training, held_out } = &self.split;
        let histories = settings.histories(training);
        let task = Task { seen: &training.matrix, histories: &histories, held_out };
        let scorer = settings.fit(training, kept)?;
        let model = evaluate(&scorer, task);
        let fits =
            |settings: &Settings| memory(self.interactions, settings.algorithm) <= self.options.memory_limit;
        let beside = match incumbent {
            None => None,
            Some(live) => match live.on_what_is_new(&self.split, (&scorer, &histories)) {
                Some(beside) => Some(beside),
                None if !go_on() => return Err(TrainingError::Cancelled),
                None => live.by_settings(&self.split, &model.ndcg, fits)?,
            },
        };
        drop(scorer);
        let prunes = matches!(settings.algorithm, Algorithm::Ease(_)) && training.items.len() > kept;
        let unpruned_ndcg = if prunes {
            mean(&evaluate(&settings.fit(training, usize::MAX)?, task).ndcg)
        } else {
            mean(&model.ndcg)
        };
        Ok(Measured { model, popularity: self.popularity.clone(), unpruned_ndcg, beside })
    }
}

/// Trains a model. `go_on` is asked before each fit.
///
/// # Errors
/// [`TrainingError`].
pub fn train(
    interactions: &Interactions,
    options: &Options,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Trained, TrainingError> {
    Training::new(interactions, options)?.run(Context::default(), go_on)
}

/// The best settings for a model of these interactions, by some of them that are held out of the others.
///
/// # Errors
/// [`TrainingError`].
pub fn selected(
    interactions: &Interactions,
    first: Settings,
    options: &Options,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Settings, TrainingError> {
    let sample = match first.algorithm {
        Algorithm::Ease(_) => interactions.clone(),
        Algorithm::Als(_) => sampled(interactions, SELECTION_CUSTOMERS, options.seed),
    };
    let inner = split(options, options.seed.wrapping_add(1)).apply(&sample);
    drop(sample);
    select(&inner, first, options, go_on)
}

fn split(options: &Options, seed: u64) -> Split {
    if options.has_times {
        Split::Last { seed }
    } else {
        Split::Random { fraction: options.eval_fraction, seed }
    }
}

/// Bytes that a training takes by this algorithm.
fn memory(interactions: &Interactions, algorithm: Algorithm) -> u64 {
    let (pairs, items) = (interactions.pairs() as u64, interactions.items.len());
    match algorithm {
        Algorithm::Ease(_) => bytes_of_ease(pairs, items),
        Algorithm::Als(own) => bytes_of_als(pairs, interactions.customers.len(), items, own.factors),
    }
}

fn bytes_of_ease(pairs: u64, items: usize) -> u64 {
    Interactions::bytes(pairs) + ease::bytes(items)
}

fn bytes_of_als(pairs: u64, customers: usize, items: usize, factors: usize) -> u64 {
    Interactions::bytes(pairs) + als::bytes(customers, items, factors)
}

/// What a search begins with, of the algorithm that is asked for and fits, and the bytes that it takes.
///
/// # Errors
/// [`TrainingError::DoesNotFit`].
pub fn first_settings(
    interactions: &Interactions,
    options: &Options,
) -> Result<(Settings, u64), TrainingError> {
    let items = interactions.items.len();
    let (customers, pairs) = (interactions.customers.len(), interactions.pairs() as u64);
    let of_ease = bytes_of_ease(pairs, items);
    let factors = options.factors.unwrap_or(64);
    let of_als = bytes_of_als(pairs, customers, items, factors);
    let limit = options.memory_limit;
    let (is_ease, needed) = match options.algorithm {
        Wanted::Ease => (true, of_ease),
        Wanted::Als => (false, of_als),
        Wanted::Auto { most_items } if items <= most_items && of_ease <= limit => (true, of_ease),
        Wanted::Auto { .. } => (false, of_als),
    };
    if needed > limit {
        return Err(TrainingError::DoesNotFit { needed, limit });
    }
    let algorithm = if is_ease {
        Algorithm::Ease(EaseSettings {
            regularization: options.regularization.unwrap_or(200.0),
            dropout: options.dropout.unwrap_or(0.4),
            power: options.power.unwrap_or(0.5),
        })
    } else {
        Algorithm::Als(AlsSettings {
            factors,
            regularization: options.regularization.unwrap_or(16.0),
            alpha: options.alpha.unwrap_or(4.0),
            iterations: options.iterations,
            seed: options.seed,
        })
    };
    let weighting = options.weighting.unwrap_or(Weighting::Events);
    Ok((Settings { algorithm, weighting, half_life: options.half_life.unwrap_or_default() }, needed))
}
