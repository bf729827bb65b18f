//! What a method would have said in the past: forecasts from rolling origins.
//!
//! It must not know how methods work. Invariant: no forecast knows a value that it is compared with, nor do its parameters.

use crate::methods::Model;

/// Errors of forecasts from successive origins, actual less forecast: `[origin][step]`, the first origin's first. Later origins have
/// fewer steps, since the series ends; errors of values that are missing are `None`.
pub type Errors = Vec<Vec<Option<f64>>>;

/// A series with the part at its end that is forecast.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// `[time]`.
    pub values: &'a [f64],
    /// Places of values that are none, ascending.
    pub missing: &'a [u32],
    /// Values before the first origin: those that a method may be fitted to.
    pub origin: usize,
    /// Steps that are forecast from each origin.
    pub horizon: usize,
    /// The least and the largest forecast that is let through.
    pub bounds: (f64, f64),
}

impl<'a> Window<'a> {
    /// What comes before the first origin.
    pub fn training(&self) -> &'a [f64] {
        self.values.get(..self.origin).unwrap_or_default()
    }

    /// The errors of a method that was fitted to [`training`](Self::training). It sees each value in turn and is not fitted again.
    pub fn errors(&self, mut model: Model) -> Errors {
        let after = self.values.get(self.origin..).unwrap_or_default();
        let mut errors = Vec::with_capacity(after.len());
        for (at, value) in after.iter().enumerate() {
            let actual = after.get(at..).unwrap_or_default();
            let steps = self.horizon.min(actual.len());
            let forecasts = model.forecast(steps);
            let error = |(step, (value, forecast)): (usize, (&f64, &f64))| {
                self.is_known(self.origin + at + step)
                    .then(|| value - forecast.clamp(self.bounds.0, self.bounds.1))
            };
            errors.push(actual.iter().zip(&forecasts).enumerate().map(error).collect());
            model.update(*value);
        }
        errors
    }

    fn is_known(&self, place: usize) -> bool {
        u32::try_from(place).is_ok_and(|place| self.missing.binary_search(&place).is_err())
    }
}

/// Errors of sums: at each step that of all values until then, and none once one is missing. How errors of successive steps go together is in
/// them.
pub fn cumulated(errors: &Errors) -> Errors {
    let of_origin = |origin: &Vec<Option<f64>>| {
        let add = |sum: &mut Option<f64>, error: &Option<f64>| {
            *sum = sum.zip(*error).map(|(sum, error)| sum + error);
            Some(*sum)
        };
        origin.iter().scan(Some(0.0), add).collect()
    };
    errors.iter().map(of_origin).collect()
}

/// Mean absolute error, each step counting the same; none without errors.
pub fn mean_absolute(errors: &Errors) -> Option<f64> {
    mean_of_steps(errors, f64::abs)
}

/// Root of the mean squared error, each step counting the same; none without errors.
pub fn root_mean_square(errors: &Errors) -> Option<f64> {
    mean_of_steps(errors, |error| error * error).map(f64::sqrt)
}

#[allow(clippy::cast_precision_loss)]
fn mean_of_steps(errors: &Errors, loss: fn(f64) -> f64) -> Option<f64> {
    let horizon = errors.iter().map(Vec::len).max().unwrap_or(0);
    let of_step = |step: usize| {
        let known = errors.iter().filter_map(|origin| origin.get(step).copied().flatten());
        let (sum, count) = known.fold((0.0, 0.0), |(sum, count), error| (sum + loss(error), count + 1.0));
        (count > 0.0).then_some(sum / count)
    };
    let steps: Vec<f64> = (0..horizon).filter_map(of_step).collect();
    (!steps.is_empty()).then(|| steps.iter().sum::<f64>() / steps.len() as f64)
}
