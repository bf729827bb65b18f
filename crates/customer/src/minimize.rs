//! The least value of a smooth function of a few variables: BFGS (Nocedal and Wright, "Numerical Optimization", 2006, chapter 6) with
//! a line search that backtracks.
//!
//! Invariant: what is called converged has a gradient of about 0.

/// Steps, at most.
const MAX_STEPS: usize = 500;
/// Longest step, in the logarithms that our parameters are.
const LONGEST: f64 = 2.0;

/// A function to minimize, with its gradient; NaN or infinite where it has no value.
pub trait Objective<const N: usize> {
    /// Value and gradient at a point.
    fn at(&self, point: &[f64; N]) -> (f64, [f64; N]);
}

/// Where a search ended.
#[derive(Debug, Clone, Copy)]
pub struct End<const N: usize> {
    /// The point.
    pub point: [f64; N],
    /// The value there.
    pub value: f64,
    /// Whether the gradient is less than the tolerance in each direction.
    pub converged: bool,
}

/// Goes down from a point until no component of the gradient is more than `tolerance`.
pub fn minimize<const N: usize>(objective: &impl Objective<N>, start: [f64; N], tolerance: f64) -> End<N> {
    let (mut point, (mut value, mut gradient)) = (start, objective.at(&start));
    let mut inverse = identity();
    for _ in 0..MAX_STEPS {
        if is_small(&gradient, tolerance) || !value.is_finite() {
            break;
        }
        let mut direction = times(&inverse, &gradient).map(|one| -one);
        if dot(&direction, &gradient) >= 0.0 {
            inverse = identity();
            direction = gradient.map(|one| -one);
        }
        let Some((next, (next_value, next_gradient))) =
            search(objective, (&point, value, &gradient), direction)
        else {
            // Along the gradient there is nothing lower either: as far as numbers can tell.
            if inverse == identity() {
                break;
            }
            inverse = identity();
            continue;
        };
        let step = zip(&next, &point, |one, other| one - other);
        let change = zip(&next_gradient, &gradient, |one, other| one - other);
        inverse = update(inverse, &step, &change);
        (point, value, gradient) = (next, next_value, next_gradient);
    }
    End { point, value, converged: value.is_finite() && is_small(&gradient, tolerance) }
}

type Found<const N: usize> = ([f64; N], (f64, [f64; N]));

/// A lower point in a direction (Armijo's condition).
fn search<const N: usize>(
    objective: &impl Objective<N>,
    (point, value, gradient): (&[f64; N], f64, &[f64; N]),
    direction: [f64; N],
) -> Option<Found<N>> {
    let slope = dot(&direction, gradient);
    let longest = direction.iter().fold(0.0_f64, |most, one| most.max(one.abs()));
    let mut length = (LONGEST / longest).min(1.0);
    for _ in 0..60 {
        let next = zip(point, &direction, |at, towards| at + length * towards);
        let found = objective.at(&next);
        // Near the end the gain is less than the sum's last digits.
        let rounding = 8.0 * f64::EPSILON * value.abs();
        if found.0 <= value + 1e-4 * length * slope + rounding && found.1.iter().all(|one| one.is_finite()) {
            return Some((next, found));
        }
        length *= 0.5;
    }
    None
}

/// The approximation of the inverse Hessian after a step.
fn update<const N: usize>(inverse: [[f64; N]; N], step: &[f64; N], change: &[f64; N]) -> [[f64; N]; N] {
    let curvature = dot(step, change);
    if curvature <= 1e-14 {
        return inverse;
    }
    let turned = times(&inverse, change);
    let scale = (curvature + dot(change, &turned)) / (curvature * curvature);
    let mut updated = inverse;
    for (i, row) in updated.iter_mut().enumerate() {
        for (j, entry) in row.iter_mut().enumerate() {
            *entry += scale * step[i] * step[j] - (turned[i] * step[j] + step[i] * turned[j]) / curvature;
        }
    }
    updated
}

fn identity<const N: usize>() -> [[f64; N]; N] {
    std::array::from_fn(|i| std::array::from_fn(|j| if i == j { 1.0 } else { 0.0 }))
}

fn times<const N: usize>(matrix: &[[f64; N]; N], vector: &[f64; N]) -> [f64; N] {
    matrix.map(|row| dot(&row, vector))
}

fn dot<const N: usize>(one: &[f64; N], other: &[f64; N]) -> f64 {
    one.iter().zip(other).map(|(x, y)| x * y).sum()
}

fn zip<const N: usize>(one: &[f64; N], other: &[f64; N], with: impl Fn(f64, f64) -> f64) -> [f64; N] {
    std::array::from_fn(|at| with(one[at], other[at]))
}

fn is_small<const N: usize>(gradient: &[f64; N], tolerance: f64) -> bool {
    gradient.iter().all(|one| one.abs() <= tolerance)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rosenbrock;

    impl Objective<2> for Rosenbrock {
        fn at(&self, &[x, y]: &[f64; 2]) -> (f64, [f64; 2]) {
            let (near, far) = (1.0 - x, y - x * x);
            (near * near + 100.0 * far * far, [-2.0 * near - 400.0 * x * far, 200.0 * far])
        }
    }

    struct Slope;

    impl Objective<1> for Slope {
        fn at(&self, &[x]: &[f64; 1]) -> (f64, [f64; 1]) {
            (-x, [-1.0])
        }
    }

    #[test]
    fn the_least_value_is_found_where_there_is_one() {
        let end = minimize(&Rosenbrock, [-1.2, 1.0], 1e-8);
        assert!(
            end.converged && (end.point[0] - 1.0).abs() < 1e-6 && (end.point[1] - 1.0).abs() < 1e-6,
            "{end:?}"
        );
        assert!(!minimize(&Slope, [0.0], 1e-8).converged);
    }
}
