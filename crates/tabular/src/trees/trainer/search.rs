//! How deep trees should be and how many, by trainings on parts of the rows that are measured on the others.
//!
//! All folds grow by the same rounds, so that one number of rounds is the best of all of them, as scikit-learn's
//! `cross_validate` with XGBoost's early stopping has it.
//! It must not know files or labels. Invariant: what is chosen depends on the rows alone, not on threads or time.

use std::sync::Arc;

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_xgboost::{Booster, Library, Matrix};
use rayon::ThreadPool;
use rayon::prelude::*;

use super::internal;
use super::loss::Wanted;
use super::settings::Settings;

/// Rounds between two looks at losses.
const CHUNK: u32 = 10;

/// A decrease of the loss by less than this part of it is none.
const LEAST_DECREASE: f64 = 1e-5;

/// Rows to learn from with their features, and those to measure on, perhaps none.
pub(super) struct Fold {
    pub(super) learned: Vec<usize>,
    pub(super) measured: Vec<usize>,
    pub(super) matrices: Vec<Arc<Matrix>>,
}

/// A training on a fold, under way.
pub(super) struct Growing<'a> {
    fold: &'a Fold,
    wanted: &'a Wanted,
    booster: Booster,
    /// The sum that all rows begin with.
    base: f64,
    /// The sums of the rows of each matrix.
    margins: Vec<Vec<f32>>,
    derivatives: (Vec<f32>, Vec<f32>),
    rounds: u32,
}

impl<'a> Growing<'a> {
    /// Begins with parameters of XGBoost's. What sums begin with is added here: the base score of the library is 0.
    pub(super) fn new(
        library: &Arc<Library>,
        fold: &'a Fold,
        wanted: &'a Wanted,
        parameters: &[(&str, String)],
    ) -> Result<Self, EngineError> {
        let (objective, zero) = match (wanted.is_number(), wanted.sums()) {
            (true, _) => ("reg:squarederror", "0"),
            (false, 1) => ("binary:logistic", "0.5"),
            (false, _) => ("multi:softprob", "0"),
        };
        let mut all = vec![("objective", objective.to_owned()), ("base_score", zero.to_owned())];
        if wanted.sums() > 1 {
            all.push(("num_class", wanted.sums().to_string()));
        }
        all.extend(parameters.iter().map(|(name, value)| (*name, value.clone())));
        let booster = Booster::new(library, fold.matrices.clone(), &all).map_err(internal)?;
        let base = wanted.base(&fold.learned);
        let begin = |matrix: &Arc<Matrix>| vec![base as f32; matrix.rows() * wanted.sums()];
        let margins = fold.matrices.iter().map(begin).collect();
        Ok(Self { fold, wanted, booster, base, margins, derivatives: (Vec::new(), Vec::new()), rounds: 0 })
    }

    /// Grows one round.
    pub(super) fn grow(&mut self) -> Result<(), EngineError> {
        let Some(margins) = self.margins.first() else { return Ok(()) };
        let (first, second) = &mut self.derivatives;
        self.wanted.derivatives(&self.fold.learned, margins, (first, second));
        self.booster.boost(0, self.rounds, first, second).map_err(internal)?;
        for (matrix, margins) in self.margins.iter_mut().enumerate() {
            let added = self.booster.margins_of_round(matrix, self.rounds).map_err(internal)?;
            margins.iter_mut().zip(added).for_each(|(margin, added)| *margin += added);
        }
        self.rounds += 1;
        Ok(())
    }

    /// The mean loss of the rows that it learns from.
    pub(super) fn loss(&self) -> f64 {
        let margins = self.margins.first().map_or(&[][..], Vec::as_slice);
        self.wanted.loss(&self.fold.learned, margins) / self.wanted.weight(&self.fold.learned)
    }

    /// The sum that all rows begin with, which the model in JSON doesn't have.
    pub(super) fn base(&self) -> f64 {
        self.base
    }

    /// The model in XGBoost's JSON.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, EngineError> {
        self.booster.to_json().map_err(internal)
    }

    /// Grows rounds; after each, the margins of the rows to measure on.
    fn grow_and_measure(&mut self, rounds: u32) -> Result<Vec<Vec<f32>>, EngineError> {
        let mut measured = Vec::with_capacity(rounds as usize);
        for _ in 0..rounds {
            self.grow()?;
            measured.extend(self.margins.get(1).cloned());
        }
        Ok(measured)
    }
}

/// What settings came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    /// How trees were grown.
    pub(super) settings: Settings,
    /// How many rounds were best.
    pub(super) rounds: u32,
    /// The mean loss of all rows that were measured on then.
    pub(super) loss: f64,
    /// Their margins then, fold by fold, `[measured, sums]`.
    pub(super) margins: Vec<Vec<f32>>,
}

/// How trees are grown at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) rounds: u32,
    /// Rounds without a decrease.
    pub(super) patience: u32,
}

/// The library, XGBoost's parameters, and the settings among them.
pub(super) type Grown<'a> = (&'a Arc<Library>, &'a [(&'a str, String)], Settings);

/// Trains with some settings on all folds, by the threads of a pool. `report` is told the rounds so far and the loss; it says whether there is
/// time to go on, and may end it with an error. None if there was none.
///
/// # Errors
/// Those of the library, and that of `report`.
pub(super) fn measure(
    folds: &[Fold],
    wanted: &Wanted,
    ((library, parameters, settings), pool): (Grown<'_>, &ThreadPool),
    limits: Limits,
    report: &mut dyn FnMut(u32, f64) -> Result<bool, EngineError>,
) -> Result<Option<Measured>, EngineError> {
    let begin = |fold| Growing::new(library, fold, wanted, parameters);
    let mut growing =
        pool.install(|| folds.par_iter().map(begin).collect::<Result<Vec<_>, EngineError>>())?;
    let weight: f64 = folds.iter().map(|fold| wanted.weight(&fold.measured)).sum();
    let mut best = Measured { settings, rounds: 0, loss: f64::INFINITY, margins: Vec::new() };
    let mut rounds = 0;
    while rounds < limits.rounds && rounds < best.rounds + limits.patience {
        let chunk = CHUNK.min(limits.rounds - rounds);
        let grow = |one: &mut Growing<'_>| one.grow_and_measure(chunk);
        let mut measured =
            pool.install(|| growing.par_iter_mut().map(grow).collect::<Result<Vec<_>, EngineError>>())?;
        for round in 0..chunk as usize {
            let losses = folds.iter().zip(&measured);
            let loss = losses.map(|(fold, rounds)| wanted.loss(&fold.measured, &rounds[round])).sum::<f64>();
            let loss = loss / weight.max(f64::MIN_POSITIVE);
            if loss < best.loss - LEAST_DECREASE * best.loss.min(1.0) || best.rounds == 0 {
                (best.loss, best.rounds) = (loss, rounds + round as u32 + 1);
                best.margins = measured.iter_mut().map(|rounds| rounds[round].clone()).collect();
            }
        }
        rounds += chunk;
        if !report(rounds, best.loss)? {
            return Ok(None);
        }
    }
    Ok(Some(best))
}
