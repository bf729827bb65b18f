//! How good forecasts are.
//!
//! It must not know how they were made. Invariant: a measure that has no value is `None`, as that of a series without change is.

use serde::{Deserialize, Serialize};

/// Mean errors of the seasonal naive within a series: what errors are divided by, so that series of any size can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// Mean absolute error.
    pub absolute: f64,
    /// Mean squared error.
    pub squared: f64,
}

impl Scale {
    /// That of a series, `[time]`; of one no longer than a season with the value before instead. None if nothing changes.
    #[allow(clippy::cast_precision_loss)]
    pub fn of(values: &[f64], season: usize) -> Option<Self> {
        let season = if season < values.len() { season.max(1) } else { 1 };
        let later = values.get(season..).unwrap_or_default();
        let count = later.len() as f64;
        let (mut absolute, mut squared) = (0.0, 0.0);
        for (value, before) in later.iter().zip(values) {
            absolute += (value - before).abs() / count;
            squared += (value - before).powi(2) / count;
        }
        (absolute > 0.0).then_some(Self { absolute, squared })
    }
}

/// A forecast of one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// What is expected.
    pub value: f64,
    /// Lower end of its interval.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// Forecasts of many series, measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Accuracy {
    mase: Mean,
    rmsse: Mean,
    smape: Mean,
    absolute_error: f64,
    absolute_value: f64,
    covered: Mean,
    width: Mean,
    pinball: Mean,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    fn value(self) -> Option<f64> {
        (self.count > 0.0 && self.sum.is_finite()).then(|| self.sum / self.count)
    }
}

impl Accuracy {
    /// Takes in one series: what came and what was forecast, `[time]` both, with intervals of this level. Its root mean squared
    /// scaled error, if it has one.
    #[allow(clippy::cast_precision_loss)]
    pub fn add(
        &mut self,
        actual: &[f64],
        forecasts: &[Forecast],
        scale: Option<Scale>,
        level: f64,
    ) -> Option<f64> {
        let (mut absolute, mut squared, mut symmetric) = (Mean::default(), Mean::default(), Mean::default());
        for (value, forecast) in actual.iter().zip(forecasts) {
            let error = (value - forecast.value).abs();
            absolute.add(error);
            squared.add(error * error);
            let size = value.abs() + forecast.value.abs();
            symmetric.add(if size > 0.0 { 200.0 * error / size } else { 0.0 });
            self.absolute_error += error;
            self.absolute_value += value.abs();
            self.covered.add(f64::from(u8::from((forecast.lower..=forecast.upper).contains(value))));
            self.width.add(forecast.upper - forecast.lower);
            self.pinball.add(pinball(*value, forecast.lower, (1.0 - level) / 2.0));
            self.pinball.add(pinball(*value, forecast.upper, (1.0 + level) / 2.0));
        }
        if let Some(mean) = symmetric.value() {
            self.smape.add(mean);
        }
        let (scale, absolute, squared) = (scale?, absolute.value()?, squared.value()?);
        let rmsse = (squared / scale.squared).sqrt();
        self.mase.add(absolute / scale.absolute);
        self.rmsse.add(rmsse);
        Some(rmsse)
    }

    /// Mean absolute error over that of the seasonal naive within the series, the mean over series (Hyndman and Koehler, "Another
    /// look at measures of forecast accuracy", 2006).
    pub fn mase(&self) -> Option<f64> {
        self.mase.value()
    }

    /// Of how many values.
    pub fn count(&self) -> f64 {
        self.covered.count
    }

    /// Root of the mean squared error over that of the seasonal naive within the series, the mean over series.
    pub fn rmsse(&self) -> Option<f64> {
        self.rmsse.value()
    }

    /// Symmetric mean absolute percentage error, 0 to 200, the mean over series (Makridakis and Hibon, "The M3-Competition", 2000).
    pub fn smape(&self) -> Option<f64> {
        self.smape.value()
    }

    /// Sum of absolute errors over the sum of absolute values.
    pub fn wape(&self) -> Option<f64> {
        (self.absolute_value > 0.0)
            .then(|| self.absolute_error / self.absolute_value)
            .filter(|wape| wape.is_finite())
    }

    /// Part of the values within their intervals.
    pub fn coverage(&self) -> Option<f64> {
        self.covered.value()
    }

    /// Mean width of the intervals.
    pub fn width(&self) -> Option<f64> {
        self.width.value()
    }

    /// Mean pinball loss of both ends of the intervals.
    pub fn pinball(&self) -> Option<f64> {
        self.pinball.value()
    }
}

/// Loss of a quantile (Koenker and Bassett, "Regression quantiles", 1978).
pub fn pinball(actual: f64, quantile: f64, level: f64) -> f64 {
    let above = actual - quantile;
    if above >= 0.0 { level * above } else { (level - 1.0) * above }
}
