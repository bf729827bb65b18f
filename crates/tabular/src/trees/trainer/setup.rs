//! A job, read and checked, with the features of its rows.
//!
//! It must not know how trees are grown. Invariant: a [`Setup`] can be trained with: what the rows and the options contradict each
//! other in was refused, and it fits into the memory that it may take.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::Job;
use ecommerce_ml_protocol::training::{Objective, Prepared};
use ecommerce_ml_protocol::{EngineError, Field, Input, Rows, ValueType};
use ecommerce_ml_training::{Dataset, HeldOut, Targets};
use ecommerce_ml_xgboost::{Library, Matrix};
use rayon::prelude::*;

use super::fit::{Means, fit};
use super::folds::{FOLDS, Parts, by_time, of_folds, of_rows};
use super::loss::Wanted;
use super::memory::MemoryModel;
use super::options::Options;
use super::search::Fold;
use super::{DEPTHS, internal};
use crate::call::{bytes_of, check_columns, columns_of};
use crate::columns::{find, refused};
use crate::findings::{add_useless_columns, leaking_columns, refuse_constants};
use crate::texts::{Learned, Plan, TextModels};
use crate::trees::encoding::{Encoder, Encoding};

/// From so many numbers on one fold and one depth are tried: what chance does to a choice shrinks with the rows.
const MANY: usize = 2_000_000;

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
    /// Parts of them.
    pub(super) folds: Vec<Fold>,
    /// Which depths are tried.
    pub(super) depths: Vec<u32>,
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
    pub(super) fn new(job: Job, library: &Arc<Library>, texts: &TextModels) -> Result<Self, EngineError> {
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
        let sizes = MemoryModel {
            rows: dataset.len(),
            learned: learned.len(),
            features,
            sums: wanted.sums(),
            folds: if many { 1 } else { usize::from(FOLDS) },
            rounds: options.n_estimators as usize,
            input: dataset.input.bytes(),
            texts: texts.as_ref().map_or(0, |plan| plan.bytes(dataset.len())),
            incumbent: incumbent.as_ref().map_or(0, bytes_of),
        };
        let memory = sizes.check(plan.memory_limit)?;
        let texts = texts.map(|plan| plan.learn(columns, &learned)).transpose()?;
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
        let folds = parts.into_par_iter().map(fold).collect::<Result<Vec<Fold>, EngineError>>()?;
        let depths = match (options.max_depth, many) {
            _ if folds.is_empty() => Vec::new(),
            (Some(depth), _) => vec![depth],
            (None, true) => vec![DEPTH_OF_MANY],
            (None, false) => DEPTHS.to_vec(),
        };
        let epochs = depths.len() as u32 + 1;
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
            folds,
            depths,
            prepared,
            incumbent,
            monotone,
            texts,
        })
    }

    /// XGBoost's parameters.
    pub(super) fn parameters(&self, depth: u32, threads: usize) -> Vec<(&'static str, String)> {
        let Options { learning_rate, min_child_weight, reg_lambda, common, .. } = &self.options;
        let mut parameters = vec![
            ("booster", "gbtree".to_owned()),
            ("tree_method", "hist".to_owned()),
            ("max_depth", depth.to_string()),
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
