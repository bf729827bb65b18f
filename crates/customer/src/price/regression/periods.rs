//! Effects of periods, which all groups share.
//!
//! It must not know what groups are of. Invariant: equations have a solution even if the data don't tell one, and then it makes no difference.

use super::Data;
use super::group::Group;
use crate::price::linear::{Cholesky, Symmetric};

/// Part by which equations of periods are raised, so that those have a solution that don't tell one.
const RIDGE: f64 = 1e-10;
/// What a slope of one group owes to the others.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) periods: &'a Periods,
    pub(super) scores: &'a Scores,
    /// Products of what all clusters say against the effects of periods, `[period, period]`.
    pub(super) products: &'a Symmetric,
}

/// The effects of the periods.
pub(super) struct Periods {
    pub(super) solver: Cholesky,
    pub(super) effects: Vec<f64>,
}

impl Periods {
    pub(super) fn solve(data: &Data<'_>, groups: &[Group]) -> Self {
        let mut matrix = Symmetric::zeros(data.period_count);
        let mut right = vec![0.0; data.period_count];
        for range in data.panel.series.iter().filter(|range| !range.is_empty()) {
            let counts = data.counts(range.clone());
            matrix.add_square(&counts, -1.0 / range.len() as f64);
            counts.iter().enumerate().for_each(|(period, count)| matrix.add(period, period, *count));
        }
        for (observation, period) in data.periods.iter().flatten().enumerate() {
            right[*period as usize] += data.quantity[observation];
        }
        for group in groups {
            let sums = group.with_periods(data);
            let of_quantity = group.solver.solve(&group.with_quantity);
            for (sums, effect) in sums.iter().zip(&of_quantity) {
                right.iter_mut().zip(sums).for_each(|(right, sum)| *right -= sum * effect);
            }
            take_out(&mut matrix, &group.solver, &sums);
        }
        let solver = Cholesky::of(&matrix, RIDGE);
        let effects = solver.solve(&right);
        Self { solver, effects }
    }
}

/// Takes C' A^-1 C out of a matrix, where C is `[column][period]`.
fn take_out(matrix: &mut Symmetric, solver: &Cholesky, sums: &[Vec<f64>]) {
    for row in solver.whitened(sums) {
        matrix.add_square(&row, -1.0);
    }
}

/// What a group's clusters say against its slope, beside what they say against the effects of periods.
pub(super) struct Scores {
    /// How the price of the group goes with the periods, `[period]`: A^-1 C of the price.
    pub(super) price: Vec<f64>,
    /// The sum of squares of the own part.
    pub(super) square: f64,
    /// And of its product with that of the periods, `[period]`.
    pub(super) cross: Vec<f64>,
    pub(super) clusters: usize,
}

impl Scores {
    /// Adds the products of what is said against the periods to `products`.
    pub(super) fn new(data: &Data<'_>, group: &Group, solved: &Periods, products: &mut Symmetric) -> Self {
        let sums = group.with_periods(data);
        let size = data.columns.len();
        let by_period = |period: usize| {
            let right: Vec<f64> = sums.iter().map(|sums| sums[period]).collect();
            group.solver.solve(&right)
        };
        // `[period][column]`: A^-1 C.
        let parts: Vec<Vec<f64>> = (0..data.period_count).map(by_period).collect();
        let effects = group.effects(data, &solved.effects);
        let mut found = Self {
            price: parts.iter().map(|part| part[size - 1]).collect(),
            square: 0.0,
            cross: vec![0.0; data.period_count],
            clusters: 0,
        };
        for score in group.cluster_scores(data, &effects, &solved.effects) {
            let own = group.solver.solve(&score.columns)[size - 1];
            let against = score.against_periods(data, &parts);
            products.add_square(&against, 1.0);
            found.square += own * own;
            found.cross.iter_mut().zip(&against).for_each(|(sum, one)| *sum += own * one);
            found.clusters += 1;
        }
        found
    }
}
