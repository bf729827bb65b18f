//! A job, read and checked, with the features of its rows.
//!
//! It must not know how trees are grown. Invariant: a [`Setup`] can be trained with: what the rows and the options contradict each
//! other in was refused, and it fits into the memory that it may take.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Job, Sink};
use ecommerce_ml_protocol::training::{Objective, Prepared};
use ecommerce_ml_protocol::{EngineError, Field, Input, Rows, ValueType};
use ecommerce_ml_training::search::{SearchOptions, measurements, rungs};
use ecommerce_ml_training::{Dataset, HeldOut, Targets};
use ecommerce_ml_xgboost::{Library, Matrix};
use rayon::prelude::*;

use super::fit::{Means, fit};
use super::folds::{FOLDS, Parts, by_time, of_folds, of_rows};
use super::loss::Wanted;
use super::memory::MemoryModel;
use super::options::Options;
use super::search::Fold;
use super::settings::Settings;
use super::{DEPTHS, internal};
use crate::call::{bytes_of, check_columns, columns_of};
use crate::columns::{find, refused};
use crate::findings::{add_useless_columns, leaking_columns, refuse_constants};
use crate::texts::{Learned, Plan, TextModels};
use crate::trees::encoding::{Encoder, Encoding};

/// From so many numbers on one fold and one depth are tried: what chance does to a choice shrinks with the rows.
const MANY: usize = 2_000_000;

/// Fewest rows that a trial learns from, unless there are fewer.
const LEAST_ROWS: usize = 1000;

/// The depth of trees of many rows.
const DEPTH_OF_MANY: u32 = 6;

/// What a training begins with.
pub(super) struct Setup {
    pub(super) options: Options,
    pub(super) targets: Targets,
    pub(super) held_out: HeldOut,
    /// What is read of the rows held out.
    pub(super) held_out_rows: Input,
    pub(super) encoding: Encoding,
    pub(super) wanted: Wanted,
    /// All rows to learn from.
    pub(super) whole: Fold,
    /// Parts of them, for each rung of a search; those of the last, or only one, have all rows.
    pub(super) rungs: Vec<Vec<Fold>>,
    /// What is tried: first what would be without a search.
    pub(super) trials: Vec<Settings>,
    /// How many of the trials those are.
    pub(super) own_trials: usize,
    pub(super) prepared: Prepared,
    pub(super) incumbent: Option<ModelFiles>,
    monotone: String,
    /// What was learned of texts that a text model reads.
    pub(super) texts: Option<Learned>,
}

impl Setup {
    /// Reads a job.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(
        job: Job,
        library: &Arc<Library>,
        texts: &TextModels,
        sink: &mut dyn Sink,
    ) -> Result<Self, EngineError> {
        let Job { plan, base, incumbent, rows, .. } = job;
        let call = &plan.call;
        check_columns(&call.input)?;
        let (options, effective) = Options::read(call)?;
        let fields = call.input.fields();
        let dataset = Dataset::new(call, rows)?;
        let targets = Targets::read(call.objective, &dataset.labels, None)?;
        check_monotone(call.objective, targets.labels().len(), &options)?;
        let common = options.common;
        let mut held_out = HeldOut::choose(&dataset, &targets, common.eval_fraction, common.seed)?;
        let learned = held_out.split.training.clone();
        let wanted = Wanted::new(&targets, &learned, dataset.len(), &options.class_weights)?;
        let columns = columns_of(&dataset.input)?;
        let texts = Plan::of(call, (columns, &learned), base, texts.get())?;
        let read = texts.as_ref().map_or(&[][..], Plan::places);
        add_useless_columns(&mut held_out.findings, fields, &find(columns, fields)?, (&learned, read));
        refuse_constants(&held_out.findings, fields)?;
        let features = match &texts {
            Some(plan) => plan.numbers() + most_features(&plan.others()),
            None => most_features(fields),
        };
        let many = learned.len() * features >= MANY;
        let own = own_settings(&options, many);
        let own_trials = own.len();
        let (trials, divisors) = match options.search {
            None => (own, vec![1]),
            Some(SearchOptions { trials, .. }) => {
                let trials = (trials as usize).max(own_trials);
                (Settings::drawn(&options, own, trials), rungs(learned.len(), trials, LEAST_ROWS))
            }
        };
        let sizes = MemoryModel {
            rows: dataset.len(),
            learned: learned.len(),
            features,
            sums: wanted.sums(),
            // Those of the rungs before the last have half as many rows together.
            folds: (if many { 1 } else { usize::from(FOLDS) }) * if divisors.len() > 1 { 2 } else { 1 },
            rounds: options.n_estimators as usize,
            input: dataset.input.bytes(),
            texts: texts.as_ref().map_or(0, |plan| plan.bytes(dataset.len())),
            incumbent: incumbent.as_ref().map_or(0, bytes_of),
        };
        let memory = sizes.check(plan.memory_limit)?;
        let texts = texts.map(|plan| plan.learn(columns, &learned, sink)).transpose()?;
        let (columns, fields) =
            texts.as_ref().map_or((columns, fields), |texts| (&texts.rows, &texts.fields));
        let row_folds = of_rows(&dataset, &targets, &learned, common.seed);
        let (of, values) = wanted.means(&targets.labels(), &targets);
        let means = Means { of: &of, values: &values, folds: &row_folds, count: FOLDS };
        let (encoding, own) = fit(columns, fields, &learned, means)?;
        if encoding.features() == 0 {
            return Err(refused("no column to learn from has a value"));
        }
        let leaking = leaking_columns(fields, &find(columns, fields)?, &learned, &targets);
        held_out.findings.leaking_columns =
            texts.as_ref().map_or(leaking.clone(), |texts| texts.outer_names(leaking));
        let matrix = Matrix::new(library, &own, encoding.features()).map_err(internal)?;
        drop(own);
        let whole = Fold { learned: learned.clone(), measured: Vec::new(), matrices: vec![Arc::new(matrix)] };
        let parts = if call.has_time {
            by_time(&learned, &dataset.times)
        } else {
            of_folds(&learned, &row_folds, many)
        };
        let fold = |parts: Parts| fold_of(library, (columns, fields), parts, means);
        // Rows are in an order of their own, so that every so-many-th is any.
        let thinned = |(learned, measured): &Parts, divisor: usize| {
            (learned.iter().copied().step_by(divisor).collect(), measured.clone())
        };
        let rung = |divisor: &usize| {
            let parts: Vec<Parts> = parts.iter().map(|parts| thinned(parts, *divisor)).collect();
            parts.into_par_iter().map(fold).collect::<Result<Vec<Fold>, EngineError>>()
        };
        let trials = if parts.is_empty() { Vec::new() } else { trials };
        let measurements = measurements(trials.len(), own_trials, divisors.len());
        let rungs = divisors.iter().map(rung).collect::<Result<Vec<_>, _>>()?;
        let epochs = measurements as u32 + 1;
        let prepared = Prepared {
            epochs,
            steps: u64::from(epochs) * u64::from(options.n_estimators),
            memory,
            options: effective,
            ..held_out.prepared(&dataset, &targets)
        };
        let held_out_rows = dataset.input_of(&held_out.split.held_out);
        let monotone = monotone(&encoding, &options);
        let texts = texts.map(Learned::without_rows);
        Ok(Self {
            options,
            targets,
            held_out,
            held_out_rows,
            encoding,
            wanted,
            whole,
            rungs,
            trials,
            own_trials,
            prepared,
            incumbent,
            monotone,
            texts,
        })
    }

    /// Parts of all rows to learn from.
    pub(super) fn folds(&self) -> &[Fold] {
        self.rungs.last().map_or(&[], Vec::as_slice)
    }

    /// XGBoost's parameters.
    pub(super) fn parameters(&self, settings: Settings, threads: usize) -> Vec<(&'static str, String)> {
        let Settings { max_depth, learning_rate, min_child_weight, reg_lambda } = settings;
        let common = self.options.common;
        let mut parameters = vec![
            ("booster", "gbtree".to_owned()),
            ("tree_method", "hist".to_owned()),
            ("max_depth", max_depth.to_string()),
            ("eta", learning_rate.to_string()),
            ("min_child_weight", min_child_weight.to_string()),
            ("lambda", reg_lambda.to_string()),
            ("seed", (common.seed % (1 << 31)).to_string()),
            ("nthread", threads.max(1).to_string()),
        ];
        if !self.monotone.is_empty() {
            parameters.push(("monotone_constraints", self.monotone.clone()));
        }
        parameters
    }
}

/// What is tried where nothing is looked for.
fn own_settings(options: &Options, many: bool) -> Vec<Settings> {
    let depths = match (options.max_depth, many) {
        (Some(depth), _) => vec![depth],
        (None, true) => vec![DEPTH_OF_MANY],
        (None, false) => DEPTHS.to_vec(),
    };
    depths.into_iter().map(|depth| Settings::of(options, depth)).collect()
}

/// The features of a part of the rows, encoded by what the part alone tells.
fn fold_of(
    library: &Arc<Library>,
    (columns, fields): (&Rows, &[Field]),
    (learned, measured): Parts,
    means: Means<'_>,
) -> Result<Fold, EngineError> {
    let (encoding, own) = fit(columns, fields, &learned, means)?;
    // A part may have none of the values that the whole has.
    let width = encoding.features().max(1);
    let encoded = |own: Vec<f32>, rows: usize| if own.is_empty() { vec![f32::NAN; rows] } else { own };
    let matrix = |numbers: &[f32]| Matrix::new(library, numbers, width).map(Arc::new).map_err(internal);
    let first = matrix(&encoded(own, learned.len()))?;
    let others = Encoder::new(&encoding).encode(columns, &measured)?;
    let second = matrix(&encoded(others, measured.len()))?;
    Ok(Fold { learned, measured, matrices: vec![first, second] })
}

/// How many features columns have at most.
fn most_features(fields: &[Field]) -> usize {
    let of = |field: &Field| match field.value_type {
        ValueType::Number | ValueType::Boolean => 1,
        ValueType::Timestamp => 5,
        ValueType::Text => 11,
    };
    fields.iter().map(of).sum()
}

/// Refuses directions where there is no number that could rise or fall. How many classes there are is known by the rows alone.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`].
pub(super) fn check_monotone(
    objective: Objective,
    classes: usize,
    options: &Options,
) -> Result<(), EngineError> {
    if options.monotone.is_empty() || (objective != Objective::Rating && classes <= 2) {
        return Ok(());
    }
    Err(refused("training option \"monotone\" is for regressions and for classifications with two classes"))
}

/// The direction of each feature, as XGBoost has it; nothing if there is none.
fn monotone(encoding: &Encoding, options: &Options) -> String {
    if options.monotone.is_empty() {
        return String::new();
    }
    let of = encoding.columns.iter().flat_map(|column| {
        let direction = options.monotone.get(&column.field.name).copied().unwrap_or(0);
        vec![direction.to_string(); column.scheme.features()]
    });
    format!("({})", of.collect::<Vec<_>>().join(","))
}
