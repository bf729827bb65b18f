//! What elasticities are worth on later periods, which they weren't learned from.
//!
//! Log quantities of later observations are foretold by the effects of their series and of the controls, as they were before; and beside it with
//! what their price, where it differs from the one that controls foretell, adds by an elasticity. It must not know how that was learned.
//! Invariant: with the elasticity of least squares, what is foretold before the moment is what least squares fit.

use std::collections::BTreeMap;

use ecommerce_ml_forecast::calendar::Period;

use super::linear::{Cholesky, Symmetric};
use super::panel::{Panel, number};
use super::regression::Groups;

/// Observations that were held out.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOut {
    /// From which moment on.
    pub since: i64,
    rows: Vec<Later>,
}

/// A later observation.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Later {
    series: usize,
    time: i64,
    /// How much the log quantity is above what is foretold without a price, and the log price above what is foretold.
    quantity: f64,
    price: f64,
}

/// The moment from which on about this part of the observations lies; none if that leaves nothing on one side.
#[must_use]
pub fn moment(panel: &Panel, part: f64) -> Option<i64> {
    let mut times = panel.time.clone();
    times.sort_unstable();
    let held_out = (times.len() as f64 * part).round() as usize;
    let moment = *times.get(times.len().checked_sub(held_out.max(1))?)?;
    (*times.first()? < moment).then_some(moment)
}

impl HeldOut {
    /// The observations of a panel from a moment on, of series that there were before. Controls have an effect in each group. Where periods
    /// have effects, what all observations of one have in common is taken out.
    #[must_use]
    pub fn new(panel: &Panel, groups: &Groups, since: i64, effects: Option<Period>) -> Self {
        let before = panel.before(since);
        let models = Models::of(&before, groups);
        let mut rows = Vec::new();
        for (series, (range, known)) in panel.series.iter().zip(&before.series).enumerate() {
            let later = range.start + known.len()..range.end;
            if known.is_empty() {
                continue;
            }
            let model = models.of_series(&before, groups, series);
            for at in later {
                let [quantity, price] = model.above(panel, at);
                rows.push(Later { series, time: panel.time[at], quantity, price });
            }
        }
        let mut found = Self { since, rows };
        if let Some(period) = effects {
            found.take_out_periods(period);
        }
        found
    }

    fn take_out_periods(&mut self, period: Period) {
        let mut sums: BTreeMap<i64, (f64, f64, f64)> = BTreeMap::new();
        for row in &self.rows {
            let sum = sums.entry(number(period, row.time)).or_default();
            *sum = (sum.0 + row.quantity, sum.1 + row.price, sum.2 + 1.0);
        }
        for row in &mut self.rows {
            if let Some((quantity, price, count)) = sums.get(&number(period, row.time)) {
                row.quantity -= quantity / count;
                row.price -= price / count;
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Those from a later moment on.
    #[must_use]
    pub fn since(&self, moment: i64) -> Self {
        let rows = self.rows.iter().filter(|row| row.time >= moment).copied().collect();
        Self { since: self.since.max(moment), rows }
    }

    /// Errors of log quantities with these elasticities of the series, `[observation]`.
    #[must_use]
    pub fn errors(&self, elasticity: impl Fn(usize) -> f64) -> Vec<f64> {
        self.rows.iter().map(|row| row.quantity - elasticity(row.series) * row.price).collect()
    }

    /// Absolute errors, one a series where there are as many of them as `least`, else one an observation.
    #[must_use]
    pub fn absolute(&self, errors: &[f64], least: usize) -> Vec<f64> {
        let mut of_series: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
        for (row, error) in self.rows.iter().zip(errors) {
            let sum = of_series.entry(row.series).or_default();
            *sum = (sum.0 + error.abs(), sum.1 + 1.0);
        }
        if of_series.len() < least {
            return errors.iter().map(|error| error.abs()).collect();
        }
        of_series.into_values().map(|(sum, count)| sum / count).collect()
    }
}

/// Log quantity and log price by the controls, `[group]`.
struct Models {
    /// Effects on log quantity and on log price, `[group][control]`.
    effects: Vec<(Vec<f64>, Vec<f64>)>,
}

impl Models {
    fn of(panel: &Panel, groups: &Groups) -> Self {
        let controls: Vec<Vec<f64>> = panel.controls.iter().map(|values| panel.within(values)).collect();
        let (quantity, price) = (panel.within(&panel.quantity), panel.within(&panel.price));
        let empty =
            || (Symmetric::zeros(controls.len()), vec![0.0; controls.len()], vec![0.0; controls.len()]);
        let mut sums: Vec<_> = (0..groups.count).map(|_| empty()).collect();
        for (range, group) in panel.series.iter().zip(&groups.of_series) {
            let (squares, with_quantity, with_price) = &mut sums[*group as usize];
            for at in range.clone() {
                let row: Vec<f64> = controls.iter().map(|control| control[at]).collect();
                squares.add_square(&row, 1.0);
                with_quantity.iter_mut().zip(&row).for_each(|(sum, value)| *sum += value * quantity[at]);
                with_price.iter_mut().zip(&row).for_each(|(sum, value)| *sum += value * price[at]);
            }
        }
        let solve = |(squares, with_quantity, with_price): (Symmetric, Vec<f64>, Vec<f64>)| {
            let solver = Cholesky::of(&squares, 0.0);
            (solver.solve(&with_quantity), solver.solve(&with_price))
        };
        Self { effects: sums.into_iter().map(solve).collect() }
    }

    fn of_series(&self, panel: &Panel, groups: &Groups, series: usize) -> SeriesModel<'_> {
        let range = panel.series[series].clone();
        let mean = |values: &[f64]| values[range.clone()].iter().sum::<f64>() / range.len().max(1) as f64;
        let effects = &self.effects[groups.of_series[series] as usize];
        let controls = panel.controls.iter().map(|values| mean(values)).collect();
        SeriesModel { quantity: mean(&panel.quantity), price: mean(&panel.price), controls, effects }
    }
}

/// The means of a series before, and what controls add.
struct SeriesModel<'a> {
    quantity: f64,
    price: f64,
    controls: Vec<f64>,
    effects: &'a (Vec<f64>, Vec<f64>),
}

impl SeriesModel<'_> {
    /// How much log quantity and log price of an observation are above what was to be expected.
    fn above(&self, panel: &Panel, at: usize) -> [f64; 2] {
        let above: Vec<f64> =
            panel.controls.iter().zip(&self.controls).map(|(values, mean)| values[at] - mean).collect();
        let by =
            |effects: &[f64]| above.iter().zip(effects).map(|(above, effect)| above * effect).sum::<f64>();
        [
            panel.quantity[at] - self.quantity - by(&self.effects.0),
            panel.price[at] - self.price - by(&self.effects.1),
        ]
    }
}
