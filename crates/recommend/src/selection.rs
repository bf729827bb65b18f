//! Which settings are best, by NDCG of pairs that are held out of those that are learned from.
//!
//! It must not know the pairs that the model is measured on afterwards. Invariant: what the caller chose stays as it is.

use crate::als::{self, AlsSettings};
use crate::ease::{self, EaseSettings};
use crate::evaluation::{Task, evaluate, mean};
use crate::interactions::Interactions;
use crate::matrix::SparseMatrix;
use crate::options::{Options, TrainingError};
use crate::scorer::Scorer;
use crate::split::HeldOut;
use crate::weighting::{Weighting, faded};

/// How a scorer is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Algorithm {
    /// [`ease`].
    Ease(EaseSettings),
    /// [`als`].
    Als(AlsSettings),
}

/// All that a model is made by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How the scorer is fitted.
    pub algorithm: Algorithm,
    /// What a pair counts.
    pub weighting: Weighting,
    /// How a history fades, in later pairs; see [`faded`].
    pub half_life: Option<f64>,
}

/// Half-lives that are tried; none of them is, too.
const HALF_LIVES: [f64; 5] = [2.0, 5.0, 10.0, 20.0, 50.0];

/// Customers below whom nothing is told apart.
const LEAST_CUSTOMERS: usize = 20;

/// Items above which a fit takes so long that fewer settings are tried.
const MANY_ITEMS: usize = 4_000;

impl Settings {
    /// The scorer of interactions. Of item-item weights, `kept` of each column.
    ///
    /// # Errors
    /// [`TrainingError::NotPositiveDefinite`].
    pub fn fit(&self, interactions: &Interactions, kept: usize) -> Result<Scorer, TrainingError> {
        let weights = self.weighting.apply(&interactions.matrix);
        match self.algorithm {
            Algorithm::Ease(settings) => {
                let fitted = ease::fit(&weights, settings, kept);
                fitted.map(Scorer::Ease).map_err(|_| TrainingError::NotPositiveDefinite)
            }
            Algorithm::Als(settings) => Ok(Scorer::Als(als::fit(&weights, settings))),
        }
    }

    /// The histories of interactions as the scorer reads them.
    pub fn histories(&self, interactions: &Interactions) -> SparseMatrix {
        faded(&self.weighting.apply(&interactions.matrix), interactions, self.half_life)
    }
}

/// A search: the best settings so far, and what they are worth.
struct Search<'a> {
    split: &'a HeldOut,
    options: &'a Options,
    best: Settings,
    ndcg: f64,
    fits_left: usize,
    go_on: &'a mut dyn FnMut() -> bool,
}

/// The best settings by what is held out in `split`, beginning with `first`. `go_on` is asked before each fit.
///
/// # Errors
/// [`TrainingError::Cancelled`] if it says no.
pub fn select(
    split: &HeldOut,
    first: Settings,
    options: &Options,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Settings, TrainingError> {
    let asked = (0..split.held_out.rows()).filter(|&row| !split.held_out.row(row).0.is_empty());
    if asked.count() < LEAST_CUSTOMERS {
        return Ok(first);
    }
    let fits_left = if split.training.items.len() > MANY_ITEMS { 6 } else { 18 };
    let mut search = Search { split, options, best: first, ndcg: f64::NEG_INFINITY, fits_left, go_on };
    search.try_settings(first)?;
    match first.algorithm {
        Algorithm::Ease(_) => search.ease()?,
        Algorithm::Als(_) => search.als()?,
    }
    search.weighting()?;
    Ok(search.best)
}

impl Search<'_> {
    /// Whether these settings, with some half-life, are better than all before. Settings that can't be fitted are not.
    fn try_settings(&mut self, settings: Settings) -> Result<bool, TrainingError> {
        if !(self.go_on)() {
            return Err(TrainingError::Cancelled);
        }
        if self.fits_left == 0 {
            return Ok(false);
        }
        self.fits_left -= 1;
        let Ok(scorer) = settings.fit(&self.split.training, usize::MAX) else { return Ok(false) };
        let chosen = [self.options.half_life.unwrap_or_default()];
        let all = [None].into_iter().chain(HALF_LIVES.map(Some)).collect::<Vec<_>>();
        let free = self.options.half_life.is_none() && self.options.has_times;
        let half_lives: &[Option<f64>] = if free { &all } else { &chosen };
        let before = self.ndcg;
        for &half_life in half_lives {
            let settings = Settings { half_life, ..settings };
            let histories = settings.histories(&self.split.training);
            let task = Task {
                seen: &self.split.training.matrix,
                histories: &histories,
                held_out: &self.split.held_out,
            };
            let ndcg = mean(&evaluate(&scorer, task).ndcg);
            if ndcg > self.ndcg {
                (self.ndcg, self.best) = (ndcg, settings);
            }
        }
        Ok(self.ndcg > before)
    }

    /// Moves on as long as it gets better, first one way, then, if that was wrong, the other.
    fn climb(&mut self, change: impl Fn(Settings, f64) -> Option<Settings>) -> Result<(), TrainingError> {
        for direction in [1.0, -1.0] {
            let mut moved = false;
            while let Some(next) = change(self.best, direction) {
                if !self.try_settings(next)? {
                    break;
                }
                moved = true;
            }
            if moved {
                break;
            }
        }
        Ok(())
    }

    fn climb_ease(
        &mut self,
        change: impl Fn(EaseSettings, f64) -> Option<EaseSettings>,
    ) -> Result<(), TrainingError> {
        self.climb(|settings, direction| match settings.algorithm {
            Algorithm::Ease(own) => {
                change(own, direction).map(|own| Settings { algorithm: Algorithm::Ease(own), ..settings })
            }
            Algorithm::Als(_) => None,
        })
    }

    fn climb_als(
        &mut self,
        change: impl Fn(AlsSettings, f64) -> Option<AlsSettings>,
    ) -> Result<(), TrainingError> {
        self.climb(|settings, direction| match settings.algorithm {
            Algorithm::Als(own) => {
                change(own, direction).map(|own| Settings { algorithm: Algorithm::Als(own), ..settings })
            }
            Algorithm::Ease(_) => None,
        })
    }

    fn ease(&mut self) -> Result<(), TrainingError> {
        let Options { regularization, dropout, power, .. } = *self.options;
        if regularization.is_none() {
            self.climb_ease(|own, direction| {
                let regularization = own.regularization * 2.0_f64.powf(direction);
                (1.0..1e6).contains(&regularization).then_some(EaseSettings { regularization, ..own })
            })?;
        }
        if dropout.is_none() {
            self.climb_ease(|own, direction| {
                let dropout = own.dropout + 0.2 * direction;
                (-1e-9..0.95).contains(&dropout).then_some(EaseSettings { dropout: dropout.max(0.0), ..own })
            })?;
        }
        if power.is_none() {
            self.climb_ease(|own, direction| {
                let power = own.power + 0.25 * direction;
                (0.0..=1.0).contains(&power).then_some(EaseSettings { power, ..own })
            })?;
        }
        Ok(())
    }

    fn als(&mut self) -> Result<(), TrainingError> {
        let Options { regularization, alpha, factors, .. } = *self.options;
        if regularization.is_none() {
            self.climb_als(|own, direction| {
                let regularization = own.regularization * 4.0_f64.powf(direction);
                (1e-3..1e5).contains(&regularization).then_some(AlsSettings { regularization, ..own })
            })?;
        }
        if alpha.is_none() {
            self.climb_als(|own, direction| {
                let alpha = own.alpha * 4.0_f64.powf(direction);
                (0.1..1e4).contains(&alpha).then_some(AlsSettings { alpha, ..own })
            })?;
        }
        if factors.is_none() {
            self.climb_als(|own, direction| {
                let factors = if direction > 0.0 { own.factors * 2 } else { own.factors / 2 };
                (8..=128).contains(&factors).then_some(AlsSettings { factors, ..own })
            })?;
        }
        Ok(())
    }

    /// Of weights that are all the same there is nothing to choose.
    fn weighting(&mut self) -> Result<(), TrainingError> {
        let values = &self.split.training.matrix.values;
        if self.options.weighting.is_some() || values.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok(());
        }
        for weighting in [Weighting::Log, Weighting::Linear] {
            self.try_settings(Settings { weighting, ..self.best })?;
        }
        Ok(())
    }
}
