//! Demand with many zeros.
//!
//! It must not know whether a series is one. Invariant: of demand that is nowhere negative no forecast is.

use serde::{Deserialize, Serialize};

/// Smoothing parameters that are tried.
const ALPHAS: [f64; 5] = [0.05, 0.1, 0.2, 0.3, 0.5];

/// Demand's size over the time between demands, each smoothed (Croston, "Forecasting and stock control for intermittent demands",
/// 1972), less its bias where `correction` says so (Syntetos and Boylan, "The accuracy of intermittent demand estimates", 2005).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Croston {
    alpha: f64,
    /// By what the ratio is multiplied: 1, or 1 - alpha / 2.
    correction: f64,
    size: Option<f64>,
    interval: f64,
    /// Periods since the last demand.
    since: f64,
}

impl Croston {
    /// Fits a series, `[time]`.
    pub fn fit(values: &[f64], alpha: f64, unbiased: bool) -> Self {
        let correction = if unbiased { 1.0 - alpha / 2.0 } else { 1.0 };
        let mut model = Self { alpha, correction, size: None, interval: 1.0, since: 0.0 };
        values.iter().for_each(|value| model.update(*value));
        model
    }

    pub(super) fn restarted(&self) -> Self {
        Self { size: None, interval: 1.0, since: 0.0, ..*self }
    }

    pub(super) fn name(&self) -> &'static str {
        if self.correction < 1.0 { "sba" } else { "croston" }
    }

    pub(super) fn update(&mut self, value: f64) {
        self.since += 1.0;
        if value == 0.0 {
            return;
        }
        (self.size, self.interval) = match self.size {
            None => (Some(value), self.since),
            Some(size) => (
                Some(size + self.alpha * (value - size)),
                self.interval + self.alpha * (self.since - self.interval),
            ),
        };
        self.since = 0.0;
    }

    /// Demand of each period to come.
    pub fn forecast(&self) -> f64 {
        self.correction * self.size.unwrap_or(0.0) / self.interval
    }
}

/// Demand's size times its probability, each smoothed, so that what is no longer sold goes to 0 (Teunter, Syntetos and Babai,
/// "Intermittent demand: linking forecasting to inventory obsolescence", 2011).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tsb {
    /// Smoothing of the size, and of the probability.
    alphas: (f64, f64),
    size: Option<f64>,
    probability: Option<f64>,
}

impl Tsb {
    /// Fits a series, `[time]`, with these smoothing parameters of size and probability.
    pub fn fit(values: &[f64], alphas: (f64, f64)) -> Self {
        let mut model = Self { alphas, size: None, probability: None };
        values.iter().for_each(|value| model.update(*value));
        model
    }

    /// The parameters with the least squared errors.
    pub fn optimised(values: &[f64]) -> Self {
        let mut best = (f64::INFINITY, (ALPHAS[1], ALPHAS[1]));
        for size in ALPHAS {
            for probability in ALPHAS {
                let mut model = Self { alphas: (size, probability), size: None, probability: None };
                let mut error = 0.0;
                for (time, value) in values.iter().enumerate() {
                    if time > 0 {
                        error += (value - model.forecast()).powi(2);
                    }
                    model.update(*value);
                }
                if error < best.0 {
                    best = (error, model.alphas);
                }
            }
        }
        Self::fit(values, best.1)
    }

    pub(super) fn restarted(&self) -> Self {
        Self { size: None, probability: None, ..*self }
    }

    pub(super) fn update(&mut self, value: f64) {
        let (of_size, of_probability) = self.alphas;
        let occurs = f64::from(u8::from(value != 0.0));
        self.probability =
            Some(self.probability.map_or(occurs, |before| before + of_probability * (occurs - before)));
        if value != 0.0 {
            self.size = Some(self.size.map_or(value, |before| before + of_size * (value - before)));
        }
    }

    /// Demand of each period to come.
    pub fn forecast(&self) -> f64 {
        self.size.unwrap_or(0.0) * self.probability.unwrap_or(0.0)
    }
}
