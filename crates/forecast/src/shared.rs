//! A model of all series beside the method of each: where it forecasts better, and by how much it counts.
//!
//! What one series tells of that is little, so it counts together with what series like it tell, and those with all (shrinkage). It must not
//! know how such a model works. Invariant: a series counts the model in only if the past speaks for it.

use std::collections::BTreeMap;

use crate::accuracy::Scale;
use crate::backtest::{Errors, root_mean_square};
use crate::parallel::map;
use crate::selection::Selection;
use crate::series::Series;

/// Parts of a forecast that come from the model, of which one is chosen: none, half, all of it.
const WEIGHTS: [f64; 3] = [0.0, 0.5, 1.0];
/// Most origins of a series from which the model forecasts the past.
const MOST_ORIGINS: usize = 12;
/// As how many origins the series of a group count where a single series is chosen for.
const PRIOR_ORIGINS: f64 = 24.0;
/// As how many series all series count where a group is chosen for.
const PRIOR_SERIES: f64 = 30.0;
/// By which part errors have to become smaller.
const MARGIN: f64 = 0.01;

/// A model of all series.
pub trait Shared: Sync {
    /// The first period that it has not learned from.
    fn end(&self) -> i64;

    /// What it says of the values of a series after each of these numbers of known ones (ascending), `[origin][step]`. It reads no value
    /// from there on.
    fn forecasts(&self, series: &Series, origins: &[usize], horizon: usize) -> Vec<Vec<f64>>;
}

/// A model that is tried beside the methods of series.
#[derive(Clone, Copy)]
pub struct Beside<'a> {
    /// It ends some periods before the series do.
    pub model: &'a dyn Shared,
    /// Whether it alone shall forecast.
    pub forced: bool,
}

/// What a model of all series says from the end of a series; nothing if it has learned from later periods.
pub(crate) fn ahead(model: &dyn Shared, series: &Series, horizon: usize) -> Vec<f64> {
    let known = series.values.len();
    if period(series, known) < model.end() {
        return Vec::new();
    }
    model.forecasts(series, &[known], horizon).pop().unwrap_or_default()
}

/// How much the model counts in each series, from 0 to 1, and the errors of both together at each part of it but none.
pub(crate) fn blend(
    series: &[Series],
    selections: &[Selection],
    beside: Beside<'_>,
    season: usize,
    (horizon, threads): (usize, usize),
) -> Vec<(f64, [Errors; 2])> {
    let pairs: Vec<(&Series, &Selection)> = series.iter().zip(selections).collect();
    let tried = map(&pairs, threads, |(series, selection)| {
        Tried::new(series, selection, beside.model, season, horizon)
    });
    let groups = groups(&tried);
    let choose = |tried: Tried| {
        let weight = if beside.forced { 1.0 } else { tried.choose(&groups) };
        // Those of all series, whichever part is chosen: chosen ones alone look smaller than those to come.
        (weight, [WEIGHTS[1], WEIGHTS[2]].map(|weight| tried.errors(weight)))
    };
    tried.into_iter().map(choose).collect()
}

/// Errors of a method and of the model in one series.
struct Tried {
    group: u8,
    own: Errors,
    shared: Errors,
    /// Root mean squared scaled errors, `[weight]`; none where nothing can be compared.
    scaled: Option<[f64; 3]>,
}

impl Tried {
    fn new(
        series: &Series,
        selection: &Selection,
        model: &dyn Shared,
        season: usize,
        horizon: usize,
    ) -> Self {
        let count = series.values.len();
        let first = count - selection.errors.len().min(count);
        let known: Vec<usize> = (first..count).filter(|at| period(series, *at) >= model.end()).collect();
        let stride = known.len().div_ceil(MOST_ORIGINS).max(1);
        let origins: Vec<usize> = known.into_iter().step_by(stride).collect();
        let forecasts =
            if origins.is_empty() { Vec::new() } else { model.forecasts(series, &origins, horizon) };
        let (mut own, mut shared) = (Errors::new(), Errors::new());
        for (origin, forecasts) in origins.iter().zip(&forecasts) {
            let Some(of_own) = selection.errors.get(origin - first) else { continue };
            let actual = series.values.get(*origin..).unwrap_or_default();
            let error = |(own, (value, forecast)): (&Option<f64>, (&f64, &f64))| {
                own.map(|_| value - selection.fitted.clamp(*forecast))
            };
            shared.push(of_own.iter().zip(actual.iter().zip(forecasts)).map(error).collect());
            own.push(of_own.clone());
        }
        let scale = Scale::of(&series.values, season).or_else(|| Scale::of(&series.values, 1));
        let mut tried = Self { group: selection.fitted.group, own, shared, scaled: None };
        let scaled = |weight: f64| {
            Some(root_mean_square(&tried.errors(weight))? / scale?.squared.sqrt())
                .filter(|one| one.is_finite())
        };
        let scaled: Vec<f64> = WEIGHTS.into_iter().filter_map(scaled).collect();
        tried.scaled = scaled.try_into().ok();
        tried
    }

    /// Of both together.
    fn errors(&self, weight: f64) -> Errors {
        let both = |(own, shared): (&Vec<Option<f64>>, &Vec<Option<f64>>)| {
            let pairs = own.iter().zip(shared);
            pairs.map(|(own, shared)| Some((1.0 - weight) * (*own)? + weight * (*shared)?)).collect()
        };
        self.own.iter().zip(&self.shared).map(both).collect()
    }

    /// The weight of the least errors, as this series and its group have them.
    #[allow(clippy::cast_precision_loss)]
    fn choose(&self, groups: &BTreeMap<u8, [f64; 3]>) -> f64 {
        let Some(of_group) = groups.get(&self.group) else { return 0.0 };
        let count = self.own.len() as f64;
        let expected = |place: usize| {
            let own = match self.scaled {
                Some(scaled) if scaled[0] > 0.0 => scaled[place] / scaled[0],
                _ => return of_group[place],
            };
            (count * own + PRIOR_ORIGINS * of_group[place]) / (count + PRIOR_ORIGINS)
        };
        let mut best = (0.0, 1.0 - MARGIN);
        for (place, weight) in WEIGHTS.into_iter().enumerate().skip(1) {
            let expected = expected(place);
            if expected < best.1 {
                best = (weight, expected);
            }
        }
        best.0
    }
}

/// By which factor each weight changes the errors of each group of series.
fn groups(tried: &[Tried]) -> BTreeMap<u8, [f64; 3]> {
    let mut sums: BTreeMap<u8, ([f64; 3], f64)> = BTreeMap::new();
    let mut all = ([0.0; 3], 0.0);
    for one in tried {
        let Some(scaled) = one.scaled else {
            sums.entry(one.group).or_default();
            continue;
        };
        for (sums, count) in [sums.entry(one.group).or_default(), &mut all] {
            sums.iter_mut().zip(scaled).for_each(|(sum, scaled)| *sum += scaled);
            *count += 1.0;
        }
    }
    let ratio = |sums: &[f64; 3]| sums.map(|sum| if sums[0] > 0.0 { sum / sums[0] } else { 1.0 });
    let of_all = ratio(&all.0);
    let of_group = |(group, (sums, count)): (u8, ([f64; 3], f64))| {
        let own = ratio(&sums);
        let mut both = of_all;
        both.iter_mut().zip(own).for_each(|(all, own)| {
            *all = (count * own + PRIOR_SERIES * *all) / (count + PRIOR_SERIES);
        });
        (group, both)
    };
    sums.into_iter().map(of_group).collect()
}

/// The number of the period of a place in a series.
fn period(series: &Series, place: usize) -> i64 {
    series.first.saturating_add(i64::try_from(place).unwrap_or(i64::MAX))
}
