//! The method of each series: what forecasts its own past best, seen against the seasonal naive.
//!
//! Parameters are fitted to what comes before the first origin, and again to the whole series for what is to come. It must not know
//! keys or calendars. Invariant: scaling a series by a power of two scales its forecasts and changes nothing else.

use serde::{Deserialize, Serialize};

use crate::accuracy::Scale;
use crate::backtest::{Errors, Window, mean_absolute, root_mean_square};
use crate::methods::Model;
use crate::methods::ets::{Ets, bounds};
use crate::methods::intermittent::{Croston, Tsb};
use crate::methods::naive::{MovingMean, SeasonalNaive};
use crate::methods::season::Season;
use crate::methods::theta::Theta;
use crate::typical::{Typical, within};
use crate::{Invalid, require};

/// Most values of a series that methods are fitted to: the last ones.
pub const MOST_HISTORY: usize = 2_000;
/// Fewest values before the first origin.
const LEAST_TRAINING: usize = 4;
/// Most origins.
const MOST_ORIGINS: usize = 40;
/// Values of which at most half are above 0 are intermittent demand (Syntetos, Boylan and Croston, "On the categorization of demand
/// patterns", 2005, cut at a mean interval of 1.32).
const INTERMITTENT: f64 = 1.32;
/// By how much another method's errors have to be smaller than those of the one that is preferred.
const MARGIN: f64 = 0.7;
/// Largest value that a method sees, in units of those that it was fitted to.
const LARGEST: f64 = 1e100;
/// Windows of moving means.
const WINDOWS: [usize; 2] = [8, 26];

/// How a series is forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Periods of a season; 1 for none.
    pub season: usize,
    /// Steps that are wanted, on which methods are compared.
    pub horizon: usize,
}

/// A family of methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Candidate {
    SeasonalNaive,
    MovingMean(usize),
    Combination,
    Croston,
    Tsb,
}

/// The method of one series, fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    model: Model,
    /// By what values are divided before a method sees them: a power of two.
    unit: f64,
    /// The least and the largest forecast, in that unit.
    bounds: (f64, f64),
    /// The size of its errors: the unit of intervals.
    pub typical: Typical,
    /// Series of one group have errors of one shape.
    pub group: u8,
    /// How many values the method was fitted to: the last ones.
    pub length: usize,
}

/// What the past says of a choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// The method that was chosen.
    pub fitted: Fitted,
    /// Its errors in the past, in the unit of the values.
    pub errors: Errors,
    /// The size of errors before the first of them, as [`Fitted::typical`] is that of the whole series.
    pub earlier: Typical,
    /// Mean absolute error of what was chosen and of the seasonal naive; none if the series is too short to tell.
    pub compared: Option<(f64, f64)>,
}

/// Chooses the method of a series, `[time]`, of which the values at `missing` (ascending) were filled in.
///
/// # Errors
/// [`Invalid::Argument`] for no values, and for some that are no finite numbers.
pub fn select(values: &[f64], missing: &[u32], options: Options) -> Result<Selection, Invalid> {
    require("values", !values.is_empty(), "at least one")?;
    require("values", values.iter().all(|value| value.is_finite()), "finite numbers")?;
    let skipped = values.len().saturating_sub(MOST_HISTORY);
    let unit = unit(values);
    let scaled: Vec<f64> = values.iter().skip(skipped).map(|value| value / unit).collect();
    let missing: Vec<u32> = missing
        .iter()
        .filter_map(|place| {
            usize::try_from(*place).ok()?.checked_sub(skipped).and_then(|place| u32::try_from(place).ok())
        })
        .collect();
    let season = if options.season < scaled.len() { options.season.max(1) } else { 1 };
    let candidates = candidates(&scaled);
    let bounds = range(&scaled);
    let horizon = options.horizon;
    let choice = match first_origin(scaled.len(), season, horizon) {
        None => Choice::untested(candidates.first().copied().unwrap_or(Candidate::SeasonalNaive)),
        Some(origin) => {
            let window = Window { values: &scaled, missing: &missing, origin, horizon, bounds };
            choose(&window, season, &candidates)
        }
    };
    let Choice { candidate, errors, earlier, compared } = choice;
    let model = candidate.fit(&scaled, season);
    let typical = |values: &[f64], errors: &Errors| {
        let spread = Scale::of(values, season).map_or(0.0, |scale| scale.absolute);
        Typical::of(errors, horizon, spread).times(unit)
    };
    let earlier = typical(scaled.get(..scaled.len() - errors.len()).unwrap_or_default(), &earlier);
    let window = Window { values: &scaled, missing: &missing, origin: scaled.len(), horizon, bounds };
    let typical = typical(&scaled, &within(&model, &window));
    let errors: Errors = errors
        .into_iter()
        .map(|origin| origin.into_iter().map(|error| error.map(|error| error * unit)).collect())
        .collect();
    let group = group(&scaled, unit);
    let fitted = Fitted { model, unit, bounds, typical, group, length: scaled.len() };
    let compared = compared.map(|(own, naive)| (own * unit, naive * unit));
    Ok(Selection { fitted, errors, earlier, compared })
}

impl Fitted {
    /// Whether it can forecast, which one out of a damaged file may not.
    pub fn is_sound(&self) -> bool {
        self.model.is_sound() && self.unit > 0.0 && self.bounds.0 <= self.bounds.1
    }

    /// What the method is called.
    pub fn method(&self) -> String {
        self.model.name()
    }

    /// The next values, `[horizon]`, within ten times the range of the series; not below 0 where no value was.
    pub fn forecast(&self, horizon: usize) -> Vec<f64> {
        let forecasts = self.model.forecast(horizon);
        forecasts.into_iter().map(|value| self.clamp(value * self.unit)).collect()
    }

    /// The nearest number that may be forecast.
    pub fn clamp(&self, value: f64) -> f64 {
        let (low, high) = self.bounds;
        let finite = |bound: f64| (bound * self.unit).clamp(f64::MIN, f64::MAX);
        if value.is_nan() { 0.0 } else { value.clamp(finite(low), finite(high)) }
    }

    /// Takes the next value in; the parameters stay.
    pub fn update(&mut self, value: f64) {
        self.model.update(self.scaled(value));
    }

    /// The same method with the same parameters, as before the first of these values; see [`Model::restarted`].
    #[must_use]
    pub fn restarted(&self, values: &[f64], shift: i64) -> Self {
        let scaled: Vec<f64> = values.iter().map(|value| self.scaled(*value)).collect();
        let bounds = if scaled.is_empty() { self.bounds } else { range(&scaled) };
        let bounds = (self.bounds.0.min(bounds.0), self.bounds.1.max(bounds.1));
        Self { model: self.model.restarted(&scaled, shift), bounds, length: 0, ..self.clone() }
    }

    /// See [`Model::warm_up`].
    pub fn warm_up(&self) -> usize {
        self.model.warm_up()
    }

    /// A value as the method sees it. One that came later may be beyond all that the method was made for.
    fn scaled(&self, value: f64) -> f64 {
        (value / self.unit).clamp(-LARGEST, LARGEST)
    }
}

/// The power of two that makes the largest value one from 1 to 2; so that squares are finite, and scaling is exact.
fn unit(values: &[f64]) -> f64 {
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    if largest < f64::MIN_POSITIVE { 1.0 } else { largest.log2().floor().clamp(-1000.0, 1000.0).exp2() }
}

/// Between what a forecast may be.
fn range(values: &[f64]) -> (f64, f64) {
    let (low, high) = bounds(values);
    let negative = values.iter().any(|value| *value < 0.0);
    (if negative { low } else { low.max(0.0) }, high)
}

/// Mean periods from one demand to the next (1 of a series without zeros).
#[allow(clippy::cast_precision_loss)]
fn demand_interval(values: &[f64]) -> f64 {
    let demands = values.iter().filter(|value| **value != 0.0).count();
    values.len() as f64 / demands.max(1) as f64
}

/// Methods that fit such a series; the first is taken unless the past clearly says otherwise.
fn candidates(values: &[f64]) -> Vec<Candidate> {
    let negative = values.iter().any(|value| *value < 0.0);
    let means = WINDOWS.into_iter().map(Candidate::MovingMean);
    if demand_interval(values) > INTERMITTENT && !negative {
        [Candidate::Tsb, Candidate::Croston, Candidate::SeasonalNaive].into_iter().chain(means).collect()
    } else {
        vec![Candidate::Combination, Candidate::SeasonalNaive]
    }
}

impl Candidate {
    /// Fits a series of at least one value.
    fn fit(self, values: &[f64], season: usize) -> Model {
        match self {
            Self::SeasonalNaive => Model::SeasonalNaive(SeasonalNaive::new(values, season)),
            Self::MovingMean(window) => Model::MovingMean(MovingMean::new(values, window)),
            Self::Croston => Model::Croston(Croston::fit(values, 0.1, true)),
            Self::Tsb => Model::Tsb(Tsb::optimised(values)),
            Self::Combination => combination(values, season),
        }
    }
}

/// The mean of both optimised Theta models and of exponential smoothing.
fn combination(values: &[f64], season: usize) -> Model {
    let constant = values.windows(2).all(|pair| pair[0] == pair[1]);
    if constant || values.len() < LEAST_TRAINING {
        return Model::SeasonalNaive(SeasonalNaive::new(values, 1));
    }
    let factors = Season::of(values, season);
    let mut models = vec![
        Model::Theta(Theta::fit(values, &factors, false)),
        Model::Theta(Theta::fit(values, &factors, true)),
    ];
    models.extend(Ets::choose(values, season).map(Model::Ets));
    Model::Combination(models)
}

/// What the past says of the candidates.
struct Choice {
    candidate: Candidate,
    /// Of the one that is taken, in the past.
    errors: Errors,
    /// And within what came before.
    earlier: Errors,
    compared: Option<(f64, f64)>,
}

/// A candidate that was fitted to what comes before the first origin.
struct Tried {
    candidate: Candidate,
    model: Model,
    errors: Errors,
    error: f64,
}

/// The first candidate, or the one whose errors are clearly smaller.
fn choose(window: &Window<'_>, season: usize, candidates: &[Candidate]) -> Choice {
    let first = candidates.first().copied().unwrap_or(Candidate::SeasonalNaive);
    // The least absolute error of demand that is mostly 0 is that of forecasting 0.
    let measure = if first == Candidate::Combination { mean_absolute } else { root_mean_square };
    let training = Window { values: window.training(), ..*window };
    let origins = window.values.len() - window.origin;
    // Fewer origins than a season has periods have not seen all of it.
    let is_part = origins < season && window.values.len() >= 2 * season;
    let try_one = |candidate: &Candidate| {
        let model = candidate.fit(window.training(), season);
        let errors = window.errors(model.clone());
        let mut error = measure(&errors)?;
        if let Some(earlier) = is_part.then(|| within(&model, &training)) {
            error = weighted([(error, origins), (measure(&earlier).unwrap_or(error), earlier.len())]);
        }
        Some(Tried { candidate: *candidate, model, errors, error })
    };
    let tried: Vec<Tried> = candidates.iter().filter_map(try_one).collect();
    let naive = tried.iter().find(|one| one.candidate == Candidate::SeasonalNaive).map(|one| one.error);
    let mut best: Option<Tried> = None;
    for one in tried {
        let bar =
            best.as_ref().map(|best| if best.candidate == first { best.error * MARGIN } else { best.error });
        if bar.is_none_or(|bar| one.error < bar) {
            best = Some(one);
        }
    }
    match best {
        Some(Tried { candidate, model, errors, error }) => Choice {
            candidate,
            errors,
            earlier: within(&model, &training),
            compared: naive.map(|naive| (error, naive)),
        },
        None => Choice::untested(first),
    }
}

impl Choice {
    /// Of which the past says nothing.
    fn untested(candidate: Candidate) -> Self {
        Self { candidate, errors: Errors::new(), earlier: Errors::new(), compared: None }
    }
}

/// The mean of errors of so many origins each.
#[allow(clippy::cast_precision_loss)]
fn weighted(parts: [(f64, usize); 2]) -> f64 {
    let [(one, ones), (other, others)] = parts.map(|(error, origins)| (error, origins as f64));
    (one * ones + other * others) / (ones + others)
}

/// Values before the first origin: as many origins after it as twice the horizon, but no more than a part of the series; none if what
/// is left is too little to fit a method to.
fn first_origin(count: usize, season: usize, horizon: usize) -> Option<usize> {
    let wanted = (2 * horizon).clamp(8, MOST_ORIGINS.max(horizon));
    // Short series, as those of years, have as many origins as steps where that leaves three fifths of them.
    let part = (count / 3).max(1).max(horizon.min(count * 2 / 5));
    // Where it can be, whole seasons stay before the first origin.
    let seasons = count.saturating_sub(3 * season).max(1);
    let origins = wanted.min(part).min(if count >= 4 * season { seasons } else { part });
    let origin = count.checked_sub(origins)?;
    (origin >= LEAST_TRAINING).then_some(origin)
}

/// Counts of like size have errors of like shape; all other series are one group.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn group(scaled: &[f64], unit: f64) -> u8 {
    let counts = scaled.iter().all(|value| *value >= 0.0 && (value * unit).fract() == 0.0);
    let recent = scaled.iter().rev().take(26);
    let mean = recent.clone().sum::<f64>() * unit / recent.count().max(1) as f64;
    if !counts || mean >= 16.0 {
        return 0;
    }
    // From 1, for 2^-4 and less, to 16.
    (mean.max(1.0 / 16.0).log2() * 2.0 + 9.0).floor() as u8
}
