//! Rows to answers, and to what each column contributes to them.
//!
//! What is explained is the raw score: the value of a regression; of how unlike others a row is its logarithm to the base 2; of two classes the logarithm of the odds of one of them; of several
//! the sum whose softmax is the probability. What the features of a column add is added up.
//! It must not know where rows come from. Invariant: the trees of a row are added in the same order whatever rows it comes with;
//! baseline and contributions add up to the raw score.

use std::ops::Range;

use ecommerce_ml_protocol::{Answers, Contributions, EngineError, Explanation, Rows};

use super::contributions::{add, mean};
use super::encoding::{Encoder, Found};
use super::forest::Forest;
use super::isotonic::Isotonic;
use super::model::TreesModel;
use crate::columns::refused;
use crate::score::{Answering, Head, Score, distribution, given_up, overflow};

/// Rows that go through the trees together.
const BLOCK: usize = 256;

/// Rows between two looks at whether anybody waits for explanations.
const EXPLAINED: u32 = 64;

/// How much dearer an explanation of a tree is than its value.
const EXPLAINING: usize = 100;

/// A model, ready to be asked.
#[derive(Debug)]
pub(crate) struct Scorer {
    encoder: Encoder,
    head: Head,
    forest: Forest,
    isotonic: Option<Isotonic>,
    /// The column of each feature.
    columns: Vec<usize>,
    /// What each sum is on average, trees and base.
    means: Vec<f64>,
    /// Mean depth of a leaf, for estimates.
    depth: usize,
}

impl Scorer {
    /// Gets a model ready.
    pub(crate) fn new(model: &TreesModel) -> Self {
        let mut means = vec![model.forest.base; model.forest.sums];
        for (sum, tree) in &model.forest.trees {
            if let Some(all) = means.get_mut(*sum) {
                *all += mean(tree);
            }
        }
        let nodes = model.forest.nodes() / model.forest.trees.len().max(1);
        Self {
            encoder: Encoder::new(&model.encoding),
            head: model.head.clone(),
            forest: model.forest.clone(),
            isotonic: model.isotonic.clone(),
            columns: model.encoding.column_of_feature(),
            means,
            depth: nodes.max(1).ilog2() as usize + 1,
        }
    }

    /// The sums of some rows, `[rows, sums]`.
    fn sums(&self, found: &Found<'_>, rows: Range<usize>) -> Result<Vec<f64>, EngineError> {
        let width = self.encoder.features();
        let mut features = vec![0.0; rows.len() * width];
        found.encode(rows.clone(), &mut features)?;
        let mut sums = vec![0.0; rows.len() * self.forest.sums];
        self.forest.margins(&features, width, &mut sums);
        Ok(sums)
    }

    /// Probabilities of the sums of a row, `[sums]`, which are used up; none if they overflowed.
    fn probabilities(&self, sums: &mut [f64]) -> Option<Vec<f32>> {
        match (&self.isotonic, &*sums) {
            (Some(isotonic), [sum]) => {
                let second = isotonic.probability(*sum);
                sum.is_finite().then(|| vec![(1.0 - second) as f32, second as f32])
            }
            _ => distribution(sums),
        }
    }

    fn explain_row(
        &self,
        found: &Found<'_>,
        row: usize,
        class: Option<u32>,
    ) -> Result<Explanation, EngineError> {
        let width = self.encoder.features();
        let mut features = vec![0.0; width];
        found.encode(row..row + 1, &mut features)?;
        let mut sums = vec![0.0; self.forest.sums];
        self.forest.margins(&features, width, &mut sums);
        let (sum, sign) = match (&self.head, sums.as_slice()) {
            (Head::Classes { .. }, [sum]) => {
                let likely = match &self.isotonic {
                    None => *sum > 0.0,
                    Some(isotonic) => isotonic.probability(*sum) >= 0.5,
                };
                let first = class.map_or(!likely, |class| class == 0);
                (0, if first { -1.0 } else { 1.0 })
            }
            _ => {
                let likeliest = || (0..sums.len()).max_by(|one, other| sums[*one].total_cmp(&sums[*other]));
                (class.map(|class| class as usize).or_else(likeliest).unwrap_or(0), 1.0)
            }
        };
        let mut of_features = vec![0.0; width];
        for (_, tree) in self.forest.trees.iter().filter(|(of, _)| *of == sum) {
            add(tree, &features, &mut of_features);
        }
        let columns = self.columns.last().map_or(0, |last| last + 1);
        let mut of_columns = vec![0.0; columns];
        for (column, contribution) in self.columns.iter().zip(of_features) {
            if let Some(all) = of_columns.get_mut(*column) {
                *all += sign * contribution;
            }
        }
        let baseline = sign * self.means.get(sum).copied().unwrap_or_default();
        if !baseline.is_finite() || !of_columns.iter().all(|one| one.is_finite()) {
            return Err(overflow());
        }
        Ok(Explanation { baseline, contributions: Contributions::Columns(of_columns) })
    }
}

impl Score for Scorer {
    fn work(&self, rows: &Rows, explaining: bool) -> usize {
        let row = self.forest.trees.len() * self.depth + self.encoder.features();
        let factor = if explaining { EXPLAINING } else { 1 };
        (rows.count as usize).saturating_mul(row).saturating_mul(factor)
    }

    fn prepare<'a>(&'a self, rows: &'a Rows) -> Result<Box<dyn Answering + 'a>, EngineError> {
        Ok(Box::new(Prepared { scorer: self, found: self.encoder.find(rows)? }))
    }

    fn explain(
        &self,
        rows: &Rows,
        class: Option<u32>,
        is_given_up: &(dyn Fn() -> bool + Sync),
    ) -> Result<Answers, EngineError> {
        if class.is_some_and(|class| class as usize >= self.head.labels().len()) {
            return Err(refused("the model has no such class"));
        }
        let found = self.encoder.find(rows)?;
        let mut explanations = Vec::with_capacity(rows.count as usize);
        for row in 0..rows.count {
            if row % EXPLAINED == EXPLAINED - 1 && is_given_up() {
                return Err(given_up());
            }
            explanations.push(Some(self.explain_row(&found, row as usize, class)?));
        }
        Ok(Answers::Explanations(explanations))
    }
}

/// Rows whose columns were found.
struct Prepared<'a> {
    scorer: &'a Scorer,
    found: Found<'a>,
}

impl Answering for Prepared<'_> {
    fn answer(&self, part: Range<usize>) -> Result<Answers, EngineError> {
        let Prepared { scorer, found } = self;
        let blocks = part.clone().step_by(BLOCK).map(|start| start..part.end.min(start + BLOCK));
        match &scorer.head {
            head @ (Head::Number | Head::AnomalyScore) => {
                let mut numbers = Vec::with_capacity(part.len());
                for block in blocks {
                    numbers.extend(scorer.sums(found, block)?.into_iter().map(|sum| Some(head.number(sum))));
                }
                Ok(Answers::Numbers(numbers))
            }
            Head::Classes { labels } => {
                let mut probabilities = Vec::with_capacity(part.len());
                for block in blocks {
                    for sums in scorer.sums(found, block)?.chunks_mut(scorer.forest.sums.max(1)) {
                        probabilities.push(Some(scorer.probabilities(sums).ok_or_else(overflow)?));
                    }
                }
                Ok(Answers::Classes { labels: labels.clone(), probabilities })
            }
        }
    }
}
