//! The loop: iterations, epochs, evaluations, checkpoints.
//!
//! It must not know files. Invariant: a training that goes on from a checkpoint makes the same iterations, in every bit, as one
//! that was never interrupted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ecommerce_ml_predictor::Sink;
use ecommerce_ml_protocol::training::{Epoch, JobOutput, Metric, Progress};
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_training::Targets;
use ecommerce_ml_training::evaluation::metrics;
use ecommerce_ml_training::progress::{Reporter, Update};
use rayon::ThreadPool;

use super::checkpoint::{self, Header};
use super::lbfgs::{Lbfgs, LbfgsState, Objective};
use super::problem::{ObjectiveValue, Problem};
use super::setup::{EPOCH, Setup};
use crate::call::columns_of;
use crate::linear::model::LinearModel;
use crate::linear::scoring::Scorer;
use crate::score::answer_in_parts;

/// A problem that is computed by the threads of a pool.
struct PooledObjective<'a>(&'a ThreadPool, &'a Problem);

impl Objective for PooledObjective<'_> {
    fn evaluate(&self, at: &[f64], gradient: &mut [f64]) -> ObjectiveValue {
        self.0.install(|| self.1.evaluate(at, gradient))
    }
}

/// A training under way.
pub(super) struct TrainingRun<'a> {
    setup: &'a Setup,
    pool: &'a ThreadPool,
    minimisation: Lbfgs,
    iterations: u64,
    /// Iterations behind the latest epoch that was reported.
    reported: Option<u64>,
    first_distance: f64,
    reporter: Reporter,
    /// Of the current epoch, before this process.
    seconds: f64,
    epoch_began: Instant,
    checkpointed: Instant,
}

/// What a training comes to.
pub(super) struct TrainedModel {
    pub(super) model: LinearModel,
    /// The last one.
    pub(super) epoch: u32,
    /// Whether it converged before its last iteration.
    pub(super) converged: bool,
}

impl<'a> TrainingRun<'a> {
    /// Begins, or goes on from a checkpoint.
    pub(super) fn new(setup: &'a Setup, pool: &'a ThreadPool) -> Self {
        let problem = &setup.problem;
        let checkpoint = setup.checkpoint.as_ref();
        let start = || LbfgsState { at: vec![0.0; problem.parameters()], steps: VecDeque::new() };
        let state = checkpoint.map_or_else(start, |checkpoint| checkpoint.state.clone());
        let (curvature, balanced) = (problem.curvature(), problem.balanced());
        let minimisation = Lbfgs::new(&PooledObjective(pool, problem), state, curvature, balanced);
        let header = checkpoint.map(|checkpoint| &checkpoint.header);
        let iterations = header.map_or(0, |header| header.iterations);
        let now = Instant::now();
        Self {
            setup,
            pool,
            first_distance: header.map_or_else(|| minimisation.distance(), |header| header.first_distance),
            minimisation,
            iterations,
            reported: header
                .map(|header| header.iterations)
                .filter(|iterations| iterations.is_multiple_of(EPOCH)),
            reporter: Reporter::new(iterations, u64::from(setup.options.max_iter)),
            seconds: header.map_or(0.0, |header| header.seconds),
            epoch_began: now,
            checkpointed: now,
        }
    }

    /// Learns until nothing is left to learn, or the last iteration is over.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] if nobody listens.
    pub(super) fn run(
        mut self,
        interval: Duration,
        sink: &mut dyn Sink,
    ) -> Result<TrainedModel, EngineError> {
        if !self.minimisation.objective.value.is_finite() {
            return Err(EngineError::new(
                ErrorKind::Internal,
                "training began with a loss that is not finite",
            ));
        }
        let last = u64::from(self.setup.options.max_iter);
        let mut converged = self.has_converged();
        while !converged && self.iterations < last {
            let before = self.minimisation.evaluations;
            if !self.minimisation.step(&PooledObjective(self.pool, &self.setup.problem)) {
                // As near as rounding lets it come.
                converged = true;
                break;
            }
            self.iterations += 1;
            self.report(self.minimisation.evaluations - before, sink)?;
            converged = self.has_converged();
            let is_last = converged || self.iterations == last;
            if self.iterations.is_multiple_of(EPOCH) && !is_last {
                self.end_epoch(sink)?;
            }
            if !is_last && self.checkpointed.elapsed() >= interval {
                self.checkpoint(sink)?;
            }
        }
        if self.reported != Some(self.iterations) {
            self.end_epoch(sink)?;
        }
        Ok(TrainedModel { model: self.model(), epoch: self.epoch(), converged })
    }

    fn has_converged(&self) -> bool {
        self.minimisation.distance() <= self.setup.options.tol
    }

    /// The number of the epoch that the latest iteration belongs to.
    fn epoch(&self) -> u32 {
        self.iterations.div_ceil(EPOCH).max(1) as u32
    }

    fn model(&self) -> LinearModel {
        self.setup.task.model(&self.setup.encoding, &self.setup.problem, &self.minimisation.state.at)
    }

    fn report(&mut self, evaluations: u64, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let update = Update {
            epoch: self.epoch(),
            step: self.iterations,
            loss: self.minimisation.objective.loss,
            learning_rate: 0.0,
            examples: evaluations * self.setup.problem.design.rows as u64,
        };
        let Some(progress) = self.reporter.update(update) else { return Ok(()) };
        let most = progress.seconds_left;
        let seconds_left = self.part_left().map_or(most, |part| (part * most).min(most));
        sink.send(JobOutput::Progress(Progress { seconds_left, ..progress }))
    }

    /// The part of all iterations left that it will take to converge, if it goes on as so far: the distance shrinks by the same
    /// factor in each.
    fn part_left(&self) -> Option<f64> {
        let distance = self.minimisation.distance();
        let so_far = (self.first_distance / distance).ln() / self.iterations as f64;
        let left = u64::from(self.setup.options.max_iter).saturating_sub(self.iterations) as f64;
        let iterations = (distance / self.setup.options.tol).ln() / so_far;
        (so_far > 0.0 && iterations.is_finite() && left > 0.0).then(|| (iterations / left).clamp(0.0, 1.0))
    }

    fn end_epoch(&mut self, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let evaluation = self.evaluate()?;
        let seconds = self.seconds + self.epoch_began.elapsed().as_secs_f64();
        (self.seconds, self.epoch_began, self.reported) = (0.0, Instant::now(), Some(self.iterations));
        sink.send(JobOutput::Epoch(Epoch {
            epoch: self.epoch(),
            step: self.iterations,
            training_loss: self.minimisation.objective.loss,
            evaluation,
            best: true,
            seconds,
        }))
    }

    /// Metrics of the rows held out, the loss first.
    fn evaluate(&self) -> Result<Vec<Metric>, EngineError> {
        let Setup { held_out, measured_rows, targets, .. } = self.setup;
        let rows = &held_out.split.held_out;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let (scorer, input) = (Scorer::new(&self.model()), columns_of(measured_rows)?);
        let answers = self.pool.install(|| answer_in_parts(&scorer, input, &|| false))?;
        let metrics = metrics(targets, rows, &answers);
        let metric =
            |name: &str| metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value);
        let loss = match targets {
            Targets::Numbers(_) => {
                let (_, deviation) = targets.scale(&held_out.split.training);
                metric("rmse").map(|rmse| 0.5 * (rmse / deviation).powi(2))
            }
            _ => metric("log_loss"),
        };
        let loss = loss.map(|value| Metric { name: "loss".to_owned(), class: None, value });
        Ok(loss.into_iter().chain(metrics.into_iter().filter(|metric| metric.class.is_none())).collect())
    }

    fn checkpoint(&mut self, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let state = &self.minimisation.state;
        let header = Header {
            fingerprint: self.setup.fingerprint.clone(),
            rows: self.setup.ids.len(),
            parameters: state.at.len(),
            steps: state.steps.len(),
            iterations: self.iterations,
            first_distance: self.first_distance,
            seconds: self.seconds + self.epoch_began.elapsed().as_secs_f64(),
        };
        checkpoint::send(&header, &self.setup.ids, state, sink)?;
        self.checkpointed = Instant::now();
        Ok(())
    }
}
