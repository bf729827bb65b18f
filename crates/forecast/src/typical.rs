//! How far off a method typically is in a series, step by step: the unit of its errors.
//!
//! It is taken from what the method, with the parameters that it has, would have forecast all through the series, and is as wrong before the
//! last values as after them; so errors in it are alike for series of all kinds (normalised conformal prediction: Papadopoulos,
//! Gammerman and Vovk, "Normalized nonconformity measures for regression conformal prediction", 2008). It must not know how a method works.
//! Invariant: what is typical never falls from one step to the next.

use serde::{Deserialize, Serialize};

use crate::backtest::{Errors, Window};
use crate::intervals::growth;
use crate::methods::Model;

/// Most places of a series that are forecast from.
const MOST_ORIGINS: usize = 200;
/// As how many errors the size of the series counts, so that few errors don't decide.
const PRIOR: f64 = 5.0;

/// Sizes of errors, `[step]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Typical {
    /// Of each step.
    steps: Vec<f64>,
    /// What a season's change in the series is.
    spread: f64,
}

impl Typical {
    /// That of these errors, over so many steps; `spread` is what a season's change in the series is.
    pub fn of(errors: &Errors, horizon: usize, spread: f64) -> Self {
        Self { steps: sizes(errors, horizon, spread), spread }
    }

    /// The same in another unit.
    #[must_use]
    pub fn times(&self, unit: f64) -> Self {
        Self { steps: self.steps.iter().map(|size| size * unit).collect(), spread: self.spread * unit }
    }

    /// Of a step, from 0. Beyond the last one it grows by a power of time.
    pub fn step(&self, step: usize) -> f64 {
        at(&self.steps, step)
    }

    /// The size of sums of several steps: that of the series, since its own sums are too few to tell.
    pub fn spread(&self) -> f64 {
        self.spread
    }
}

/// Errors of a fitted method within the second half of a series, of which it has seen all: in the first half it has yet to learn trend and season.
pub fn within(fitted: &Model, window: &Window<'_>) -> Errors {
    let Window { values, missing, horizon, bounds, .. } = *window;
    let mut model = fitted.restarted(values, 0);
    let from = values.len() / 2;
    let stride = (values.len() - from).div_ceil(MOST_ORIGINS).max(1);
    let mut errors = Errors::new();
    for (at, value) in values.iter().enumerate() {
        if at >= from && (at - from) % stride == 0 {
            let actual = values.get(at..).unwrap_or_default();
            let forecasts = model.forecast(horizon.min(actual.len()));
            let error = |(step, (value, forecast)): (usize, (&f64, &f64))| {
                let is_known =
                    u32::try_from(at + step).is_ok_and(|place| missing.binary_search(&place).is_err());
                is_known.then(|| value - forecast.clamp(bounds.0, bounds.1))
            };
            errors.push(actual.iter().zip(&forecasts).enumerate().map(error).collect());
        }
        model.update(*value);
    }
    errors
}

/// Mean absolute errors of each step.
#[allow(clippy::cast_precision_loss)]
fn sizes(errors: &Errors, horizon: usize, spread: f64) -> Vec<f64> {
    let mut least = 0.0_f64;
    let size = |step: usize| {
        let of_step = errors.iter().filter_map(|origin| origin.get(step).copied().flatten());
        let (sum, count) = of_step.fold((0.0, 0.0), |(sum, count), error| (sum + error.abs(), count + 1.0));
        // What is known of the step before is known of this one too.
        let prior = if least > 0.0 { least } else { spread };
        least = least.max((sum + PRIOR * prior) / (count + PRIOR));
        least
    };
    (0..horizon).map(size).collect()
}

#[allow(clippy::cast_precision_loss)]
fn at(sizes: &[f64], step: usize) -> f64 {
    let last = sizes.len().saturating_sub(1);
    let size = sizes.get(step.min(last)).copied().unwrap_or_default();
    if step <= last {
        return size;
    }
    size * ((step + 1) as f64 / (last + 1) as f64).powf(growth(sizes))
}
