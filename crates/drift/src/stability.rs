//! How far two counts of the same cells are apart.
//!
//! It must not know what is counted. Invariant: of cells with the same shares, both measures are 0 up to smoothing.

use crate::null_distribution::NullDistribution;

/// What is added to each cell, so that an empty one gives a finite number.
const SMOOTHING: f64 = 0.5;
/// Rows that a cell is to have in the smaller group, were there no difference.
const EXPECTED_ROWS: f64 = 5.0;

/// Counts of the same cells in both groups.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counts {
    /// Of the baseline.
    pub baseline: Vec<u64>,
    /// Of the current rows.
    pub current: Vec<u64>,
}

impl Counts {
    /// Rows of both groups.
    pub fn rows(&self) -> [u64; 2] {
        [self.baseline.iter().sum(), self.current.iter().sum()]
    }

    /// The same with neighbours put together until all cells have enough rows for the approximations below. Which are, depends on
    /// the rows of both groups together only.
    #[must_use]
    pub fn merged(&self) -> Self {
        let [baseline, current] = self.rows().map(to_f64);
        let least = EXPECTED_ROWS * (baseline + current) / baseline.min(current).max(1.0);
        let mut merged = Self::default();
        let (mut open, mut is_open) = ([0, 0], false);
        for (&one, &other) in self.baseline.iter().zip(&self.current) {
            open = [open[0] + one, open[1] + other];
            is_open = true;
            if to_f64(open[0] + open[1]) >= least {
                merged.push(open);
                (open, is_open) = ([0, 0], false);
            }
        }
        match (is_open, merged.baseline.last_mut().zip(merged.current.last_mut())) {
            (true, Some((last, last_current))) => {
                *last += open[0];
                *last_current += open[1];
            }
            (true, None) => merged.push(open),
            (false, _) => {}
        }
        merged
    }

    fn push(&mut self, [baseline, current]: [u64; 2]) {
        self.baseline.push(baseline);
        self.current.push(current);
    }

    /// The population stability index: the sum over cells of (q - p) ln(q / p), of shares p and q, with half a row added to each
    /// cell (Siddiqi, "Credit risk scorecards", 2006).
    pub fn population_stability(&self) -> f64 {
        let cells = self.baseline.len() as f64;
        let [baseline, current] = self.rows().map(|rows| to_f64(rows) + SMOOTHING * cells);
        let cells = self.baseline.iter().zip(&self.current);
        cells
            .map(|(&one, &other)| {
                let (p, q) = ((to_f64(one) + SMOOTHING) / baseline, (to_f64(other) + SMOOTHING) / current);
                (q - p) * (q / p).ln()
            })
            .sum()
    }

    /// The Jensen-Shannon distance, from 0 to 1: the root of the divergence with logarithms to base 2 (Endres and Schindelin,
    /// "A new metric for probability distributions", 2003), as `scipy.spatial.distance.jensenshannon`.
    pub fn jensen_shannon(&self) -> f64 {
        let [baseline, current] = self.rows().map(|rows| to_f64(rows).max(1.0));
        let part = |p: f64, middle: f64| if p > 0.0 { p * (p / middle).log2() } else { 0.0 };
        let divergence: f64 = self
            .baseline
            .iter()
            .zip(&self.current)
            .map(|(&one, &other)| {
                let (p, q) = (to_f64(one) / baseline, to_f64(other) / current);
                let middle = f64::midpoint(p, q);
                f64::midpoint(part(p, middle), part(q, middle))
            })
            .sum();
        divergence.max(0.0).sqrt()
    }

    /// What the population stability index is where both groups are of the same rows: chi-squared times 1 / n + 1 / m (Yurdakul,
    /// "Statistical properties of population stability index", 2018). None of a single cell.
    pub fn stability_null(&self) -> Option<NullDistribution> {
        self.null(1.0, 1)
    }

    /// The same of the Jensen-Shannon distance, whose square is an eighth of that, in bits, to the first order.
    pub fn distance_null(&self) -> Option<NullDistribution> {
        self.null(1.0 / (8.0 * std::f64::consts::LN_2), 2)
    }

    fn null(&self, part: f64, power: i32) -> Option<NullDistribution> {
        let [baseline, current] = self.rows();
        let degrees = (self.baseline.len() > 1).then(|| to_f64(self.baseline.len() as u64 - 1))?;
        (baseline > 0 && current > 0).then(|| NullDistribution::ChiSquared {
            degrees,
            scale: part * (1.0 / to_f64(baseline) + 1.0 / to_f64(current)),
            power,
        })
    }
}

/// A count as a number.
#[allow(clippy::cast_precision_loss)]
pub fn to_f64(count: u64) -> f64 {
    count as f64
}
