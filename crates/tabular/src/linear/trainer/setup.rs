//! A job, read and checked, and the problem that it poses.
//!
//! It must not know how the problem is solved. Invariant: a [`Setup`] can be trained with: what the rows, the options and the
//! checkpoint contradict each other in was refused, and it fits into the memory that it may take.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Job, Sink};
use ecommerce_ml_protocol::training::{Prepared, TrainingCall};
use ecommerce_ml_protocol::{EngineError, Input};
use ecommerce_ml_training::{Dataset, HeldOut, Targets};
use rayon::ThreadPool;

use super::checkpoint::Checkpoint;
use super::design::Design;
use super::fit::fit;
use super::memory::{MemoryModel, within_texts};
use super::options::{Options, Penalty};
use super::problem::Problem;
use super::task::LearningTask;
use crate::call::{bytes_of, check_columns, columns_of};
use crate::columns::{find, refused};
use crate::findings::{add_useless_columns, leaking_columns, refuse_constants};
use crate::linear::encoding::Encoding;
use crate::texts::{Learned, Plan, TextModels};

/// What a training begins with.
pub(super) struct Setup {
    pub(super) options: Options,
    pub(super) targets: Targets,
    pub(super) held_out: HeldOut,
    /// What is read of the rows held out.
    pub(super) held_out_rows: Input,
    /// The same as the equations see it, with numbers in the place of texts that a text model reads.
    pub(super) measured_rows: Input,
    /// What was learned of those texts.
    pub(super) texts: Option<Learned>,
    pub(super) ids: Vec<[u8; 16]>,
    pub(super) encoding: Encoding,
    pub(super) task: LearningTask,
    pub(super) problem: Problem,
    pub(super) prepared: Prepared,
    pub(super) fingerprint: String,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) incumbent: Option<ModelFiles>,
}

/// Iterations of an epoch, as it is shown: a row of metrics for each iteration would be too many.
pub(super) const EPOCH: u64 = 10;

impl Setup {
    /// Reads a job.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(
        job: Job,
        pool: &ThreadPool,
        texts: &TextModels,
        sink: &mut dyn Sink,
    ) -> Result<Self, EngineError> {
        let Job { plan, base, incumbent, rows, checkpoint, .. } = job;
        let call = &plan.call;
        check_columns(&call.input)?;
        let (options, effective, canonical) = Options::read(&call.options, call.objective)?;
        let fingerprint = fingerprint(call, &canonical);
        let checkpoint_bytes = checkpoint.len();
        let checkpoint = Checkpoint::read(&checkpoint, &fingerprint)?;
        let mut dataset = Dataset::new(call, rows)?;
        let ignored = match &checkpoint {
            Some(checkpoint) => dataset.keep(&checkpoint.ids)?,
            None => 0,
        };
        let targets = Targets::read(call.objective, &dataset.labels, None)?;
        let common = options.common;
        let mut held_out = HeldOut::choose(&dataset, &targets, common.eval_fraction, common.seed)?;
        let columns = columns_of(&dataset.input)?;
        let learned = &held_out.split.training;
        let texts = Plan::of(call, (columns, learned), base, texts.get())?;
        let fields = call.input.fields();
        let read = texts.as_ref().map_or(&[][..], Plan::places);
        add_useless_columns(&mut held_out.findings, fields, &find(columns, fields)?, (learned, read));
        refuse_constants(&held_out.findings, fields)?;
        let text_bytes = texts.as_ref().map_or(0, |plan| plan.bytes(dataset.len()));
        within_texts(text_bytes, plan.memory_limit)?;
        let texts = texts.map(|plan| pool.install(|| plan.learn(columns, learned, sink))).transpose()?;
        let (columns, fields) =
            texts.as_ref().map_or((columns, fields), |texts| (&texts.rows, &texts.fields));
        let leaking = leaking_columns(fields, &find(columns, fields)?, learned, &targets);
        held_out.findings.leaking_columns =
            texts.as_ref().map_or(leaking.clone(), |texts| texts.outer_names(leaking));
        let encoding = fit(columns, fields, learned, options.max_categories)?;
        let task = LearningTask::new(&targets, learned, &options)?;
        let sizes = MemoryModel {
            rows: dataset.len(),
            learned: learned.len(),
            held_out: held_out.split.held_out.len(),
            input: dataset.input.bytes(),
            texts: text_bytes,
            encoding: &encoding,
            equations: task.equations,
            labels: targets.labels().len(),
            incumbent: incumbent.as_ref().map_or(0, bytes_of),
            checkpoint: checkpoint_bytes,
        };
        let memory = sizes.check(plan.memory_limit)?;
        let design = pool.install(|| Design::new(&encoding, columns, learned))?;
        let problem = task.problem(&targets, learned, design, penalty(&options, &task));
        let parameters = problem.parameters();
        if checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.header.parameters != parameters) {
            return Err(refused("checkpoint is of another model").with_hint("Train the model anew."));
        }
        let prepared = Prepared {
            ignored_rows: ignored,
            epochs: options.max_iter.div_ceil(EPOCH as u32),
            steps: u64::from(options.max_iter),
            resumed_at: checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.header.iterations),
            memory,
            options: effective,
            ..held_out.prepared(&dataset, &targets)
        };
        let held_out_rows = dataset.input_of(&held_out.split.held_out);
        let measured_rows = Input::Rows(columns.picked(&held_out.split.held_out));
        let texts = texts.map(Learned::without_rows);
        Ok(Self {
            options,
            targets,
            held_out,
            held_out_rows,
            measured_rows,
            texts,
            ids: dataset.ids,
            encoding,
            task,
            problem,
            prepared,
            fingerprint,
            checkpoint,
            incumbent,
        })
    }
}

/// What half a squared coefficient costs beside the mean loss.
fn penalty(options: &Options, task: &LearningTask) -> f64 {
    match options.penalty {
        Penalty::Logistic { c } => 1.0 / (c * task.weight),
        Penalty::Ridge { alpha } => alpha / task.weight,
    }
}

/// Stands for what a checkpoint can't be used without.
fn fingerprint(call: &TrainingCall, options: &str) -> String {
    let TrainingCall { objective, input, has_time, .. } = call;
    blake3::hash(format!("{objective:?}\0{input:?}\0{has_time}\0{options}").as_bytes()).to_string()
}
