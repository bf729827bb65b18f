//! An integral of gradients along the way from a baseline to an input, and how it is brought to be exact enough.
//!
//! The way is cut into intervals. The integral over each is known without computing it: it is the difference of the function's
//! values at both ends. So the intervals where the rule is off are known too, and those alone are halved.
//! It must not know a network. Invariant: every interval is either evaluated, or wanted.

use std::collections::BTreeMap;

use super::quadrature::{NODES, nodes};

/// Intervals to begin with.
const INTERVALS: usize = 4;

/// Gradients that are computed for an integral at most, about; what is off then stays off.
const MOST_GRADIENTS: usize = 768;

/// What an integral wants to know of the function on the way, which goes from 0, the baseline, to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wanted {
    /// Its value at a place.
    Value(f64),
    /// Its gradient.
    Gradient {
        /// Where.
        at: f64,
        /// What the integral knows it by.
        node: GradientNode,
    },
}

/// A node of an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradientNode {
    interval: usize,
    weight: f64,
}

/// An integral under way.
#[derive(Debug)]
pub struct PathIntegral {
    /// Values at the ends of intervals, by the bits of their places: of numbers from 0 on they are in order.
    values: BTreeMap<u64, Option<f64>>,
    intervals: Vec<Interval>,
    width: usize,
    gradients: usize,
}

#[derive(Debug)]
struct Interval {
    from: f64,
    to: f64,
    /// Integrals of all components over it, `[width]`.
    sums: Vec<f64>,
    is_evaluated: bool,
}

impl PathIntegral {
    /// Of a function of so many components, with its values at 0 and at 1.
    pub fn new(width: usize, (from, to): (f64, f64)) -> Self {
        let values = BTreeMap::from([(0.0_f64.to_bits(), Some(from)), (1.0_f64.to_bits(), Some(to))]);
        let mut integral = Self { values, intervals: Vec::new(), width, gradients: 0 };
        let border = |number: usize| number as f64 / INTERVALS as f64;
        (0..INTERVALS).for_each(|number| integral.add(border(number), border(number + 1)));
        integral
    }

    /// What it wants to know next.
    pub fn wanted(&self) -> Vec<Wanted> {
        let missing = self.values.iter().filter(|(_, value)| value.is_none());
        let values = missing.map(|(bits, _)| Wanted::Value(f64::from_bits(*bits)));
        let open = self.intervals.iter().enumerate().filter(|(_, interval)| !interval.is_evaluated);
        let gradients = open.flat_map(|(index, interval)| {
            let length = interval.to - interval.from;
            nodes().map(|(place, weight)| Wanted::Gradient {
                at: interval.from + place * length,
                node: GradientNode { interval: index, weight: weight * length },
            })
        });
        values.chain(gradients).collect()
    }

    /// Takes the value at a place that was wanted.
    pub fn put_value(&mut self, at: f64, value: f64) {
        self.values.insert(at.to_bits(), Some(value));
    }

    /// Takes a gradient that was wanted, `[width]`: of each component, by the distance that it goes on the whole way.
    pub fn put_gradient(&mut self, node: GradientNode, gradient: &[f64]) {
        if let Some(interval) = self.intervals.get_mut(node.interval) {
            interval.sums.iter_mut().zip(gradient).for_each(|(sum, one)| *sum += node.weight * one);
        }
    }

    /// How far the sum of all components may be off, when all that was wanted has come.
    pub fn error(&self) -> f64 {
        self.intervals.iter().map(|interval| self.error_of(interval)).sum()
    }

    /// When all that was wanted has come: halves the intervals that are off, as few as will do for the others to be off by no more
    /// than half of the tolerance. Whether anything is wanted now.
    pub fn refine(&mut self, tolerance: f64) -> bool {
        self.intervals.iter_mut().for_each(|interval| interval.is_evaluated = true);
        if self.error() <= tolerance || self.gradients >= MOST_GRADIENTS {
            return false;
        }
        let mut errors: Vec<(f64, Interval)> = Vec::with_capacity(self.intervals.len());
        for interval in std::mem::take(&mut self.intervals) {
            errors.push((self.error_of(&interval), interval));
        }
        errors.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let mut left = tolerance / 2.0;
        for (error, interval) in errors {
            left -= error;
            // Halves of a place that can't be told apart would never be exact.
            if left >= 0.0 || interval.to - interval.from < f64::from(f32::EPSILON) {
                self.intervals.push(interval);
            } else {
                let middle = f64::midpoint(interval.from, interval.to);
                self.add(interval.from, middle);
                self.add(middle, interval.to);
            }
        }
        self.intervals.iter().any(|interval| !interval.is_evaluated)
    }

    /// The integrals of all components, `[width]`.
    pub fn sums(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.width];
        for interval in &self.intervals {
            sums.iter_mut().zip(&interval.sums).for_each(|(sum, own)| *sum += own);
        }
        sums
    }

    fn add(&mut self, from: f64, to: f64) {
        self.values.entry(from.to_bits()).or_default();
        self.values.entry(to.to_bits()).or_default();
        self.gradients += NODES;
        self.intervals.push(Interval { from, to, sums: vec![0.0; self.width], is_evaluated: false });
    }

    fn error_of(&self, interval: &Interval) -> f64 {
        let value = |at: f64| self.values.get(&at.to_bits()).copied().flatten().unwrap_or(f64::NAN);
        let difference = value(interval.to) - value(interval.from);
        (interval.sums.iter().sum::<f64>() - difference).abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Integrates and says how many gradients it took.
    fn integrate(
        function: impl Fn(f64) -> f64,
        gradient: impl Fn(f64) -> [f64; 2],
        tolerance: f64,
    ) -> (Vec<f64>, f64, usize) {
        let mut integral = PathIntegral::new(2, (function(0.0), function(1.0)));
        let mut asked = 0;
        loop {
            for wanted in integral.wanted() {
                match wanted {
                    Wanted::Value(at) => integral.put_value(at, function(at)),
                    Wanted::Gradient { at, node } => {
                        asked += 1;
                        integral.put_gradient(node, &gradient(at));
                    }
                }
            }
            if !integral.refine(tolerance) {
                return (integral.sums(), integral.error(), asked);
            }
        }
    }

    #[test]
    fn a_smooth_function_takes_what_it_begins_with() {
        // Of both components f = 3 x + y², with x = α and y = 2 α.
        let (sums, error, asked) = integrate(|at| 3.0 * at + 4.0 * at * at, |at| [3.0, 4.0 * at * 2.0], 1e-6);
        assert!((sums[0] - 3.0).abs() < 1e-9 && (sums[1] - 4.0).abs() < 1e-9, "{sums:?}");
        assert!(error < 1e-9 && asked == INTERVALS * NODES, "{error} {asked}");
    }

    #[test]
    fn a_step_is_found_wherever_it_is() {
        for place in [0.013, 0.3, 0.77] {
            let steep = 400.0;
            let function = |at: f64| 1.0 / (1.0 + (-steep * (at - place)).exp());
            let (sums, error, asked) = integrate(
                function,
                |at| {
                    let value = function(at);
                    [steep * value * (1.0 - value), 0.0]
                },
                0.01,
            );
            assert!((sums[0] - (function(1.0) - function(0.0))).abs() <= 0.01 && error <= 0.01, "{sums:?}");
            assert!(asked < 120, "{asked} for {place}");
        }
    }

    #[test]
    fn what_has_no_integral_comes_to_an_end() {
        // The gradient lies: it is not that of the function.
        let (_, error, asked) = integrate(|at| at, |_| [2.0, 0.0], 1e-3);
        assert!(error > 0.5 && asked < 4 * MOST_GRADIENTS, "{asked}");
    }
}
