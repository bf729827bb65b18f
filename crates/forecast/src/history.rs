//! Fitted methods on values that came later.
//!
//! It must not know where values come from. Invariant: parameters stay, and without later values so do forecasts.

use crate::forecaster::Forecaster;
use crate::selection::MOST_HISTORY;
use crate::series::{Gaps, Series};

/// What a series is now.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// Its values, at least those that the method hasn't seen.
    pub series: &'a Series,
    /// What a period without a value is.
    pub gaps: Gaps,
    /// The number of the first period to come.
    pub end: i64,
}

impl Forecaster {
    /// One series of it, of which the method has seen all that came until now; this forecaster knows what came before the period `end`. None
    /// for a series beyond the last.
    ///
    /// What came in a period that the method has seen already doesn't count.
    pub fn continued(&self, place: usize, end: i64, now: Now<'_>) -> Option<Self> {
        let mut fitted = self.fitted(place)?.clone();
        let Now { series, gaps, end: until } = now;
        let from = self.known_until(place, end);
        let length = i64::try_from(series.values.len()).unwrap_or(i64::MAX);
        let last = series.first.saturating_add(length);
        // Of what is further back nothing is left in a method.
        let most = i64::try_from(MOST_HISTORY).unwrap_or(i64::MAX);
        for period in from.max(last.saturating_sub(most))..last.min(until) {
            let at = usize::try_from(period - series.first).ok();
            let value = match (at.and_then(|at| series.values.get(at)), gaps) {
                (Some(value), _) => *value,
                (None, Gaps::Zero) => 0.0,
                // What was expected changes nothing but the season.
                (None, Gaps::Missing) => fitted.forecast(1).first().copied().unwrap_or_default(),
            };
            fitted.update(value);
        }
        let known = from.max(last.min(until));
        let behind = usize::try_from(until.saturating_sub(known)).unwrap_or(0);
        Some(self.with_state(place, fitted, behind))
    }
}
