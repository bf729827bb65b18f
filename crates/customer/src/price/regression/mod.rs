//! Slopes of log quantity over log price, one for each group of series, with fixed effects.
//!
//! log quantity = effect of the series + slope of the group × log price + effects of the controls in the group [+ effect of the period] + error,
//! by least squares. Effects of series are taken out by their means; price and controls of each group are eliminated from the equations of
//! the effects of periods, which all groups share (Frisch and Waugh), so that what is solved has as many unknowns as there are periods, however
//! many groups there are.
//!
//! Standard errors are robust to whatever goes on within a cluster, with the correction of statsmodels and Stata,
//! c / (c - 1) × (n - 1) / (n - k), and go with a t distribution of c - 1 degrees of freedom. A cluster is a series; of a group of
//! fewer than ten series, series are cut into runs of time, so that there are ten or more (Bester, Conley and Hansen, "Inference with
//! dependent data using cluster covariance estimators", 2011). It must not know what groups are. Invariant: a slope that the data don't tell is none.

use std::collections::BTreeMap;
use std::ops::Range;

use ecommerce_ml_forecast::calendar::Period;

use self::group::Group;
use self::periods::{Periods, Scores, Shared};
use super::linear::Symmetric;
use super::panel::{Panel, number};

mod group;
mod periods;

/// A slope with what it was learned from.
#[derive(Debug, Clone, PartialEq)]
pub struct Slope {
    /// What the data say.
    pub estimate: Result<Estimate, Unknown>,
    /// Observations.
    pub observations: usize,
    /// Periods left out because nothing was sold.
    pub empty: usize,
    /// Different prices.
    pub prices: usize,
    /// Standard deviation of log price within series.
    pub spread: f64,
    /// Part of that variance which controls explain, from 0 to 1.
    pub by_controls: f64,
    /// Effects of the controls, `[control]`; 0 of those that follow from others.
    pub controls: Vec<f64>,
}

/// An estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The slope.
    pub value: f64,
    /// Its standard error.
    pub std_error: f64,
    /// Clusters.
    pub clusters: usize,
}

/// Why there is no estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// The price never varied within a series.
    ConstantPrice,
    /// It follows from the controls.
    Controls,
    /// It follows from the periods.
    Periods,
    /// There are hardly more observations than parameters.
    Few,
}

/// Groups of series.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    /// `[series]`: the number of its group.
    pub of_series: Vec<u32>,
    /// How many there are.
    pub count: usize,
}

impl Groups {
    /// All in one.
    #[must_use]
    pub fn one(series: usize) -> Self {
        Self { of_series: vec![0; series], count: 1 }
    }

    /// The series of each group.
    fn series(&self) -> Vec<Vec<usize>> {
        let mut found = vec![Vec::new(); self.count];
        for (series, group) in self.of_series.iter().enumerate() {
            found[*group as usize].push(series);
        }
        found
    }
}

/// Slopes of all groups, `[group]`; with effects of periods of a kind, if one is given.
#[must_use]
pub fn fit(panel: &Panel, groups: &Groups, effects: Option<Period>) -> Vec<Slope> {
    let data = Data::new(panel, effects);
    let groups: Vec<Group> = groups.series().into_iter().map(|series| Group::new(&data, series)).collect();
    if data.periods.is_none() {
        return groups.iter().map(|group| group.slope(&data, &[], None)).collect();
    }
    let periods = Periods::solve(&data, &groups);
    let mut products = Symmetric::zeros(data.period_count);
    let scores: Vec<Scores> =
        groups.iter().map(|group| Scores::new(&data, group, &periods, &mut products)).collect();
    let slope = |(group, scores): (&Group, &Scores)| {
        group.slope(&data, &periods.effects, Some(Shared { periods: &periods, scores, products: &products }))
    };
    groups.iter().zip(&scores).map(slope).collect()
}

/// Observations less the means of their series.
struct Data<'a> {
    panel: &'a Panel,
    quantity: Vec<f64>,
    /// `[column][observation]`: controls, and last the price.
    columns: Vec<Vec<f64>>,
    /// `[observation]`: which period, if periods have effects.
    periods: Option<Vec<u32>>,
    period_count: usize,
}

impl<'a> Data<'a> {
    fn new(panel: &'a Panel, effects: Option<Period>) -> Self {
        let mut columns: Vec<Vec<f64>> = panel.controls.iter().map(|values| panel.within(values)).collect();
        columns.push(panel.within(&panel.price));
        let numbers =
            effects.map(|period| panel.time.iter().map(|time| number(period, *time)).collect::<Vec<_>>());
        let mut places: BTreeMap<i64, u32> = numbers.iter().flatten().map(|number| (*number, 0)).collect();
        places.values_mut().zip(0..).for_each(|(place, number)| *place = number);
        let periods =
            numbers.map(|all| all.iter().map(|number| places.get(number).copied().unwrap_or(0)).collect());
        Self { panel, quantity: panel.within(&panel.quantity), columns, periods, period_count: places.len() }
    }

    /// The place of the price among columns.
    fn price(&self) -> usize {
        self.columns.len() - 1
    }

    /// What the columns of an observation add up to.
    fn fitted(&self, observation: usize, effects: &[f64]) -> f64 {
        self.columns.iter().zip(effects).map(|(column, effect)| column[observation] * effect).sum()
    }

    /// The observations in each period.
    fn counts(&self, range: Range<usize>) -> Vec<f64> {
        let mut counts = vec![0.0; self.period_count];
        for period in self.periods.iter().flat_map(|periods| &periods[range.clone()]) {
            counts[*period as usize] += 1.0;
        }
        counts
    }
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}
