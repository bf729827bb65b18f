//! The optimised Theta method (Fiorucci et al., "Models for optimising the theta method and their relationship to state space
//! models", International Journal of Forecasting 32, 2016).
//!
//! It must not know how a season was found. Invariant: of all smoothing parameters on its grid, levels at the start and thetas of at
//! least 1, the squared errors of the fit are least.

use serde::{Deserialize, Serialize};

use super::search::on_line;
use super::season::{Season, median};

/// Smoothing parameters that are tried.
const ALPHAS: (f64, f64) = (0.1, 0.99);
/// Steps between them, before the best is refined.
const GRID: usize = 18;
/// Values at the start whose errors don't count, as in the authors' package `forecTheta`.
const WARM_UP: usize = 3;
/// Values whose median is the level at a restart.
const START: usize = 5;

/// A fitted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Theta {
    alpha: f64,
    /// 1 - 1 / theta.
    weight: f64,
    level: f64,
    /// The straight line through all values.
    line: Line,
    season: Season,
    /// Mean squared error of the fit, of the series without its season.
    pub mse: f64,
}

/// Least squares through values at times 1, 2, ...
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Line {
    count: f64,
    mean: f64,
    slope: f64,
}

impl Line {
    /// Fiorucci et al., (13) and (14).
    fn update(&mut self, value: f64) {
        self.count += 1.0;
        let n = self.count;
        if n > 1.0 {
            self.slope = ((n - 2.0) * self.slope + 6.0 / n * (value - self.mean)) / (n + 1.0);
        }
        self.mean += (value - self.mean) / n;
    }

    fn intercept(&self) -> f64 {
        self.mean - self.slope * (self.count + 1.0) / 2.0
    }

    /// What the line adds to the level at 0-based time `time`, before it is weighted.
    fn drift(&self, alpha: f64, time: f64) -> f64 {
        let rest = (1.0 - alpha).powf(time);
        self.intercept() * rest + self.slope * (1.0 - rest * (1.0 - alpha)) / alpha
    }
}

impl Theta {
    /// Fits a series, `[time]`, of at least two values. With `dynamic` the line at each time is that of the values until then
    /// (the authors' DOTM), else that of all (OTM).
    pub fn fit(values: &[f64], season: &Season, dynamic: bool) -> Self {
        let adjusted: Vec<f64> =
            values.iter().enumerate().map(|(time, value)| season.remove(time, *value)).collect();
        let lines = lines(&adjusted);
        let problem = Problem { values: &adjusted, lines: &lines, dynamic };
        let alpha = on_line(ALPHAS.0, ALPHAS.1, GRID, |alpha| problem.solve(alpha).error);
        let Solution { start, weight, error } = problem.solve(alpha);
        let level = adjusted.iter().fold(start, |level, value| level + alpha * (value - level));
        let line = lines.last().copied().unwrap_or_default();
        #[allow(clippy::cast_precision_loss)]
        let mse = error.max(0.0) / adjusted.len().saturating_sub(problem.warm_up()).max(1) as f64;
        Self { alpha, weight, level, line, season: season.clone(), mse }
    }

    /// Smoothing parameter, and theta.
    pub fn parameters(&self) -> (f64, f64) {
        (self.alpha, 1.0 / (1.0 - self.weight))
    }

    pub(super) fn is_sound(&self) -> bool {
        self.season.is_sound()
    }

    pub(super) fn restarted(&self, values: &[f64], shift: i64) -> Self {
        let season = self.season.shifted(shift);
        let first = values.iter().enumerate().take(START);
        let first: Vec<f64> = first.map(|(time, value)| season.remove(time, *value)).collect();
        Self { level: median(&first), line: Line::default(), season, ..*self }
    }

    pub(super) fn update(&mut self, value: f64) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let adjusted = self.season.remove(self.line.count as usize, value);
        self.level += self.alpha * (adjusted - self.level);
        self.line.update(adjusted);
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn forecast(&self, horizon: usize) -> Vec<f64> {
        let next = self.level + self.weight * self.line.drift(self.alpha, self.line.count);
        let slope = self.weight * self.line.slope;
        let time = self.line.count as usize;
        (0..horizon).map(|step| self.season.add(time + step, next + slope * step as f64)).collect()
    }
}

/// The line after each value, `[time]`.
fn lines(values: &[f64]) -> Vec<Line> {
    let mut line = Line::default();
    let after = |value: &f64| {
        line.update(*value);
        line
    };
    values.iter().map(after).collect()
}

struct Problem<'a> {
    values: &'a [f64],
    lines: &'a [Line],
    dynamic: bool,
}

struct Solution {
    start: f64,
    weight: f64,
    error: f64,
}

impl Problem<'_> {
    /// Values whose errors don't count.
    fn warm_up(&self) -> usize {
        if self.values.len() > 2 * WARM_UP { WARM_UP } else { 1 }
    }

    /// The level at the start and the weight of the line with the least squared errors: for a given smoothing parameter what is
    /// fitted is linear in both.
    fn solve(&self, alpha: f64) -> Solution {
        let last = self.lines.last().copied().unwrap_or_default();
        let rest = 1.0 - alpha;
        let warm_up = self.warm_up();
        let mut sums = [0.0; 6];
        // Of the level: what a start of 1 makes of it, and what the values do.
        let (mut from_start, mut from_values) = (1.0, 0.0);
        for (time, value) in self.values.iter().enumerate() {
            if time >= warm_up {
                let line = if self.dynamic { self.lines[time - 1] } else { last };
                // [`Line::drift`], without its power.
                let drift = line.intercept() * from_start + line.slope * (1.0 - from_start * rest) / alpha;
                let target = value - from_values;
                let terms = [
                    from_start * from_start,
                    from_start * drift,
                    drift * drift,
                    from_start * target,
                    drift * target,
                    target * target,
                ];
                sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            }
            from_values = alpha * value + rest * from_values;
            from_start *= rest;
        }
        least_squares(sums, self.values.first().copied().unwrap_or_default())
    }
}

/// Of the sums ss, sd, dd, sy, dy, yy: start and weight, the latter from 0 to 1 (excluded).
fn least_squares([ss, sd, dd, sy, dy, yy]: [f64; 6], first: f64) -> Solution {
    let error = |start: f64, weight: f64| {
        yy - 2.0 * (start * sy + weight * dy)
            + start * start * ss
            + 2.0 * start * weight * sd
            + weight * weight * dd
    };
    let start_of = |weight: f64| if ss > 1e-12 { (sy - weight * sd) / ss } else { first };
    let determinant = ss * dd - sd * sd;
    let free = if determinant > 1e-9 * ss * dd { (dy * ss - sy * sd) / determinant } else { 0.5 };
    let weight = free.clamp(0.0, 1.0 - 1e-10);
    let start = start_of(weight);
    Solution { start, weight, error: error(start, weight) }
}
