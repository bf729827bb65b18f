//! The last season again, and means of the last values.
//!
//! Invariant: what is forecast lies within the range of the values.

use serde::{Deserialize, Serialize};

/// Each value is that of a season ago: what any other method has to beat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeasonalNaive {
    /// The last season, `[season]`, the oldest value first; shorter if the series is.
    last: Vec<f64>,
    season: usize,
}

impl SeasonalNaive {
    /// Of a series, `[time]`, with so many periods in a season; 1 for none.
    pub fn new(values: &[f64], season: usize) -> Self {
        let season = season.max(1);
        let from = values.len().saturating_sub(season);
        Self { last: values.get(from..).unwrap_or_default().to_vec(), season }
    }

    /// Periods of a season.
    pub fn season(&self) -> usize {
        self.season
    }

    pub(super) fn update(&mut self, value: f64) {
        if !self.last.is_empty() && self.last.len() >= self.season {
            self.last.remove(0);
        }
        self.last.push(value);
    }

    /// The next values, `[horizon]`: the last one again while there is no whole season.
    pub(super) fn forecast(&self, horizon: usize) -> Vec<f64> {
        if self.last.is_empty() || self.last.len() < self.season {
            return vec![self.last.last().copied().unwrap_or_default(); horizon];
        }
        self.last.iter().copied().cycle().take(horizon).collect()
    }
}

/// The mean of the last values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MovingMean {
    last: Vec<f64>,
    window: usize,
}

impl MovingMean {
    /// Of a series, `[time]`, over so many values.
    pub fn new(values: &[f64], window: usize) -> Self {
        let window = window.max(1);
        let from = values.len().saturating_sub(window);
        Self { last: values.get(from..).unwrap_or_default().to_vec(), window }
    }

    pub(super) fn update(&mut self, value: f64) {
        if !self.last.is_empty() && self.last.len() >= self.window {
            self.last.remove(0);
        }
        self.last.push(value);
    }

    pub(super) fn restarted(&self) -> Self {
        Self { last: Vec::new(), window: self.window }
    }

    /// The mean, for all periods to come.
    #[allow(clippy::cast_precision_loss)]
    pub fn forecast(&self) -> f64 {
        self.last.iter().sum::<f64>() / self.last.len().max(1) as f64
    }
}
