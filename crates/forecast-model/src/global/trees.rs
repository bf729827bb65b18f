//! Trees, and what they say of a series.
//!
//! It must not know how they were grown. Invariant: without negative values in what they learned no forecast is negative.

use ecommerce_ml_forecast::series::{Calendar, Series};
use ecommerce_ml_forecast::shared::Shared;
use ecommerce_ml_trees::forest::Forest;
use serde::{Deserialize, Serialize};

use super::features::{Origin, Past};
use super::known::Known;
use super::layout::Layout;

/// Furthest that a logarithm is believed.
const MOST_MARGIN: f64 = 12.0;

/// Trees over the features of all series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trees {
    /// Their features.
    pub layout: Layout,
    /// Of the periods.
    pub calendar: Calendar,
    /// The first period that they have not learned from.
    pub end: i64,
    /// Whether sums are logarithms.
    pub logarithmic: bool,
    /// In a file of their own.
    #[serde(skip, default = "no_trees")]
    pub forest: Forest,
}

fn no_trees() -> Forest {
    Forest { base: 0.0, sums: 1, trees: Vec::new() }
}

impl Trees {
    /// The values of a series after each of these numbers of known ones, `[origin][step]`.
    pub fn forecasts(&self, past: Past<'_>, origins: &[usize], horizon: usize) -> Vec<Vec<f64>> {
        let found: Vec<Option<Origin>> =
            origins.iter().map(|at| Origin::new(&self.layout, past, *at)).collect();
        let mut rows = Vec::new();
        for origin in found.iter().flatten() {
            (0..horizon).for_each(|step| origin.step(&self.layout, self.calendar, past, step, &mut rows));
        }
        let steps = horizon * found.iter().flatten().count();
        let mut sums = vec![0.0; steps];
        self.forest.margins(&rows, rows.len() / steps.max(1), &mut sums);
        let mut sums = sums.chunks(horizon.max(1));
        let values = |origin: &Option<Origin>| match origin {
            // Of what was never sold nothing is.
            None => vec![0.0; horizon],
            Some(origin) => {
                let sums = sums.next().unwrap_or_default();
                sums.iter().map(|sum| origin.unit * self.value(*sum)).collect()
            }
        };
        found.iter().map(values).collect()
    }

    /// What a sum says, in units of a series.
    fn value(&self, sum: f64) -> f64 {
        if self.logarithmic { sum.clamp(-MOST_MARGIN, MOST_MARGIN).exp() } else { sum }
    }
}

/// Trees with what is known ahead of each series.
#[derive(Debug, Clone, Copy)]
pub struct OfSeries<'a> {
    /// The trees.
    pub trees: &'a Trees,
    /// By the keys of series.
    pub known: &'a [Known],
}

impl Shared for OfSeries<'_> {
    fn end(&self) -> i64 {
        self.trees.end
    }

    fn forecasts(&self, series: &Series, origins: &[usize], horizon: usize) -> Vec<Vec<f64>> {
        let nothing = Known::default();
        let known = usize::try_from(series.key).ok().and_then(|key| self.known.get(key)).unwrap_or(&nothing);
        let past = Past { values: &series.values, first: series.first, before: 0, known };
        self.trees.forecasts(past, origins, horizon)
    }
}
