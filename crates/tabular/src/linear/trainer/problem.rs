//! What is minimised: the mean loss of rows, and a penalty on the size of coefficients.
//!
//! Features are counted from their means, which changes no coefficient but makes those of a column's categories independent of the
//! intercept: the intercept has no penalty. The loss is divided by the sum of weights, and the penalty with it, so that it is of the
//! same size for few rows and many.
//! It must not know how the minimum is found. Invariant: sums are added in an order that the number of threads doesn't change: rows
//! one after another within a feature, features side by side.

use std::ops::Range;

use rayon::prelude::*;

use super::design::{Block, Design};
use crate::dot::dot;

/// Scores that are kept at a time.
const SCORES: usize = 1 << 20;

/// Rows whose scores are computed by one thread.
const PART: usize = 1024;

/// How scores become a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Half the squared distance.
    Squared,
    /// The logistic loss of two classes with one score: that of the second one.
    Logistic,
    /// The cross entropy of classes with a score each.
    Softmax,
}

/// What a row should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Target {
    /// This number.
    Number(f64),
    /// This class by so much, and the next one by so much: both weights of losses.
    Class { class: u32, own: f64, next: f64 },
}

/// A problem.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) design: Design,
    /// One a row.
    pub(super) targets: Vec<Target>,
    pub(super) link: Link,
    /// Scores of a row.
    pub(super) equations: usize,
    /// The sum of the rows' weights.
    pub(super) weight: f64,
    /// What half a squared coefficient costs.
    pub(super) penalty: f64,
}

/// What the objective is at a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ObjectiveValue {
    /// What is minimised.
    pub(super) value: f64,
    /// The mean loss, without the penalty.
    pub(super) loss: f64,
}

impl Problem {
    /// Parameters: `[features, equations]` coefficients, then `[equations]` intercepts.
    pub(super) fn parameters(&self) -> usize {
        (self.design.features() + 1) * self.equations
    }

    /// Rows whose scores are kept at a time: the number of equations decides, nothing else.
    pub(super) fn rows_at_a_time(equations: usize) -> usize {
        (SCORES / equations.max(1)).clamp(PART, 1 << 16)
    }

    /// The objective at these parameters; `gradient` is overwritten.
    /// Both `[parameters]`, as [`parameters`](Self::parameters) counts them.
    pub(super) fn evaluate(&self, parameters: &[f64], gradient: &mut [f64]) -> ObjectiveValue {
        let equations = self.equations;
        let (weights, intercepts) = parameters.split_at(parameters.len() - equations);
        let offsets = self.offsets(weights, intercepts);
        let at_a_time = Self::rows_at_a_time(equations);
        let mut scores = vec![0.0; at_a_time.min(self.design.rows) * equations];
        let (mut loss, mut sums) = (0.0, vec![0.0; equations]);
        gradient.fill(0.0);
        let (slopes, ends) = gradient.split_at_mut(weights.len());
        for start in (0..self.design.rows).step_by(at_a_time) {
            let rows = start..self.design.rows.min(start + at_a_time);
            let scores = &mut scores[..rows.len() * equations];
            let losses: Vec<f64> = scores
                .par_chunks_mut(PART * equations)
                .enumerate()
                .map(|(part, scores)| {
                    let start = rows.start + part * PART;
                    self.residuals(start..start + scores.len() / equations, weights, &offsets, scores)
                })
                .collect();
            loss += losses.iter().sum::<f64>();
            self.add_slopes(rows, scores, slopes);
            for scores in scores.chunks(equations) {
                sums.iter_mut().zip(scores).for_each(|(sum, residual)| *sum += residual);
            }
        }
        for ((slopes, weights), centre) in
            slopes.chunks_mut(equations).zip(weights.chunks(equations)).zip(&self.design.centres)
        {
            for ((slope, weight), sum) in slopes.iter_mut().zip(weights).zip(&sums) {
                *slope = (*slope - centre * sum) / self.weight + self.penalty * weight;
            }
        }
        ends.iter_mut().zip(&sums).for_each(|(end, sum)| *end = sum / self.weight);
        let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
        let loss = loss / self.weight;
        ObjectiveValue { value: loss + 0.5 * self.penalty * squares, loss }
    }

    /// About how curved the problem is along each parameter: the steps that a minimiser tries first.
    /// `[parameters]`.
    pub(super) fn curvature(&self) -> Vec<f64> {
        let of_equation = self.variances();
        let of_feature = |&spread: &f64| {
            of_equation.iter().map(move |variance| (spread * variance + self.penalty).max(1e-12))
        };
        let ends = of_equation.iter().map(|variance| variance.max(1e-12));
        self.design.spreads.iter().flat_map(of_feature).chain(ends).collect()
    }

    /// How many neighbouring parameters say nothing by their sum: those of a feature for all classes, of which only differences
    /// count. 1 if there are none.
    pub(super) fn balanced(&self) -> usize {
        if self.link == Link::Softmax { self.equations } else { 1 }
    }

    /// Intercepts of features that are counted from 0, `[equations]`.
    pub(super) fn offsets(&self, weights: &[f64], intercepts: &[f64]) -> Vec<f64> {
        let mut offsets = intercepts.to_vec();
        for (weights, centre) in weights.chunks(self.equations).zip(&self.design.centres) {
            offsets.iter_mut().zip(weights).for_each(|(offset, weight)| *offset -= centre * weight);
        }
        offsets
    }

    /// The second derivative of the loss by each score, were nothing known of a row.
    fn variances(&self) -> Vec<f64> {
        if self.link == Link::Squared {
            return vec![1.0];
        }
        let mut weights = vec![0.0; self.equations.max(2)];
        for target in &self.targets {
            let Target::Class { class, own, next } = *target else { continue };
            let class = class as usize;
            weights[class] += own;
            if next > 0.0 {
                weights[class + 1] += next;
            }
        }
        let variance = |weight: &f64| weight / self.weight * (1.0 - weight / self.weight);
        weights.iter().skip(usize::from(self.link == Link::Logistic)).map(variance).collect()
    }

    /// Scores of some rows, and then the derivatives of their losses by them, `[rows, equations]`; the sum of the losses.
    fn residuals(&self, rows: Range<usize>, weights: &[f64], offsets: &[f64], scores: &mut [f64]) -> f64 {
        let equations = self.equations;
        scores.chunks_mut(equations).for_each(|scores| scores.copy_from_slice(offsets));
        let mut at = 0;
        for block in &self.design.blocks {
            let end = at + block.features() * equations;
            add(block, rows.clone(), &weights[at..end], scores);
            at = end;
        }
        let targets = self.targets[rows].iter().zip(scores.chunks_mut(equations));
        targets.map(|(target, scores)| residual(self.link, target, scores)).sum()
    }

    /// Adds what each feature has of the residuals of some rows, features side by side.
    fn add_slopes(&self, rows: Range<usize>, residuals: &[f64], slopes: &mut [f64]) {
        let mut rest = slopes;
        let mut parts = Vec::with_capacity(self.design.blocks.len());
        for block in &self.design.blocks {
            let (own, others) = rest.split_at_mut(block.features() * self.equations);
            parts.push((block, own));
            rest = others;
        }
        parts.into_par_iter().for_each(|(block, slopes)| add_slope(block, rows.clone(), residuals, slopes));
    }
}

/// Adds what a block of features adds to scores, `[rows, equations]`.
fn add(block: &Block, rows: Range<usize>, weights: &[f64], scores: &mut [f64]) {
    match block {
        Block::Dense(values) => {
            if let &[weight] = weights {
                scores.iter_mut().zip(&values[rows]).for_each(|(score, value)| *score += value * weight);
                return;
            }
            for (scores, value) in scores.chunks_exact_mut(weights.len()).zip(&values[rows]) {
                scores.iter_mut().zip(weights).for_each(|(score, weight)| *score += value * weight);
            }
        }
        Block::OneHot { features, codes } => {
            let equations = weights.len() / features.max(&1);
            for (scores, &code) in scores.chunks_exact_mut(equations.max(1)).zip(&codes[rows]) {
                let start = code as usize * equations;
                let own = weights.get(start..start + equations).unwrap_or_default();
                scores.iter_mut().zip(own).for_each(|(score, weight)| *score += weight);
            }
        }
    }
}

/// Adds what a block of features has of residuals, `[rows, equations]`.
fn add_slope(block: &Block, rows: Range<usize>, residuals: &[f64], slopes: &mut [f64]) {
    match block {
        Block::Dense(values) => {
            if let [slope] = slopes {
                *slope += dot(&values[rows], residuals);
                return;
            }
            for (residuals, value) in residuals.chunks_exact(slopes.len()).zip(&values[rows]) {
                slopes.iter_mut().zip(residuals).for_each(|(slope, residual)| *slope += value * residual);
            }
        }
        Block::OneHot { features, codes } => {
            let equations = (slopes.len() / features.max(&1)).max(1);
            for (residuals, &code) in residuals.chunks_exact(equations).zip(&codes[rows]) {
                let start = code as usize * equations;
                let Some(own) = slopes.get_mut(start..start + equations) else { continue };
                own.iter_mut().zip(residuals).for_each(|(slope, residual)| *slope += residual);
            }
        }
    }
}

/// The loss of a row with these scores, which become its derivatives by them.
fn residual(link: Link, target: &Target, scores: &mut [f64]) -> f64 {
    match (target, scores) {
        (Target::Number(number), [score, ..]) => {
            *score -= number;
            0.5 * *score * *score
        }
        (&Target::Class { class, own, next }, [score]) if link == Link::Logistic => {
            let (first, second) = if class == 0 { (own, next) } else { (0.0, own) };
            let sum = first + second;
            // ln(1 + e^x) without overflow.
            let softplus = score.max(0.0) + (-score.abs()).exp().ln_1p();
            let loss = sum * softplus - second * *score;
            *score = sum * sigmoid(*score) - second;
            loss
        }
        (&Target::Class { class, own, next }, scores) => {
            let class = class as usize;
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let wanted = own * scores[class] + if next > 0.0 { next * scores[class + 1] } else { 0.0 };
            let mut total = 0.0;
            for score in scores.iter_mut() {
                *score = (*score - most).exp();
                total += *score;
            }
            let sum = own + next;
            scores.iter_mut().for_each(|score| *score *= sum / total);
            scores[class] -= own;
            if next > 0.0 {
                scores[class + 1] -= next;
            }
            sum * (most + total.ln()) - wanted
        }
        (Target::Number(_), []) => 0.0,
    }
}

fn sigmoid(score: f64) -> f64 {
    if score >= 0.0 {
        1.0 / (1.0 + (-score).exp())
    } else {
        let exp = score.exp();
        exp / (1.0 + exp)
    }
}
