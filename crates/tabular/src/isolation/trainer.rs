//! Rows to an isolation forest.
//!
//! Nothing is held out: without labels there is nothing to be right or wrong about. It must not know PostgreSQL, or who asks.
//! Invariant: which rows a tree is grown from is decided by the seed and the rows alone.

use std::sync::Arc;

use ecommerce_ml_predictor::{Evaluate, Job, Sink, Trainer};
use ecommerce_ml_protocol::training::{
    Findings, Finished, JobOutput, Metric, Objective, Phase, Prepared, TrainingCall, TrainingChecked,
    TrainingInput,
};
use ecommerce_ml_protocol::{EngineError, Rows};
use ecommerce_ml_training::memory::within;
use ecommerce_ml_training::random::SplitMix64;
use ecommerce_ml_training::{Dataset, model};
use rayon::prelude::*;

use super::encoding::fit;
use super::growing::{Sample, expected_splits};
use super::kind::KIND;
use super::options::Options;
use crate::call::{check_columns, columns_of};
use crate::columns::{find, refused};
use crate::findings::add_useless_columns;
use crate::score::Head;
use crate::threads::Threads;
use crate::trees::contributions::add;
use crate::trees::encoding::{Encoder, Encoding};
use crate::trees::files;
use crate::trees::forest::{Forest, Tree};
use crate::trees::model::TreesModel;
use ecommerce_ml_predictor::files::unwritable;

/// Rows whose scores the quantiles are of, and rows whose contributions importances are of, at most.
const SCORED: usize = 100_000;
const EXPLAINED: usize = 256;

/// Which of the random numbers of a seed are whose.
const ROWS_TO_EXPLAIN: u64 = u64::MAX;

/// Makes isolation forests.
#[derive(Debug)]
pub struct IsolationTrainer {
    threads: Arc<Threads>,
}

impl IsolationTrainer {
    /// On these threads.
    pub(crate) fn new(threads: Arc<Threads>) -> Self {
        Self { threads }
    }
}

impl Trainer for IsolationTrainer {
    fn accepts(&self, call: &TrainingCall) -> bool {
        call.objective == Objective::Anomaly && matches!(call.input, TrainingInput::Columns { .. })
    }

    fn check(&self, call: &TrainingCall) -> Result<TrainingChecked, EngineError> {
        check_columns(&call.input)?;
        Options::read(call)?;
        Ok(TrainingChecked { kind: KIND.to_owned(), default_base: None })
    }

    fn train(&self, job: Job, _: &dyn Evaluate, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let Job { plan, rows, .. } = job;
        check_columns(&plan.call.input)?;
        let (options, effective) = Options::read(&plan.call)?;
        let dataset = Dataset::new(&plan.call, rows)?;
        let bytes = (2 * dataset.input.bytes() + 120 * dataset.len()) as u64;
        let hint = "Increase ecommerce_ml.training_memory, train on fewer rows, or name fewer columns.";
        let told = || (format!("There are {} rows.", dataset.len()), hint);
        let memory = within(bytes, plan.memory_limit, told)?;
        let (columns, fields) = (columns_of(&dataset.input)?, plan.call.input.fields());
        let mut findings = Findings::default();
        let all: Vec<usize> = (0..dataset.len()).collect();
        add_useless_columns(&mut findings, fields, &find(columns, fields)?, (&all, &[]));
        let prepared = Prepared {
            training_rows: dataset.len() as u64,
            held_out_rows: 0,
            labels: Vec::new(),
            rows_sha256: dataset.sha256(),
            ignored_rows: 0,
            epochs: 1,
            steps: options.n_estimators as u64,
            resumed_at: 0,
            memory,
            options: effective,
            baseline: None,
            findings,
        };
        sink.send(JobOutput::Prepared(Box::new(prepared)))?;
        sink.send(JobOutput::Phase(Phase::Training))?;
        let learn = || -> Result<(TreesModel, Vec<Metric>), EngineError> {
            let learned = learn(columns, &fit(columns, fields)?, options)?;
            let metrics = quantiles(&learned, columns)?;
            Ok((learned, metrics))
        };
        let (learned, metrics) = self.threads.pool()?.install(learn)?;
        let files = files::write(&learned)?;
        let finished = Finished {
            info: learned.info(),
            metrics,
            epoch: 1,
            stopped_early: false,
            uses_base: false,
            comparison: None,
            against_baseline: None,
            reference: None,
        };
        model::send(&files, sink)?;
        sink.send(JobOutput::Finished(Box::new(finished)))
    }
}

/// A forest of trees, each of a sample of the rows.
fn learn(rows: &Rows, encoding: &Encoding, options: Options) -> Result<TreesModel, EngineError> {
    let Options { seed, n_estimators, max_samples } = options;
    let count = rows.count as usize;
    let samples = max_samples.min(count);
    if samples < 2 {
        return Err(refused("training needs at least 2 rows").with_detail(format!("There is {count}.")));
    }
    let encoder = Encoder::new(encoding);
    let (width, columns) = (encoding.features(), starts(encoding));
    let tree = |number: u64| -> Result<Tree, EngineError> {
        let mut random = SplitMix64::of_part(seed, number);
        let features = encoder.encode(rows, &sample(count, samples, &mut random))?;
        let sample = Sample {
            features: &features,
            width,
            columns: &columns,
            step: -1.0 / (expected_splits(samples) * n_estimators as f64),
            deepest: samples.next_power_of_two().ilog2() as usize,
        };
        Tree::new(&sample.grow(&mut random), width).map_err(unwritable)
    };
    let trees: Vec<Tree> = (0..n_estimators as u64).into_par_iter().map(tree).collect::<Result<_, _>>()?;
    if trees.iter().all(|tree| tree.nodes.len() == 1) {
        return Err(refused("all rows to learn from are alike"));
    }
    let mut random = SplitMix64::of_part(seed, ROWS_TO_EXPLAIN);
    let explained = encoder.encode(rows, &sample(count, count.min(EXPLAINED), &mut random))?;
    let mut forest = Forest { base: 0.0, sums: 1, trees: trees.into_iter().map(|tree| (0, tree)).collect() };
    set_gains(&mut forest, &explained, width);
    Ok(TreesModel {
        kind: KIND,
        encoding: encoding.clone(),
        head: Head::AnomalyScore,
        forest,
        residuals: Vec::new(),
        isotonic: None,
    })
}

/// The first feature of each column, and behind the last.
fn starts(encoding: &Encoding) -> Vec<usize> {
    let mut starts = vec![0];
    for column in &encoding.columns {
        starts.push(starts.last().copied().unwrap_or(0) + column.scheme.features());
    }
    starts
}

/// So many different places of all, in any order.
fn sample(all: usize, count: usize, random: &mut SplitMix64) -> Vec<usize> {
    // Floyd's: memory goes with the sample.
    let mut places = std::collections::BTreeSet::new();
    for last in all - count.min(all)..all {
        let place = random.below(last + 1);
        if !places.insert(place) {
            places.insert(last);
        }
    }
    places.into_iter().collect()
}

/// Splits decrease no loss. So that importance means what it does of other trees, the gains of each feature come to what it
/// contributes to the scores of rows, on average, whichever the direction.
fn set_gains(forest: &mut Forest, rows: &[f32], width: usize) {
    let of_rows = rows.par_chunks_exact(width.max(1)).map(|row| {
        let mut contributions = vec![0.0; width];
        forest.trees.iter().for_each(|(_, tree)| add(tree, row, &mut contributions));
        contributions
    });
    let of_rows: Vec<Vec<f64>> = of_rows.collect();
    let mut totals = vec![0.0; width];
    for row in &of_rows {
        totals.iter_mut().zip(row).for_each(|(total, one)| *total += one.abs());
    }
    let mut splits = vec![0_usize; width];
    let nodes = || forest.trees.iter().flat_map(|(_, tree)| &tree.nodes).filter(|node| !node.is_leaf());
    nodes().for_each(|node| splits[node.feature as usize] += 1);
    for node in forest.trees.iter_mut().flat_map(|(_, tree)| &mut tree.nodes).filter(|node| !node.is_leaf()) {
        let feature = node.feature as usize;
        node.gain = (totals[feature] / (of_rows.len() * splits[feature]) as f64) as f32;
    }
}

/// Scores that half of the rows have at most, and 95 and 99 of 100.
fn quantiles(model: &TreesModel, rows: &Rows) -> Result<Vec<Metric>, EngineError> {
    let count = rows.count as usize;
    let step = count.div_ceil(SCORED).max(1);
    let places: Vec<usize> = (0..count).step_by(step).collect();
    let (encoder, width) = (Encoder::new(&model.encoding), model.encoding.features());
    let score = |places: &[usize]| -> Result<Vec<f64>, EngineError> {
        let mut sums = vec![0.0; places.len()];
        model.forest.margins(&encoder.encode(rows, places)?, width, &mut sums);
        Ok(sums)
    };
    let parts: Vec<Vec<f64>> = places.par_chunks(1024).map(score).collect::<Result<_, _>>()?;
    let mut scores: Vec<f64> = parts.into_iter().flatten().map(f64::exp2).collect();
    scores.sort_by(f64::total_cmp);
    let at = |(name, part): (&str, f64)| {
        let place = (part * (scores.len().saturating_sub(1)) as f64).round() as usize;
        Some(Metric { name: name.to_owned(), class: None, value: *scores.get(place)? })
    };
    Ok([("score_p50", 0.5), ("score_p95", 0.95), ("score_p99", 0.99)].into_iter().filter_map(at).collect())
}
