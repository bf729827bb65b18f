//! The ends of series, which trees forecast from.
//!
//! It must not know trees beyond their features. Invariant: a forecast from an end is the one from the whole series.

use std::collections::BTreeMap;

use ecommerce_ml_forecast::series::{Gaps, Series};
use serde::{Deserialize, Serialize};

use super::features::Past;
use super::known::{Known, Values};
use super::layout::Layout;

/// The end of a series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// The period of the first value.
    first: i64,
    /// How many values came before it.
    before: usize,
    /// `[time]`.
    values: Vec<f64>,
    /// Columns.
    known: Known,
}

impl Tail {
    /// That of a series.
    #[allow(clippy::cast_possible_wrap)]
    pub fn of(series: &Series, known: &Known, layout: &Layout) -> Self {
        let before = series.values.len().saturating_sub(layout.reach());
        let first = series.first.saturating_add(before as i64);
        let values = series.values.get(before..).unwrap_or_default().to_vec();
        Self { first, before, values, known: known.since(first) }
    }

    /// What trees read, and from where: after the last value, and the first period to forecast.
    pub fn past(&self) -> (Past<'_>, usize) {
        let Self { first, before, values, known } = self;
        (Past { values, first: *first, before: *before, known }, values.len())
    }

    /// The period after the last value.
    #[allow(clippy::cast_possible_wrap)]
    pub fn end(&self) -> i64 {
        self.first.saturating_add(self.values.len() as i64)
    }

    /// What is known ahead.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// The same with other columns.
    #[must_use]
    pub fn with_known(&self, known: Known) -> Self {
        Self { known, ..self.clone() }
    }

    /// The same with what is known ahead of other periods.
    #[must_use]
    pub fn with(&self, periods: &BTreeMap<i64, Values>) -> Self {
        self.with_known(self.known.with(periods))
    }

    /// The same with the values that came since, up to a period (excluded) or the last one that is known.
    #[must_use]
    pub fn continued(&self, series: &Series, gaps: Gaps, until: i64) -> Self {
        let mut tail = self.clone();
        let length = i64::try_from(series.values.len()).unwrap_or(i64::MAX);
        for period in self.end()..until.min(series.first.saturating_add(length)) {
            let at = usize::try_from(period - series.first).ok();
            let value = at.and_then(|at| series.values.get(at)).copied();
            let last = tail.values.last().copied().unwrap_or_default();
            tail.values.push(value.unwrap_or(if gaps == Gaps::Zero { 0.0 } else { last }));
        }
        tail
    }
}
