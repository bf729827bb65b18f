//! Minima of functions of a few numbers.
//!
//! It must not know what is minimised. Invariant: the same function and start give the same bits.

/// Steps of the search for a minimum on a line.
const GOLDEN_STEPS: usize = 24;

/// Where a function of one number is least between two others: on a grid, then by golden section around its best point.
#[allow(clippy::cast_precision_loss)]
pub fn on_line(lower: f64, upper: f64, grid: usize, value: impl Fn(f64) -> f64) -> f64 {
    let step = (upper - lower) / grid.max(1) as f64;
    let point = |at: usize| lower + step * at as f64;
    let best = (0..=grid).map(|at| (value(point(at)), at)).min_by(|one, other| one.0.total_cmp(&other.0));
    let at = best.map_or(0, |(_, at)| at);
    let (mut low, mut high) = ((point(at) - step).max(lower), (point(at) + step).min(upper));
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_left, mut at_right) = (value(left), value(right));
    for _ in 0..GOLDEN_STEPS {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - ratio * (high - low);
            at_left = value(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + ratio * (high - low);
            at_right = value(right);
        }
    }
    let (inner, at_inner) = if at_left < at_right { (left, at_left) } else { (right, at_right) };
    if at_inner <= value(point(at)) { inner } else { point(at) }
}

/// Where a function of a few numbers is least, from a start with a first step for each, after at most so many evaluations
/// (Nelder and Mead, "A simplex method for function minimization", 1965). What is outside its domain is infinite.
pub fn simplex(
    start: &[f64],
    steps: &[f64],
    most: usize,
    mut value: impl FnMut(&[f64]) -> f64,
) -> (Vec<f64>, f64) {
    let count = start.len();
    let mut points: Vec<(f64, Vec<f64>)> = vec![(value(start), start.to_vec())];
    for (at, step) in steps.iter().enumerate().take(count) {
        let mut point = start.to_vec();
        point[at] += step;
        points.push((value(&point), point));
    }
    let mut evaluations = count + 1;
    while evaluations < most {
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (best, worst) = (points[0].0, points[count].0);
        if worst - best <= 1e-8 * (1.0 + best.abs()) {
            break;
        }
        let centre: Vec<f64> = (0..count)
            .map(|at| points[..count].iter().map(|(_, point)| point[at]).sum::<f64>() / count as f64)
            .collect();
        let along = |by: f64| -> Vec<f64> {
            centre
                .iter()
                .zip(&points[count].1)
                .map(|(middle, worst)| middle + by * (middle - worst))
                .collect()
        };
        let reflected = along(1.0);
        let at_reflected = value(&reflected);
        evaluations += 1;
        let replacement = if at_reflected < best {
            let expanded = along(2.0);
            let at_expanded = value(&expanded);
            evaluations += 1;
            Some(if at_expanded < at_reflected { (at_expanded, expanded) } else { (at_reflected, reflected) })
        } else if at_reflected < points[count - 1].0 {
            Some((at_reflected, reflected))
        } else {
            let contracted = along(if at_reflected < worst { 0.5 } else { -0.5 });
            let at_contracted = value(&contracted);
            evaluations += 1;
            (at_contracted < worst.min(at_reflected)).then_some((at_contracted, contracted))
        };
        match replacement {
            Some(point) => points[count] = point,
            None => {
                let first = points[0].1.clone();
                for (at_point, point) in points.iter_mut().skip(1) {
                    point.iter_mut().zip(&first).for_each(|(x, best)| *x = best + 0.5 * (*x - best));
                    *at_point = value(point);
                    evaluations += 1;
                }
            }
        }
    }
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (value, point) = points.swap_remove(0);
    (point, value)
}
