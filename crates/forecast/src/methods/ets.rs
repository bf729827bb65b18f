//! Exponential smoothing as a state space model with one source of error (Hyndman, Koehler, Ord and Snyder, "Forecasting with
//! exponential smoothing", 2008), chosen by AICc.
//!
//! It must not know other methods. Invariant: no chosen model leaves ten times the range of the values within two seasons and ten
//! periods.

use serde::{Deserialize, Serialize};

use super::search::simplex;
use super::season::{Season, line, rotated};

/// Longest season whose factors are states; a longer one is removed beforehand.
const LONGEST_SEASON: usize = 24;
/// Evaluations of a model's likelihood, twice.
const EVALUATIONS: usize = 250;
/// Bounds of the damping.
const DAMPING: (f64, f64) = (0.8, 0.98);
/// Smallest smoothing parameter.
const LEAST: f64 = 1e-4;
/// By how many times the range of the values a forecast may leave it.
pub(crate) const GUARD: f64 = 10.0;

/// How a component enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Not at all.
    None,
    /// It is added.
    Additive,
    /// It is added, and less each period.
    Damped,
    /// It is multiplied by.
    Multiplicative,
}

/// A form: error, trend, season.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// Additive or multiplicative.
    pub error: Component,
    /// None, additive or damped.
    pub trend: Component,
    /// None, additive or multiplicative.
    pub season: Component,
}

/// The forms among which is chosen: trends are damped, and error and season are of one kind, which forecasts better than all forms
/// do (Meira, Cyrino Oliveira and Jeon, "Treating and pruning: New approaches to forecasting model selection and combination using
/// prediction intervals", International Journal of Forecasting 37, 2021).
fn forms(season: bool, positive: bool) -> Vec<Form> {
    let kinds: &[Component] =
        if positive { &[Component::Additive, Component::Multiplicative] } else { &[Component::Additive] };
    let mut forms = Vec::new();
    for &kind in kinds {
        for trend in [Component::None, Component::Damped] {
            forms.push(Form { error: kind, trend, season: Component::None });
            if season {
                forms.push(Form { error: kind, trend, season: kind });
            }
        }
    }
    forms
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ets {
    form: Form,
    alpha: f64,
    beta: f64,
    gamma: f64,
    phi: f64,
    level: f64,
    trend: f64,
    /// `[season]`, that of the next period at `phase`.
    season: Vec<f64>,
    phase: usize,
    /// A season removed beforehand, and periods so far.
    removed: Season,
    time: usize,
}

impl Ets {
    /// That with the least AICc of a series, `[time]`; none if the series is too short for any.
    pub fn choose(values: &[f64], season: usize) -> Option<Self> {
        let long = season > LONGEST_SEASON;
        let removed = if long { Season::of(values, season) } else { Season::None };
        let adjusted: Vec<f64> =
            values.iter().enumerate().map(|(time, value)| removed.remove(time, *value)).collect();
        let seasonal = !long && season > 1 && values.len() >= 2 * season + 3;
        let positive = adjusted.iter().all(|value| *value > 0.0);
        let fits =
            forms(seasonal, positive).into_iter().filter_map(|form| Self::fit(&adjusted, form, season));
        let sound =
            fits.filter(|(model, _)| model.stays_near(&adjusted, 2 * season.min(LONGEST_SEASON) + 10));
        let (mut best, _) = sound.min_by(|one, other| one.1.total_cmp(&other.1))?;
        best.removed = removed;
        Some(best)
    }

    /// A model of this form with its AICc; none if the series is too short or the form can't be fitted.
    pub fn fit(values: &[f64], form: Form, season: usize) -> Option<(Self, f64)> {
        let start = Self::start(values, form, season)?;
        let deviation = deviation(values);
        let (point, steps) = start.parameters(deviation);
        let penalty = penalty(values.len(), point.len() + start.season.len().saturating_sub(1))?;
        let mut likelihood_of = |point: &[f64]| start.likelihood(point, values);
        let (first, _) = simplex(&point, &steps, EVALUATIONS, &mut likelihood_of);
        // A simplex that has shrunk too early grows again.
        let (found, likelihood) = simplex(&first, &steps, EVALUATIONS, &mut likelihood_of);
        let mut model = start.with(&found);
        if !likelihood.is_finite() || !model.admissible() {
            return None;
        }
        values.iter().for_each(|value| {
            model.step(*value);
        });
        model.time = values.len();
        Some((model, likelihood + penalty))
    }

    /// A model whose states are rough and whose parameters are customary.
    fn start(values: &[f64], form: Form, season: usize) -> Option<Self> {
        let factors = match form.season {
            Component::None => Season::None,
            Component::Multiplicative => Season::factors(values, season)?,
            _ => Season::additions(values, season),
        };
        let of_line = values.len().min((2 * season).max(10));
        let adjusted: Vec<f64> = values
            .iter()
            .take(of_line)
            .enumerate()
            .map(|(time, value)| factors.remove(time, *value))
            .collect();
        let (mean, slope) = line(&adjusted)?;
        let trend = form.trend != Component::None;
        #[allow(clippy::cast_precision_loss)]
        let middle = (adjusted.len() + 1) as f64 / 2.0;
        let season = match factors {
            Season::None => Vec::new(),
            Season::Additive(season) | Season::Multiplicative(season) => season,
        };
        Some(Self {
            form,
            alpha: 0.3,
            beta: if trend { 0.05 } else { 0.0 },
            gamma: if season.is_empty() { 0.0 } else { 0.1 },
            phi: if form.trend == Component::Damped { 0.95 } else { 1.0 },
            level: if trend { mean - slope * middle } else { mean },
            trend: if trend { slope } else { 0.0 },
            season,
            phase: 0,
            removed: Season::None,
            time: 0,
        })
    }

    /// What is searched, and by how much it is changed first.
    fn parameters(&self, deviation: f64) -> (Vec<f64>, Vec<f64>) {
        let mut all = vec![(self.alpha, 0.2), (self.level, 0.2 * deviation)];
        if self.form.trend != Component::None {
            all.extend([(self.beta, 0.05), (self.trend, 0.05 * deviation)]);
        }
        if self.form.trend == Component::Damped {
            all.push((self.phi, -0.05));
        }
        if !self.season.is_empty() {
            all.push((self.gamma, 0.1));
        }
        all.into_iter().unzip()
    }

    fn with(&self, point: &[f64]) -> Self {
        let mut model = self.clone();
        model.set(point);
        model
    }

    fn set(&mut self, point: &[f64]) {
        let mut rest = point.iter().copied();
        let mut next = |place: &mut f64| *place = rest.next().unwrap_or(*place);
        next(&mut self.alpha);
        next(&mut self.level);
        if self.form.trend != Component::None {
            next(&mut self.beta);
            next(&mut self.trend);
        }
        if self.form.trend == Component::Damped {
            next(&mut self.phi);
        }
        if !self.season.is_empty() {
            next(&mut self.gamma);
        }
    }

    /// Whether the parameters are what they may be.
    fn admissible(&self) -> bool {
        let trend = self.form.trend == Component::None || (LEAST..=self.alpha).contains(&self.beta);
        let damping = self.form.trend != Component::Damped || (DAMPING.0..=DAMPING.1).contains(&self.phi);
        let season = self.season.is_empty() || (LEAST..=1.0 - self.alpha).contains(&self.gamma);
        (LEAST..=1.0 - LEAST).contains(&self.alpha) && trend && damping && season
    }

    /// -2 log likelihood but for a constant, at its maximum over the variance; infinite for what is not admissible.
    #[allow(clippy::cast_precision_loss)]
    fn likelihood(&self, point: &[f64], values: &[f64]) -> f64 {
        let mut model = self.with(point);
        if !model.admissible() {
            return f64::INFINITY;
        }
        let relative = self.form.error == Component::Multiplicative;
        let (mut squares, mut product, mut logarithms) = (0.0, 1.0_f64, 0.0);
        for value in values {
            let forecast = model.step(*value);
            let mut error = value - forecast;
            if relative {
                if forecast <= 0.0 {
                    return f64::INFINITY;
                }
                error /= forecast;
                product *= forecast;
                if !(1e-100..1e100).contains(&product) {
                    logarithms += product.ln();
                    product = 1.0;
                }
            }
            squares += error * error;
        }
        let n = values.len() as f64;
        let likelihood = n * squares.max(f64::MIN_POSITIVE).ln() + 2.0 * (logarithms + product.ln());
        if likelihood.is_nan() { f64::INFINITY } else { likelihood }
    }

    /// Takes a value in; what was forecast of it.
    fn step(&mut self, value: f64) -> f64 {
        let base = self.level + self.phi * self.trend;
        let (forecast, surprise) = match self.form.season {
            Component::None => (base, value - base),
            Component::Multiplicative => {
                let season = &mut self.season[self.phase];
                let forecast = base * *season;
                let surprise = value / *season - base;
                *season += self.gamma * (value / base - *season);
                (forecast, surprise)
            }
            _ => {
                let season = &mut self.season[self.phase];
                let forecast = base + *season;
                *season += self.gamma * (value - forecast);
                (forecast, value - forecast)
            }
        };
        self.level = base + self.alpha * surprise;
        self.trend = self.phi * self.trend + self.beta * surprise;
        if !self.season.is_empty() {
            self.phase = (self.phase + 1) % self.season.len();
        }
        forecast
    }

    /// The form's letters: error, trend, season.
    pub fn name(&self) -> String {
        let letter = |component| match component {
            Component::None => "N",
            Component::Additive => "A",
            Component::Damped => "Ad",
            Component::Multiplicative => "M",
        };
        let Form { error, trend, season } = self.form;
        format!("ets({}{}{})", letter(error), letter(trend), letter(season))
    }

    pub(super) fn is_sound(&self) -> bool {
        let seasonal = self.form.season != Component::None;
        self.removed.is_sound() && (self.phase < self.season.len() || !seasonal && self.season.is_empty())
    }

    pub(super) fn restarted(&self, values: &[f64], shift: i64) -> Self {
        let (removed, season) = (self.removed.shifted(shift), rotated(&self.season, shift));
        let factors = match self.form.season {
            Component::None => Season::None,
            Component::Multiplicative => Season::Multiplicative(season.clone()),
            _ => Season::Additive(season.clone()),
        };
        let without_season =
            |(time, value): (usize, &f64)| factors.remove(time, removed.remove(time, *value));
        let first = values.iter().enumerate().take((2 * season.len()).max(10));
        let adjusted: Vec<f64> = first.map(without_season).collect();
        let (mean, slope) = line(&adjusted).unwrap_or((adjusted.first().copied().unwrap_or_default(), 0.0));
        let slope = if self.form.trend == Component::None { 0.0 } else { slope };
        #[allow(clippy::cast_precision_loss)]
        let middle = (adjusted.len() + 1) as f64 / 2.0;
        Self { level: mean - slope * middle, trend: slope, season, phase: 0, removed, time: 0, ..*self }
    }

    pub(super) fn update(&mut self, value: f64) {
        let adjusted = self.removed.remove(self.time, value);
        self.step(adjusted);
        self.time += 1;
    }

    pub(super) fn forecast(&self, horizon: usize) -> Vec<f64> {
        let (mut damping, mut trend) = (1.0, 0.0);
        let at = |step: usize| {
            damping *= self.phi;
            trend += damping * self.trend;
            let base = self.level + trend;
            let season = |step: usize| self.season[(self.phase + step) % self.season.len()];
            let value = match self.form.season {
                Component::None => base,
                Component::Multiplicative => base * season(step),
                _ => base + season(step),
            };
            self.removed.add(self.time + step, value)
        };
        (0..horizon).map(at).collect()
    }

    /// Whether what it forecasts is within ten times the range of the values.
    fn stays_near(&self, values: &[f64], horizon: usize) -> bool {
        let (low, high) = bounds(values);
        self.forecast(horizon).iter().all(|value| (low..=high).contains(value))
    }
}

/// Between what a forecast may be: the values and ten times their range on both sides.
pub(crate) fn bounds(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let reach = GUARD * (high - low);
    (low - reach, high + reach)
}

/// What AICc adds to the likelihood; none if there are too few values.
#[allow(clippy::cast_precision_loss)]
fn penalty(values: usize, parameters: usize) -> Option<f64> {
    // The variance is one too.
    let (n, k) = (values as f64, parameters as f64 + 1.0);
    (n > k + 1.0).then(|| 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0))
}

#[allow(clippy::cast_precision_loss)]
fn deviation(values: &[f64]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt()
}
