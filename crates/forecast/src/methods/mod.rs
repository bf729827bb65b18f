//! Methods that forecast one series.
//!
//! # Layout
//! - [`naive`]: the last season again, and means of the last values.
//! - [`theta`]: the optimised Theta method; [`ets`]: exponential smoothing as a state space model, chosen by AICc.
//! - [`intermittent`]: demand with many zeros: Croston, SBA, TSB.
//! - [`season`]: classical decomposition; [`search`]: minima of functions of a few numbers.
//!
//! It must not know calendars, keys, or how a method is chosen. Values are equally spaced, finite, and of a size whose squares are
//! finite too. Invariant: a fitted method that is told further values forecasts from the last of them, and its parameters stay.

pub mod ets;
pub mod intermittent;
pub mod naive;
pub mod search;
pub mod season;
pub mod theta;

use serde::{Deserialize, Serialize};

use ets::Ets;
use intermittent::{Croston, Tsb};
use naive::{MovingMean, SeasonalNaive};
use theta::Theta;

/// Values after which smoothing has forgotten most of where it began; slopes take longer.
const WARM_UP: usize = 8;
const SLOPE_WARM_UP: usize = 20;

/// A fitted method with what it remembers of the series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// The value of a season ago.
    SeasonalNaive(SeasonalNaive),
    /// The mean of the last values.
    MovingMean(MovingMean),
    /// The optimised Theta method.
    Theta(Theta),
    /// Exponential smoothing.
    Ets(Ets),
    /// Croston's method or that of Syntetos and Boylan.
    Croston(Croston),
    /// The method of Teunter, Syntetos and Babai.
    Tsb(Tsb),
    /// The mean of what several say.
    Combination(Vec<Model>),
}

impl Model {
    /// What it is called.
    pub fn name(&self) -> String {
        match self {
            Self::SeasonalNaive(model) if model.season() == 1 => "naive".to_owned(),
            Self::SeasonalNaive(_) => "seasonal_naive".to_owned(),
            Self::MovingMean(_) => "mean".to_owned(),
            Self::Theta(_) => "theta".to_owned(),
            Self::Ets(model) => model.name(),
            Self::Croston(model) => model.name().to_owned(),
            Self::Tsb(_) => "tsb".to_owned(),
            Self::Combination(models) => {
                // Both Theta models are called the same.
                let mut names: Vec<String> = models.iter().map(Self::name).collect();
                names.dedup();
                names.join(" + ")
            }
        }
    }

    /// Whether it can forecast, which one out of a damaged file may not.
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Theta(model) => model.is_sound(),
            Self::Ets(model) => model.is_sound(),
            Self::Combination(models) => models.iter().all(Self::is_sound),
            Self::SeasonalNaive(_) | Self::MovingMean(_) | Self::Croston(_) | Self::Tsb(_) => true,
        }
    }

    /// The same method with the same parameters, as before the first of these values, `[time]`, which comes `shift` periods after the first one
    /// that it was fitted to. How it begins is taken from the first of them.
    #[must_use]
    pub fn restarted(&self, values: &[f64], shift: i64) -> Self {
        match self {
            Self::SeasonalNaive(model) => Self::SeasonalNaive(SeasonalNaive::new(&[], model.season())),
            Self::MovingMean(model) => Self::MovingMean(model.restarted()),
            Self::Theta(model) => Self::Theta(model.restarted(values, shift)),
            Self::Ets(model) => Self::Ets(model.restarted(values, shift)),
            Self::Croston(model) => Self::Croston(model.restarted()),
            Self::Tsb(model) => Self::Tsb(model.restarted()),
            Self::Combination(models) => {
                Self::Combination(models.iter().map(|model| model.restarted(values, shift)).collect())
            }
        }
    }

    /// After how many values from a restart it forecasts as it does later.
    pub fn warm_up(&self) -> usize {
        match self {
            Self::SeasonalNaive(model) => model.season(),
            Self::MovingMean(_) | Self::Croston(_) | Self::Tsb(_) => WARM_UP,
            Self::Theta(_) | Self::Ets(_) => SLOPE_WARM_UP,
            Self::Combination(models) => models.iter().map(Self::warm_up).max().unwrap_or(0),
        }
    }

    /// Takes the next value in.
    pub fn update(&mut self, value: f64) {
        match self {
            Self::SeasonalNaive(model) => model.update(value),
            Self::MovingMean(model) => model.update(value),
            Self::Theta(model) => model.update(value),
            Self::Ets(model) => model.update(value),
            Self::Croston(model) => model.update(value),
            Self::Tsb(model) => model.update(value),
            Self::Combination(models) => models.iter_mut().for_each(|model| model.update(value)),
        }
    }

    /// The next values, `[horizon]`.
    pub fn forecast(&self, horizon: usize) -> Vec<f64> {
        match self {
            Self::SeasonalNaive(model) => model.forecast(horizon),
            Self::MovingMean(model) => vec![model.forecast(); horizon],
            Self::Theta(model) => model.forecast(horizon),
            Self::Ets(model) => model.forecast(horizon),
            Self::Croston(model) => vec![model.forecast(); horizon],
            Self::Tsb(model) => vec![model.forecast(); horizon],
            Self::Combination(models) => mean_of(models, horizon),
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn mean_of(models: &[Model], horizon: usize) -> Vec<f64> {
    let mut sums = vec![0.0; horizon];
    for model in models {
        sums.iter_mut().zip(model.forecast(horizon)).for_each(|(sum, value)| *sum += value);
    }
    sums.iter_mut().for_each(|sum| *sum /= models.len().max(1) as f64);
    sums
}
