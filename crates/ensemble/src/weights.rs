//! Weights of members: those with which the ensemble fits rows best that the members have not learned from.
//!
//! Of classes the log loss is minimised, of numbers half the squared error in units of their variance, both with half the sum of squared
//! weights added once to the sum over all rows, as scikit-learn's `C = 1` has it, and no weight below 0: by Newton's method, each
//! of whose quadratic problems is solved by coordinate descent. A weight of numbers counts there in units of what the member says and
//! of the labels: stars may be weighted with what a star is worth. It must not know how members answer.
//! Invariant: rows in the same order give the same weights, bit by bit.

use ecommerce_ml_training::Targets;

use crate::model::{Ensemble, Head, Weighted, softmax};
use crate::says::Says;

/// Steps of Newton's method at most; a handful is enough.
const STEPS: usize = 100;

/// Rounds of coordinate descent in a step.
const SWEEPS: usize = 200;

/// A change of weights below which the work is done.
const TOLERANCE: f64 = 1e-10;

/// Least part of the decrease that the slope promises.
const DECREASE: f64 = 1e-4;

/// Halvings of a step.
const HALVINGS: u32 = 40;

/// Rows of each class that are there beside those that are counted, so that none is impossible.
const PRIOR: f64 = 0.5;

/// Rows to learn weights from: what each member says of all rows, and which of them are learned from.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// One for each member.
    pub says: &'a [Says],
    /// What they should have said.
    pub targets: &'a Targets,
    /// Places of rows.
    pub learned: &'a [usize],
}

/// The ensemble that fits rows best.
pub fn fit(head: Head, names: Vec<String>, rows: Rows<'_>) -> Ensemble {
    let base = base(&head, rows);
    let usual = |says: &Says| says.usual(&head, rows.learned.iter().copied()).unwrap_or_else(|| base.clone());
    let usuals: Vec<Vec<f64>> = rows.says.iter().map(usual).collect();
    let rows_learned = rows.learned.iter().copied();
    let spread = |says: &Says| if head == Head::Number { says.spread(rows_learned.clone()) } else { 1.0 };
    let spreads: Vec<f64> = rows.says.iter().map(spread).collect();
    let problem = Problem::new(&head, &base, &usuals, &spreads, rows);
    let weights = problem.minimum();
    let members = names.into_iter().zip(usuals).zip(weights).zip(spreads);
    let weighted = |(((name, usual), weight), spread)| Weighted { name, weight, usual, spread };
    let members = members.map(weighted).collect();
    Ensemble { head, base, members, residuals: Vec::new() }
}

/// The mean loss of an ensemble on rows: log loss, or half the squared error in units of their variance.
pub fn loss(ensemble: &Ensemble, rows: Rows<'_>) -> f64 {
    let weights: Vec<f64> = ensemble.members.iter().map(|member| member.weight).collect();
    let usual: Vec<Vec<f64>> = ensemble.members.iter().map(|member| member.usual.clone()).collect();
    let spreads: Vec<f64> = ensemble.members.iter().map(|member| member.spread).collect();
    Problem::new(&ensemble.head, &ensemble.base, &usual, &spreads, rows).at(&weights).value
}

/// What is known without members: logarithms of the shares of classes, or the mean.
fn base(head: &Head, rows: Rows<'_>) -> Vec<f64> {
    if *head == Head::Number {
        return vec![rows.targets.scale(rows.learned).0];
    }
    let mut counts = vec![PRIOR; head.outputs()];
    for &row in rows.learned {
        for Share { class, part } in shares(rows.targets, row) {
            if let Some(count) = counts.get_mut(class) {
                *count += part;
            }
        }
    }
    let total: f64 = counts.iter().sum();
    counts.into_iter().map(|count| (count / total).ln()).collect()
}

/// A part of a row that is of a class.
struct Share {
    class: usize,
    part: f64,
}

/// The classes of a row: stars between two are shared out between them, so that the expected stars are their own.
fn shares(targets: &Targets, row: usize) -> impl Iterator<Item = Share> {
    let (class, upper) = match targets {
        Targets::Stars(stars) => {
            let stars = stars.get(row).map_or(1.0, |stars| stars.middle());
            let lower = stars.floor().clamp(1.0, 5.0);
            (lower as usize - 1, stars - lower)
        }
        _ => (targets.class(row) as usize, 0.0),
    };
    let of = [Share { class, part: 1.0 - upper }, Share { class: class + 1, part: upper }];
    of.into_iter().filter(|share| share.part > 0.0)
}

/// What is to be minimised.
struct Problem<'a> {
    head: &'a Head,
    base: &'a [f64],
    usual: &'a [Vec<f64>],
    rows: Rows<'a>,
    /// Of numbers.
    deviation: f64,
    /// What the square of a weight costs, `[members]`.
    costs: Vec<f64>,
}

/// The value of what is minimised, its slopes and its curvature at some weights.
struct Point {
    value: f64,
    /// `[members]`
    slopes: Vec<f64>,
    /// `[members, members]`
    curvature: Vec<Vec<f64>>,
}

impl<'a> Problem<'a> {
    fn new(head: &'a Head, base: &'a [f64], usual: &'a [Vec<f64>], spreads: &[f64], rows: Rows<'a>) -> Self {
        let deviation = rows.targets.scale(rows.learned).1;
        let unit = if *head == Head::Number { deviation } else { 1.0 };
        // Of who always says the same, any weight does.
        let cost = |spread: &f64| (spread / unit).powi(2).max(f64::MIN_POSITIVE);
        Self { head, base, usual, rows, deviation, costs: spreads.iter().map(cost).collect() }
    }

    fn minimum(&self) -> Vec<f64> {
        let members = self.usual.len();
        let mut weights = vec![0.0; members];
        for _ in 0..STEPS {
            let here = self.at(&weights);
            let target = here.lowest_near(&weights);
            let change: Vec<f64> = target.iter().zip(&weights).map(|(to, from)| to - from).collect();
            let is_small = |(change, cost): (&f64, &f64)| change.abs() * cost.sqrt() < TOLERANCE;
            if change.iter().zip(&self.costs).all(is_small) {
                break;
            }
            let slope: f64 = change.iter().zip(&here.slopes).map(|(one, slope)| one * slope).sum();
            let along = |part: f64| -> Vec<f64> {
                weights.iter().zip(&change).map(|(from, one)| (from + part * one).max(0.0)).collect()
            };
            let parts = (0..HALVINGS).map(|halvings| 0.5_f64.powi(halvings as i32));
            let falls = |part: &f64| self.at(&along(*part)).value <= here.value + DECREASE * part * slope;
            // Where rounding hides any decrease, this is the minimum.
            let Some(part) = parts.into_iter().find(falls) else { break };
            weights = along(part);
        }
        weights
    }

    fn at(&self, weights: &[f64]) -> Point {
        let members = weights.len();
        let mut point =
            Point { value: 0.0, slopes: vec![0.0; members], curvature: vec![vec![0.0; members]; members] };
        let mut added = vec![vec![0.0; self.base.len()]; members];
        for &row in self.rows.learned {
            let mut sums = self.base.to_vec();
            for (member, (added, usual)) in added.iter_mut().zip(self.usual).enumerate() {
                let values = self.rows.says.get(member).and_then(|says| says.row(row));
                let weight = weights.get(member).copied().unwrap_or(0.0);
                for (place, (one, sum)) in added.iter_mut().zip(&mut sums).enumerate() {
                    *one = values.map_or(0.0, |values| values[place] - usual[place]);
                    *sum += weight * *one;
                }
            }
            match self.head {
                Head::Number => self.add_number(&mut point, row, &sums, &added),
                Head::Classes { .. } => self.add_classes(&mut point, row, &sums, &added),
            }
        }
        let rows = self.rows.learned.len().max(1) as f64;
        let scaled = |sum: f64| sum / rows;
        let penalty: f64 =
            weights.iter().zip(&self.costs).map(|(weight, cost)| 0.5 * cost * weight * weight).sum();
        point.value = scaled(point.value + penalty);
        for (member, (weight, cost)) in weights.iter().zip(&self.costs).enumerate() {
            point.slopes[member] = scaled(point.slopes[member] + cost * weight);
            point.curvature[member][member] += cost;
            point.curvature[member].iter_mut().for_each(|one| *one = scaled(*one));
        }
        point
    }

    fn add_number(&self, point: &mut Point, row: usize, sums: &[f64], added: &[Vec<f64>]) {
        let Targets::Numbers(numbers) = self.rows.targets else { return };
        let off = (sums[0] - numbers[row]) / self.deviation;
        point.value += 0.5 * off * off;
        for (member, one) in added.iter().enumerate() {
            let one = one[0] / self.deviation;
            point.slopes[member] += off * one;
            for (other, curvature) in added.iter().zip(&mut point.curvature[member]) {
                *curvature += one * other[0] / self.deviation;
            }
        }
    }

    fn add_classes(&self, point: &mut Point, row: usize, sums: &[f64], added: &[Vec<f64>]) {
        let probabilities = softmax(sums);
        let expected = |of: &[f64]| -> f64 {
            of.iter().zip(&probabilities).map(|(one, probability)| one * probability).sum()
        };
        let means: Vec<f64> = added.iter().map(|of| expected(of)).collect();
        for Share { class, part } in shares(self.rows.targets, row) {
            point.value -= part * probabilities[class].max(f64::MIN_POSITIVE).ln();
            for ((slope, of), mean) in point.slopes.iter_mut().zip(added).zip(&means) {
                *slope += part * (mean - of[class]);
            }
        }
        for ((of, mean), curvature) in added.iter().zip(&means).zip(&mut point.curvature) {
            for ((other, other_mean), curvature) in added.iter().zip(&means).zip(curvature) {
                let product: f64 =
                    of.iter().zip(other).zip(&probabilities).map(|((a, b), part)| a * b * part).sum();
                *curvature += product - mean * other_mean;
            }
        }
    }
}

impl Point {
    /// Where the quadratic function that has this slope and curvature here is lowest among weights that are not negative.
    fn lowest_near(&self, weights: &[f64]) -> Vec<f64> {
        let mut lowest = weights.to_vec();
        for _ in 0..SWEEPS {
            let mut largest = 0.0_f64;
            for member in 0..lowest.len() {
                let change = |(at, from): (&f64, &f64)| at - from;
                let changes = lowest.iter().zip(weights).map(change);
                let slope: f64 = self.slopes[member]
                    + self.curvature[member]
                        .iter()
                        .zip(changes)
                        .map(|(one, change)| one * change)
                        .sum::<f64>();
                let curvature = self.curvature[member][member].max(f64::MIN_POSITIVE);
                let new = (lowest[member] - slope / curvature).max(0.0);
                largest = largest.max((new - lowest[member]).abs() * curvature.sqrt());
                lowest[member] = new;
            }
            if largest < TOLERANCE {
                break;
            }
        }
        lowest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(rows: &[Option<Vec<f64>>], outputs: usize) -> Says {
        let mut says = Says::new(outputs);
        rows.iter().for_each(|row| says.push(row.as_deref()));
        says
    }

    #[test]
    fn numbers_are_put_together_by_least_squares() {
        // 0.7 of one, 0.2 of another, nothing of a third that says the contrary.
        let of = |row: usize, step: usize| ((row * step) % 11) as f64;
        let numbers: Vec<f64> = (0..200).map(|row| 3.0 + 0.7 * of(row, 3) + 0.2 * of(row, 7)).collect();
        let member = |number: &dyn Fn(usize) -> f64| {
            says(&(0..200).map(|row| Some(vec![number(row)])).collect::<Vec<_>>(), 1)
        };
        let all = [member(&|row| of(row, 3)), member(&|row| of(row, 7)), member(&|row| -numbers[row])];
        let targets = Targets::Numbers(numbers.clone());
        let learned: Vec<usize> = (0..200).collect();
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        let rows = Rows { says: &all, targets: &targets, learned: &learned };
        let found = fit(Head::Number, names, rows);
        let weights: Vec<f64> = found.members.iter().map(|member| member.weight).collect();
        // What squared weights cost is little beside 200 rows.
        assert!((weights[0] - 0.7).abs() < 0.01 && (weights[1] - 0.2).abs() < 0.01, "{weights:?}");
        assert!(weights[2] < 1e-12, "{weights:?}");
        let sums = found.sums(&all, 5).unwrap();
        assert!((sums[0] - numbers[5]).abs() < 0.1);
    }

    #[test]
    fn who_says_nothing_adds_nothing() {
        let numbers: Vec<f64> = (0..40).map(|row| row as f64).collect();
        let one = says(&(0..40).map(|row| (row % 2 == 0).then(|| vec![row as f64])).collect::<Vec<_>>(), 1);
        let targets = Targets::Numbers(numbers);
        let learned: Vec<usize> = (0..30).collect();
        let rows = Rows { says: std::slice::from_ref(&one), targets: &targets, learned: &learned };
        let found = fit(Head::Number, vec!["a".to_owned()], rows);
        assert!(found.sums(std::slice::from_ref(&one), 31).is_none());
        assert!(found.sums(std::slice::from_ref(&one), 32).is_some());
    }
}
