//! Series whose price and controls have one effect each.
//!
//! It must not know how the effects of periods are found. Invariant: what follows from other columns has no effect of its own.

use std::collections::BTreeMap;
use std::ops::Range;

use super::periods::Shared;
use super::{Data, Estimate, Slope, Unknown, dot};
use crate::price::linear::{Cholesky, Symmetric};

/// Clusters of a group, at least, where there are as many observations.
const CLUSTERS: usize = 10;
/// Observations beyond parameters, at least.
const LEAST_DEGREES: f64 = 3.0;
/// Part of the variation of a price that periods may leave, at least.
const LEAST_LEFT: f64 = 1e-6;
/// Logarithms of prices that differ less are the same.
const SAME_PRICE: f64 = 1e-9;

/// Series whose price and controls have one effect each.
pub(super) struct Group {
    series: Vec<usize>,
    /// Products of its columns with each other.
    squares: Symmetric,
    pub(super) solver: Cholesky,
    /// And with the quantity, `[column]`.
    pub(super) with_quantity: Vec<f64>,
}

impl Group {
    pub(super) fn new(data: &Data<'_>, series: Vec<usize>) -> Self {
        let mut squares = Symmetric::zeros(data.columns.len());
        let mut with_quantity = vec![0.0; data.columns.len()];
        let mut row = vec![0.0; data.columns.len()];
        for observation in series.iter().flat_map(|series| data.panel.series[*series].clone()) {
            row.iter_mut().zip(&data.columns).for_each(|(value, column)| *value = column[observation]);
            squares.add_square(&row, 1.0);
            for (sum, value) in with_quantity.iter_mut().zip(&row) {
                *sum += value * data.quantity[observation];
            }
        }
        let solver = Cholesky::of(&squares, 0.0);
        Self { series, squares, solver, with_quantity }
    }

    fn ranges<'a>(&'a self, data: &'a Data<'_>) -> impl Iterator<Item = Range<usize>> + 'a {
        self.series.iter().map(|series| data.panel.series[*series].clone()).filter(|range| !range.is_empty())
    }

    fn observations(&self, data: &Data<'_>) -> usize {
        self.ranges(data).map(|range| range.len()).sum()
    }

    /// Sums of each column over the observations of each period, `[column][period]`.
    pub(super) fn with_periods(&self, data: &Data<'_>) -> Vec<Vec<f64>> {
        let mut sums = vec![vec![0.0; data.period_count]; data.columns.len()];
        let Some(periods) = &data.periods else { return sums };
        for (sums, column) in sums.iter_mut().zip(&data.columns) {
            for observation in self.ranges(data).flatten() {
                sums[periods[observation] as usize] += column[observation];
            }
        }
        sums
    }

    /// Runs of observations that may depend on each other.
    fn clusters(&self, data: &Data<'_>) -> Vec<Range<usize>> {
        let runs = CLUSTERS.div_ceil(self.ranges(data).count().max(1));
        let cut = |range: Range<usize>| {
            let (start, length, runs) = (range.start, range.len(), runs.min(range.len()).max(1));
            (0..runs).map(move |run| start + run * length / runs..start + (run + 1) * length / runs)
        };
        self.ranges(data).flat_map(cut).collect()
    }

    /// The effects of its columns, given those of the periods.
    pub(super) fn effects(&self, data: &Data<'_>, periods: &[f64]) -> Vec<f64> {
        if periods.is_empty() {
            return self.solver.solve(&self.with_quantity);
        }
        let taken = self.with_periods(data);
        let rest = self.with_quantity.iter().zip(&taken);
        let rest: Vec<f64> = rest.map(|(sum, taken)| sum - dot(taken, periods)).collect();
        self.solver.solve(&rest)
    }

    /// What is left of the quantity, `[observation]`, in the order of [`Self::ranges`].
    fn residuals(&self, data: &Data<'_>, effects: &[f64], of_periods: &[f64]) -> BTreeMap<usize, Vec<f64>> {
        let residual = |range: Range<usize>| {
            let of = |observation: usize| match &data.periods {
                Some(periods) => of_periods[periods[observation] as usize],
                None => 0.0,
            };
            let mean = range.clone().map(of).sum::<f64>() / range.len() as f64;
            let rest = |at: usize| data.quantity[at] - data.fitted(at, effects) - (of(at) - mean);
            (range.start, range.map(rest).collect())
        };
        self.ranges(data).map(residual).collect()
    }

    /// Products of columns and residuals of each cluster, `[cluster][column]`, and its residuals.
    pub(super) fn cluster_scores(
        &self,
        data: &Data<'_>,
        effects: &[f64],
        of_periods: &[f64],
    ) -> Vec<ClusterScore> {
        let residuals = self.residuals(data, effects, of_periods);
        let score = |cluster: Range<usize>| {
            let (start, own) = residuals.range(..=cluster.start).next_back()?;
            let own = own.get(cluster.start - start..cluster.end - start)?.to_vec();
            let column = |column: &Vec<f64>| dot(&column[cluster.clone()], &own);
            let columns = data.columns.iter().map(column).collect();
            Some(ClusterScore { range: cluster, columns, residuals: own })
        };
        self.clusters(data).into_iter().filter_map(score).collect()
    }

    pub(super) fn slope(&self, data: &Data<'_>, of_periods: &[f64], shared: Option<Shared<'_>>) -> Slope {
        let price = data.price();
        let effects = self.effects(data, of_periods);
        let observations = self.observations(data);
        let square = self.squares.at(price, price);
        let left = self.solver.left[price];
        let spread = (square / (observations as f64 - self.ranges(data).count() as f64).max(1.0)).sqrt();
        let mut prices: Vec<f64> =
            self.ranges(data).flat_map(|range| data.panel.price[range].to_vec()).collect();
        prices.sort_by(f64::total_cmp);
        prices.dedup_by(|one, other| (*one - *other).abs() < SAME_PRICE);
        let varies = spread > SAME_PRICE;
        let estimate = match (varies, left > 0.0) {
            (false, _) => Err(Unknown::ConstantPrice),
            (true, false) => Err(Unknown::Controls),
            (true, true) => self.estimate(data, &effects, of_periods, shared),
        };
        Slope {
            estimate,
            observations,
            empty: self.series.iter().map(|series| data.panel.empty[*series]).sum(),
            prices: prices.len(),
            spread,
            by_controls: if varies { (1.0 - left).clamp(0.0, 1.0) } else { 0.0 },
            controls: effects[..price].to_vec(),
        }
    }

    fn estimate(
        &self,
        data: &Data<'_>,
        effects: &[f64],
        of_periods: &[f64],
        shared: Option<Shared<'_>>,
    ) -> Result<Estimate, Unknown> {
        let price = data.price();
        let (variance, clusters) = match shared {
            None => {
                let scores = self.cluster_scores(data, effects, of_periods);
                let square = |score: &ClusterScore| self.solver.solve(&score.columns)[price].powi(2);
                (scores.iter().map(square).sum::<f64>(), scores.len())
            }
            Some(Shared { periods, scores, products }) => {
                let through = periods.solver.solve(&scores.price);
                let own = self.solver.solve(&unit(price, data.columns.len()))[price];
                if own < LEAST_LEFT * (own + dot(&scores.price, &through)) {
                    return Err(Unknown::Periods);
                }
                let variance = scores.square - 2.0 * dot(&through, &scores.cross) + products.form(&through);
                (variance.max(0.0), scores.clusters)
            }
        };
        let observations = self.observations(data) as f64;
        // Those of the periods are shared with all other groups.
        let of_periods = data.period_count.saturating_sub(1) as f64 * observations / data.panel.len() as f64;
        let of_columns = self.solver.left.iter().filter(|left| **left > 0.0).count();
        let degrees = observations - (self.ranges(data).count() + of_columns) as f64 - of_periods;
        if degrees < LEAST_DEGREES || clusters < 2 {
            return Err(Unknown::Few);
        }
        let (count, clusters_less) = (clusters as f64, clusters as f64 - 1.0);
        let correction = count / clusters_less * (observations - 1.0) / degrees;
        Ok(Estimate { value: effects[price], std_error: (variance * correction).sqrt(), clusters })
    }
}

/// What a cluster says against the slopes.
pub(super) struct ClusterScore {
    range: Range<usize>,
    pub(super) columns: Vec<f64>,
    residuals: Vec<f64>,
}

impl ClusterScore {
    /// What it says against the effects of periods once columns are eliminated, `[period]`.
    pub(super) fn against_periods(&self, data: &Data<'_>, parts: &[Vec<f64>]) -> Vec<f64> {
        let mut found: Vec<f64> = parts.iter().map(|part| -dot(part, &self.columns)).collect();
        let Some(periods) = &data.periods else { return found };
        for (period, residual) in periods[self.range.clone()].iter().zip(&self.residuals) {
            found[*period as usize] += residual;
        }
        let sum: f64 = self.residuals.iter().sum();
        let place = data.panel.series.partition_point(|range| range.end <= self.range.start);
        let series = data.panel.series.get(place);
        if let Some(series) = series.filter(|series| series.len() > self.range.len()) {
            let mean = sum / series.len() as f64;
            let counts = data.counts(series.clone());
            found.iter_mut().zip(counts).for_each(|(one, count)| *one -= count * mean);
        }
        found
    }
}

fn unit(place: usize, size: usize) -> Vec<f64> {
    (0..size).map(|at| if at == place { 1.0 } else { 0.0 }).collect()
}
