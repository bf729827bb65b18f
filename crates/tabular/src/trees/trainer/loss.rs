//! What is minimised: the log loss of classes and stars, or the squared error of numbers, with its derivatives.
//!
//! It must not know trees. Invariant: derivatives are multiples of a power of two so large that sums of a billion of them in double
//! precision are exact: in whatever order, and by however many threads a library adds them up, it comes to the same bits.

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_training::Targets;
use ecommerce_ml_training::class_weights::ClassWeights;

use crate::call::by_stars;
use crate::columns::refused;

/// Bits of a number in single precision.
const BITS: i32 = 23;

/// What each row should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    kind: Kind,
    /// How much each row counts.
    weights: Vec<f32>,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// Standardised numbers, with their mean and deviation.
    Numbers { of: Vec<f32>, mean: f64, deviation: f64 },
    /// How much of each row is of the second of two classes.
    Two { of: Vec<f32> },
    /// A class of each row, and how much of it is of the next one.
    Many { classes: usize, of: Vec<(u32, f32)> },
}

impl Wanted {
    /// What the labels of all rows ask; `learned` are those to learn from.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for weights of labels that there aren't, or if no row counts.
    pub(super) fn new(
        targets: &Targets,
        learned: &[usize],
        rows: usize,
        weights: &ClassWeights,
    ) -> Result<Self, EngineError> {
        let labels = targets.labels();
        if let Targets::Numbers(numbers) = targets {
            let (mean, deviation) = targets.scale(learned);
            let of = numbers.iter().map(|number| ((number - mean) / deviation) as f32).collect();
            let kind = Kind::Numbers { of, mean, deviation };
            return Ok(Self { kind, weights: vec![1.0; rows] });
        }
        let counts = targets.counts(learned.iter().copied());
        let of_class = by_stars(weights, targets).resolve(&labels, &counts)?;
        let of_class = of_class.unwrap_or_else(|| vec![1.0; labels.len()]);
        let share = |row: usize| match targets {
            Targets::Stars(stars) => {
                let stars = stars[row].middle();
                let lower = stars.floor().clamp(1.0, 5.0);
                (lower as u32 - 1, (stars - lower) as f32)
            }
            _ => (targets.class(row), 0.0),
        };
        let of: Vec<(u32, f32)> = (0..rows).map(share).collect();
        let weight = |&(class, next): &(u32, f32)| {
            let of = |class: usize| of_class.get(class).copied().unwrap_or(0.0);
            (1.0 - next) * of(class as usize) + next * of(class as usize + 1)
        };
        let weights: Vec<f32> = of.iter().map(weight).collect();
        if learned.iter().all(|&row| weights[row] == 0.0) {
            return Err(refused(
                "training option \"class_weights\" gives every row to learn from the weight 0",
            ));
        }
        let kind = if labels.len() == 2 {
            Kind::Two { of: of.into_iter().map(|(class, _)| class as f32).collect() }
        } else {
            Kind::Many { classes: labels.len(), of }
        };
        Ok(Self { kind, weights })
    }

    /// How many sums of trees a row has.
    pub(super) fn sums(&self) -> usize {
        match &self.kind {
            Kind::Many { classes, .. } => *classes,
            _ => 1,
        }
    }

    /// Whether it is numbers.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Numbers { .. })
    }

    /// Mean and deviation that numbers were standardised by; 0 and 1 of classes.
    pub(super) fn scale(&self) -> (f64, f64) {
        match self.kind {
            Kind::Numbers { mean, deviation, .. } => (mean, deviation),
            _ => (0.0, 1.0),
        }
    }

    /// The sum of the weights of rows.
    pub(super) fn weight(&self, rows: &[usize]) -> f64 {
        rows.iter().map(|&row| f64::from(self.weights[row])).sum()
    }

    /// The sum that is best if it is the same for all of these rows: of two classes the logarithm of the odds, else 0.
    pub(super) fn base(&self, rows: &[usize]) -> f64 {
        let Kind::Two { of } = &self.kind else { return 0.0 };
        let second: f64 = rows.iter().map(|&row| f64::from(of[row] * self.weights[row])).sum();
        let share = (second / self.weight(rows).max(f64::MIN_POSITIVE)).clamp(1e-6, 1.0 - 1e-6);
        (share / (1.0 - share)).ln()
    }

    /// What columns of many kinds are encoded by: numbers of each row, `[rows, means]`, with what each is.
    pub(super) fn means(&self, labels: &[String], targets: &Targets) -> (Vec<String>, Vec<f32>) {
        match (&self.kind, targets) {
            (_, Targets::Stars(stars)) => {
                (vec!["stars".to_owned()], stars.iter().map(|one| one.middle() as f32).collect())
            }
            (Kind::Numbers { of, .. }, _) => (vec![String::new()], of.clone()),
            (Kind::Two { of }, _) => (labels.get(1).cloned().into_iter().collect(), of.clone()),
            (Kind::Many { classes, of }, _) => {
                let most = (*classes).min(MOST_MEANS);
                let is = |class: u32, mean: usize| if class as usize == mean { 1.0 } else { 0.0 };
                let row = |&(class, _): &(u32, f32)| (0..most).map(move |mean| is(class, mean));
                (labels.iter().take(most).cloned().collect(), of.iter().flat_map(row).collect())
            }
        }
    }

    /// Writes the derivatives of the loss of rows by their sums, `[rows, sums]`.
    pub(super) fn derivatives(
        &self,
        rows: &[usize],
        margins: &[f32],
        (first, second): (&mut Vec<f32>, &mut Vec<f32>),
    ) {
        first.clear();
        second.clear();
        let sums = self.sums();
        for (&row, margins) in rows.iter().zip(margins.chunks_exact(sums)) {
            let weight = self.weights[row];
            match &self.kind {
                Kind::Numbers { of, .. } => {
                    first.push(weight * (margins[0] - of[row]));
                    second.push(weight);
                }
                Kind::Two { of } => {
                    let probability = 1.0 / (1.0 + (-margins[0]).exp());
                    first.push(weight * (probability - of[row]));
                    second.push(weight * probability * (1.0 - probability));
                }
                Kind::Many { of, .. } => {
                    let (class, next) = of[row];
                    let most = margins.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    let total: f32 = margins.iter().map(|margin| (margin - most).exp()).sum();
                    for (number, margin) in margins.iter().enumerate() {
                        let probability = (margin - most).exp() / total;
                        let actual = part_of(class, next, number);
                        first.push(weight * (probability - actual));
                        // An upper bound of the curvature of a softmax, as XGBoost has it.
                        second.push(weight * 2.0 * probability * (1.0 - probability));
                    }
                }
            }
        }
        round(first, 0.0);
        round(second, 1.0);
    }

    /// The sum of the weighted losses of rows.
    pub(super) fn loss(&self, rows: &[usize], margins: &[f32]) -> f64 {
        let sums = self.sums();
        let of_row = |(&row, margins): (&usize, &[f32])| {
            let margin = |number: usize| f64::from(margins[number]);
            let loss = match &self.kind {
                Kind::Numbers { of, .. } => 0.5 * (margin(0) - f64::from(of[row])).powi(2),
                Kind::Two { of } => {
                    let signed = if of[row] > 0.5 { -margin(0) } else { margin(0) };
                    signed.max(0.0) + (-signed.abs()).exp().ln_1p()
                }
                Kind::Many { classes, of } => {
                    let (class, next) = of[row];
                    let most = margins.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    let total: f64 = margins.iter().map(|one| f64::from(one - most).exp()).sum();
                    let actual: f64 =
                        (0..*classes).map(|at| f64::from(part_of(class, next, at)) * margin(at)).sum();
                    total.ln() + f64::from(most) - actual
                }
            };
            f64::from(self.weights[row]) * loss
        };
        rows.iter().zip(margins.chunks_exact(sums)).map(of_row).sum()
    }

    /// How far off sums of rows are, in the unit of the labels; none of classes.
    pub(super) fn residuals(&self, rows: &[usize], margins: &[f32]) -> Vec<f64> {
        let Kind::Numbers { of, deviation, .. } = &self.kind else { return Vec::new() };
        let residual = |(&row, margin): (&usize, &f32)| f64::from(of[row] - margin).abs() * deviation;
        rows.iter().zip(margins).map(residual).collect()
    }

    /// Of two classes: whether a row is of the second, and how much it counts.
    pub(super) fn binary(&self, row: usize) -> Option<(bool, f64)> {
        let Kind::Two { of } = &self.kind else { return None };
        Some((of[row] > 0.5, f64::from(self.weights[row])))
    }
}

/// Most classes that columns of many kinds have a mean of.
const MOST_MEANS: usize = 10;

fn part_of(class: u32, next: f32, number: usize) -> f32 {
    let class = class as usize;
    if number == class {
        1.0 - next
    } else if number == class + 1 {
        next
    } else {
        0.0
    }
}

/// Rounds numbers to multiples of a power of two by which the largest has as many bits as single precision; to `least` multiples
/// where that would be none.
fn round(numbers: &mut [f32], least: f32) {
    let largest = numbers.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
    if largest == 0.0 || !largest.is_finite() {
        numbers.iter_mut().for_each(|number| *number = number.max(least * f32::MIN_POSITIVE));
        return;
    }
    let exponent = largest.log2().ceil() as i32 - BITS;
    let (unit, inverse) = (2.0_f64.powi(exponent), 2.0_f64.powi(-exponent));
    for number in numbers {
        let rounded = (f64::from(*number) * inverse).round().max(if least > 0.0 { 1.0 } else { f64::MIN });
        *number = (rounded * unit) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_have_exact_sums() {
        let mut numbers: Vec<f32> = (1..5000_u32).map(|at| (at as f32 * 0.37).sin() / at as f32).collect();
        let before = numbers.clone();
        round(&mut numbers, 0.0);
        let forward: f64 = numbers.iter().map(|one| f64::from(*one)).sum();
        let backward: f64 = numbers.iter().rev().map(|one| f64::from(*one)).sum();
        assert_eq!(forward.to_bits(), backward.to_bits());
        assert!(numbers.iter().zip(before).all(|(one, other)| (one - other).abs() < 1e-7));
        let mut tiny = vec![1.0, 1e-30];
        round(&mut tiny, 1.0);
        assert!(tiny[1] > 0.0 && tiny[1] < 1e-6);
    }

    #[test]
    fn derivatives_are_those_of_the_loss() {
        let of = |kind| Wanted { kind, weights: vec![1.0, 2.0, 0.5] };
        let rows = [0, 1, 2];
        let cases = [
            of(Kind::Numbers { of: vec![0.5, -1.0, 2.0], mean: 0.0, deviation: 1.0 }),
            of(Kind::Two { of: vec![0.0, 1.0, 1.0] }),
            of(Kind::Many { classes: 3, of: vec![(0, 0.0), (1, 0.25), (2, 0.0)] }),
        ];
        for wanted in cases {
            let sums = wanted.sums();
            let margins: Vec<f32> = (0..3 * sums).map(|at| (at as f32 * 1.3).sin()).collect();
            let (mut first, mut second) = (Vec::new(), Vec::new());
            wanted.derivatives(&rows, &margins, (&mut first, &mut second));
            for at in 0..margins.len() {
                let moved = |by: f32| {
                    let mut margins = margins.clone();
                    margins[at] += by;
                    wanted.loss(&rows, &margins)
                };
                let slope = (moved(0.01) - moved(-0.01)) / 0.02;
                assert!(
                    (slope - f64::from(first[at])).abs() < 1e-4,
                    "{wanted:?} {at}: {slope} {}",
                    first[at]
                );
                assert!(second[at] > 0.0);
            }
        }
    }
}
