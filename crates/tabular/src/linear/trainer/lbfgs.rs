//! The minimum of a smooth convex function by L-BFGS (Liu and Nocedal, "On the limited memory BFGS method for large scale
//! optimization", 1989), with steps along the line that bisection finds (Lewis and Overton, "Nonsmooth optimization via quasi-Newton
//! methods", 2013), accepted where rounding hides a decrease as Hager and Zhang do ("A new conjugate gradient method with guaranteed
//! descent", 2005): without that, half of the digits would be out of reach.
//!
//! A library wasn't taken because here a state must be a few numbers that can be kept and taken up to the same bits, and because the
//! first guess at the curvature is one number a parameter, without which rare categories take hundreds of steps.
//! It must not know what is minimised. Invariant: the state after a step depends on the state before it and the function alone.

use std::collections::VecDeque;

use super::problem::ObjectiveValue;
use crate::dot::dot;

/// Steps that are remembered.
const MEMORY: usize = 10;

/// Least part of the decrease that the slope promises.
const DECREASE: f64 = 1e-4;

/// Largest part of the slope that may be left.
const CURVATURE: f64 = 0.9;

/// Evaluations along a line.
const TRIES: usize = 50;

/// Part of a value that rounding may hide.
const ROUNDING: f64 = 1e-13;

/// A function with its gradient, which is overwritten.
pub(super) trait Objective {
    /// At a point, `[parameters]`; its gradient is written to `gradient`, `[parameters]`.
    fn evaluate(&self, at: &[f64], gradient: &mut [f64]) -> ObjectiveValue;
}

/// Where a minimisation is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LbfgsState {
    /// Where it is.
    pub(super) at: Vec<f64>,
    /// The last steps, and how the gradient changed in them.
    pub(super) steps: VecDeque<(Vec<f64>, Vec<f64>)>,
}

/// A minimisation under way.
#[derive(Debug)]
pub(super) struct Lbfgs {
    pub(super) state: LbfgsState,
    pub(super) objective: ObjectiveValue,
    gradient: Vec<f64>,
    /// A guess at the second derivatives.
    curvature: Vec<f64>,
    /// So many neighbouring parameters move without their sum: the function doesn't know it, or only by its penalty. 1 for none.
    balanced: usize,
    /// Calls of the function so far.
    pub(super) evaluations: u64,
}

impl Lbfgs {
    /// Begins, or goes on.
    /// `curvature`: `[parameters]`.
    pub(super) fn new(
        function: &dyn Objective,
        state: LbfgsState,
        curvature: Vec<f64>,
        balanced: usize,
    ) -> Self {
        let mut gradient = vec![0.0; state.at.len()];
        let objective = function.evaluate(&state.at, &mut gradient);
        Self { state, objective, gradient, curvature, balanced, evaluations: 1 }
    }

    /// The largest step that a parameter would take by itself.
    pub(super) fn distance(&self) -> f64 {
        let steps =
            self.gradient.iter().zip(&self.curvature).map(|(slope, curvature)| slope.abs() / curvature);
        steps.fold(0.0, f64::max)
    }

    /// Makes a step; false if rounding leaves none to make.
    pub(super) fn step(&mut self, function: &dyn Objective) -> bool {
        if self.try_step(function) {
            return true;
        }
        // What is remembered may mislead where rounding counts.
        let misled = !self.state.steps.is_empty();
        self.state.steps.clear();
        misled && self.try_step(function)
    }

    fn try_step(&mut self, function: &dyn Objective) -> bool {
        let direction = self.direction();
        let slope = dot(&direction, &self.gradient);
        slope < 0.0 && slope.is_finite() && self.search(function, &direction, slope)
    }

    /// Minus the gradient, as the steps before suggest to change it.
    fn direction(&self) -> Vec<f64> {
        let mut direction: Vec<f64> = self.gradient.iter().map(|slope| -slope).collect();
        let mut shares = Vec::with_capacity(self.state.steps.len());
        for (step, change) in self.state.steps.iter().rev() {
            let share = dot(step, &direction) / dot(step, change);
            direction.iter_mut().zip(change).for_each(|(one, change)| *one -= share * change);
            shares.push(share);
        }
        let scale = self.state.steps.back().map_or(1.0, |(step, change)| {
            let scaled: f64 = change
                .iter()
                .zip(&self.curvature)
                .map(|(change, curvature)| change * change / curvature)
                .sum();
            dot(step, change) / scaled
        });
        direction.iter_mut().zip(&self.curvature).for_each(|(one, curvature)| *one *= scale / curvature);
        if self.balanced > 1 {
            for group in direction.chunks_mut(self.balanced) {
                let mean = group.iter().sum::<f64>() / group.len() as f64;
                group.iter_mut().for_each(|one| *one -= mean);
            }
        }
        for ((step, change), share) in self.state.steps.iter().zip(shares.into_iter().rev()) {
            let back = share - dot(change, &direction) / dot(step, change);
            direction.iter_mut().zip(step).for_each(|(one, step)| *one += back * step);
        }
        direction
    }

    /// Looks for a good point along a line and goes there.
    fn search(&mut self, function: &dyn Objective, direction: &[f64], slope: f64) -> bool {
        let (mut low, mut high, mut length) = (0.0, f64::INFINITY, 1.0);
        let mut at = vec![0.0; direction.len()];
        let mut gradient = vec![0.0; direction.len()];
        for _ in 0..TRIES {
            for ((at, from), direction) in at.iter_mut().zip(&self.state.at).zip(direction) {
                *at = from + length * direction;
            }
            let objective = function.evaluate(&at, &mut gradient);
            self.evaluations += 1;
            let new_slope = dot(&gradient, direction);
            let falls = objective.value <= self.objective.value + DECREASE * length * slope;
            let same = objective.value <= self.objective.value + ROUNDING * self.objective.value.abs();
            if !(falls || (same && new_slope <= (2.0 * DECREASE - 1.0) * slope)) {
                high = length;
            } else if new_slope < CURVATURE * slope {
                low = length;
            } else {
                self.go(at, gradient, objective);
                return true;
            }
            length = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * low };
        }
        false
    }

    fn go(&mut self, at: Vec<f64>, gradient: Vec<f64>, objective: ObjectiveValue) {
        let less =
            |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(a, b)| a - b).collect::<Vec<f64>>();
        let (step, change) = (less(&at, &self.state.at), less(&gradient, &self.gradient));
        if dot(&step, &change) > 0.0 {
            if self.state.steps.len() == MEMORY {
                self.state.steps.pop_front();
            }
            self.state.steps.push_back((step, change));
        }
        (self.state.at, self.gradient, self.objective) = (at, gradient, objective);
    }
}
