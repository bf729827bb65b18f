//! The loop: updates, epochs, evaluations, checkpoints.
//!
//! It must not know files or labels. Invariant: a training that goes on from a checkpoint makes the same updates, in every
//! bit, as one that was never interrupted.

use std::time::{Duration, Instant};

use ecommerce_ml_predictor::Sink;
use ecommerce_ml_protocol::training::{Epoch, JobOutput, Metric};
use ecommerce_ml_protocol::{EngineError, ErrorKind, Prediction};
use ecommerce_ml_tensor_cpu::softmax;
use ecommerce_ml_training::early_stopping::{EarlyStopping, Verdict};
use ecommerce_ml_training::evaluation::MetricAccumulator;
use ecommerce_ml_training::progress::{Reporter, Update};
use ecommerce_ml_training::{RowId, Targets};

use super::checkpoint::{self, Checkpoint, CheckpointTensors, Header};
use super::criterion::Criterion;
use super::examples::Examples;
use super::learner::{Learner, TrainingStep};
use super::search::Settings;
use crate::recipe::batches::{Batches, Position, updates};
use crate::recipe::optimizer::{AdamW, AdamWSettings, clip_coefficient};
use crate::recipe::options::{EvalStrategy, TrainingOptions};
use crate::recipe::schedule::Schedule;

/// What doesn't change while it goes on.
#[derive(Clone, Copy)]
pub(super) struct TrainingContext<'a> {
    pub(super) options: &'a TrainingOptions,
    pub(super) targets: &'a Targets,
    pub(super) examples: &'a Examples,
    pub(super) criterion: &'a Criterion,
    /// Mean and deviation that numbers are counted by.
    pub(super) scale: (f64, f64),
    /// What the rows are known by.
    pub(super) ids: &'a [RowId],
    pub(super) fingerprint: &'a str,
    /// Between checkpoints.
    pub(super) interval: Duration,
}

/// A training under way.
pub(super) struct Training<'a> {
    task: TrainingContext<'a>,
    learner: Learner,
    adam: AdamW,
    batches: Batches,
    schedule: Schedule,
    state: TrainingState,
    best: Option<(u32, Vec<f32>)>,
    reporter: Reporter,
    /// When the current epoch began, as far as this process goes.
    epoch_began: Instant,
    checkpointed: Instant,
}

/// Where it is.
#[derive(Debug, Clone)]
struct TrainingState {
    step: u64,
    position: Position,
    stopping: EarlyStopping,
    stopped: bool,
    losses: (f64, u64),
    /// Of the current epoch, before this process.
    seconds: f64,
}

/// What a training comes to.
pub(super) struct TrainedLearner {
    pub(super) learner: Learner,
    /// Whose parameters they are, counted from 1.
    pub(super) epoch: u32,
    pub(super) stopped_early: bool,
}

/// Updates in all.
pub(super) fn steps(options: &TrainingOptions, examples: &Examples) -> u64 {
    let batches = examples.training.len().div_ceil(options.per_device_train_batch_size);
    updates(batches, options.gradient_accumulation_steps) as u64 * u64::from(options.num_train_epochs)
}

impl<'a> Training<'a> {
    /// Begins, or goes on from a checkpoint.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if the checkpoint is of other data.
    pub(super) fn new(
        task: TrainingContext<'a>,
        mut learner: Learner,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Self, EngineError> {
        let options = task.options;
        let settings = AdamWSettings { weight_decay: options.weight_decay, ..AdamWSettings::default() };
        let lengths = learner.lengths(task.examples);
        let batches = Batches::new(lengths, options.per_device_train_batch_size, options.seed);
        let steps = steps(options, task.examples);
        let schedule =
            Schedule::new(options.lr_scheduler_type, options.learning_rate, options.warmup_ratio, steps);
        let (mut adam, mut best) = (AdamW::new(settings), None);
        let mut state = TrainingState {
            step: 0,
            position: batches.start(),
            stopping: EarlyStopping::new(options.metric_for_best_model, options.early_stopping_patience),
            stopped: false,
            losses: (0.0, 0),
            seconds: 0.0,
        };
        if let Some(checkpoint) = checkpoint {
            if checkpoint.header.trained != learner.trained_count() {
                return Err(EngineError::new(ErrorKind::InvalidRequest, "checkpoint is of another network"));
            }
            state = TrainingState::of(&checkpoint.header);
            batches.rest(state.position)?;
            adam = resumed(settings, &mut learner, &checkpoint)?;
            best = checkpoint.best();
            let trained = checkpoint.trained();
            drop(checkpoint);
            learner.set_trained(&trained)?;
        }
        let (reporter, now) = (Reporter::new(state.step, steps), Instant::now());
        let (epoch_began, checkpointed) = (now, now);
        Ok(Self { task, learner, adam, batches, schedule, state, best, reporter, epoch_began, checkpointed })
    }

    /// Learns until the last epoch is over, or no later one gets better.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if it diverges; [`ErrorKind::Cancelled`] if nobody listens.
    pub(super) fn run(mut self, sink: &mut dyn Sink) -> Result<TrainedLearner, EngineError> {
        while !self.state.stopped && self.state.position.epoch < self.task.options.num_train_epochs {
            self.epoch(sink)?;
        }
        let epoch = match self.best.take() {
            None => self.state.position.epoch,
            Some((epoch, best)) => {
                self.learner.set_trained(&best)?;
                epoch
            }
        };
        Ok(TrainedLearner { learner: self.learner, epoch, stopped_early: self.state.stopped })
    }

    /// Learns what is left of an epoch.
    fn epoch(&mut self, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let (number, mut done) = (self.state.position.epoch, self.state.position.batch);
        let rest = self.batches.rest(self.state.position)?;
        let mut groups = rest.chunks(self.task.options.gradient_accumulation_steps).peekable();
        while let Some(group) = groups.next() {
            self.update(number, group, sink)?;
            done += group.len();
            self.state.position = self.batches.position(number, done);
            // The last one of an epoch waits for its evaluation.
            if groups.peek().is_some() {
                self.checkpoint_if_due(sink)?;
            }
        }
        self.end_epoch(number + 1, sink)?;
        self.checkpoint_if_due(sink)
    }

    /// Ends of epochs are no exception: an epoch may be over in a second, and a checkpoint has many times the bytes of a
    /// model. What is lost since the last one is learned again, to the same bits.
    fn checkpoint_if_due(&mut self, sink: &mut dyn Sink) -> Result<(), EngineError> {
        if self.checkpointed.elapsed() >= self.task.interval { self.checkpoint(sink) } else { Ok(()) }
    }

    /// One change of the weights.
    fn update(&mut self, epoch: u32, group: &[Vec<usize>], sink: &mut dyn Sink) -> Result<(), EngineError> {
        let TrainingContext { options, examples, criterion, .. } = self.task;
        let batches: Vec<Vec<usize>> =
            group.iter().map(|batch| batch.iter().map(|&at| examples.training[at]).collect()).collect();
        let all = batches.concat();
        let denominator = criterion.denominator(&examples.rows(&all))?;
        let (batches, epsilon, index) = (&*batches, options.adversarial_epsilon, self.state.step);
        let loss = self.learner.learn(&TrainingStep {
            examples,
            criterion,
            batches,
            denominator,
            epsilon,
            epoch,
            index,
        })?;
        let norm = self.learner.norm()?;
        if !norm.is_finite() || !loss.is_finite() {
            return Err(diverged(self.state.step + 1));
        }
        let rate = self.schedule.rate(self.state.step);
        self.learner.update(&mut self.adam, rate, clip_coefficient(norm, options.max_grad_norm))?;
        self.state.step += 1;
        self.state.losses = (self.state.losses.0 + loss, self.state.losses.1 + 1);
        let (step, examples) = (self.state.step, all.len() as u64);
        let update = Update { epoch: epoch + 1, step, loss, learning_rate: rate, examples };
        self.reporter.update(update).map_or(Ok(()), |progress| sink.send(JobOutput::Progress(progress)))
    }

    /// Evaluates, and decides whether to go on.
    fn end_epoch(&mut self, epoch: u32, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let (mut evaluation, mut best) = (Vec::new(), false);
        if self.task.options.eval_strategy == EvalStrategy::Epoch && !self.task.examples.held_out.is_empty() {
            let (metrics, value) = self.evaluate()?;
            evaluation = metrics;
            match self.state.stopping.observe(value)? {
                Verdict::Best => {
                    best = true;
                    self.keep_best(epoch)?;
                }
                Verdict::GoOn => {}
                Verdict::Stop => self.state.stopped = true,
            }
        }
        let seconds = self.state.seconds + self.epoch_began.elapsed().as_secs_f64();
        let training_loss = self.state.losses.0 / self.state.losses.1.max(1) as f64;
        (self.state.losses, self.state.seconds, self.epoch_began) = ((0.0, 0), 0.0, Instant::now());
        let step = self.state.step;
        sink.send(JobOutput::Epoch(Epoch { epoch, step, training_loss, evaluation, best, seconds }))
    }

    /// Metrics of all rows held out, and the one that epochs are compared by.
    fn evaluate(&mut self) -> Result<(Vec<Metric>, f64), EngineError> {
        let TrainingContext { options, targets, examples, criterion, scale, .. } = self.task;
        let rows = &examples.held_out;
        let outputs = self.learner.outputs(examples, rows)?;
        let loss = criterion.loss(&outputs, rows, criterion.denominator(rows)?)?.value;
        let labels = targets.labels();
        let mut tally = MetricAccumulator::new(targets);
        for (&row, outputs) in rows.iter().zip(outputs.chunks(targets.outputs())) {
            let mut probabilities = outputs.to_vec();
            tally.add(targets.actual(row), prediction(&mut probabilities, &labels, scale));
        }
        let wanted = options.metric_for_best_model;
        let value = tally.wanted(wanted, loss).ok_or_else(|| without_value(wanted.as_str(), loss))?;
        let loss = Metric { name: "loss".to_owned(), class: None, value: loss };
        let overall = tally.metrics().into_iter().filter(|metric| metric.class.is_none());
        Ok((std::iter::once(loss).chain(overall).collect(), value))
    }

    fn keep_best(&mut self, epoch: u32) -> Result<(), EngineError> {
        let trained = self.learner.trained()?;
        match &mut self.best {
            Some((of, best)) => {
                *of = epoch;
                best.copy_from_slice(trained);
            }
            None => self.best = Some((epoch, trained.to_vec())),
        }
        Ok(())
    }

    fn checkpoint(&mut self, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let on_device = match self.adam.steps() {
            0 => None,
            1.. => self.learner.moments_on_device()?,
        };
        let on_device =
            on_device.iter().map(|(exp_avg, exp_avg_sq)| (exp_avg.as_slice(), exp_avg_sq.as_slice()));
        let on_cpu = self.learner.list_on_cpu().filter_map(|(name, _)| self.adam.moments(name));
        let moments: Vec<_> = on_device.chain(on_cpu).collect();
        let (state, trained) = (&self.state, self.learner.trained()?);
        let header = Header {
            fingerprint: self.task.fingerprint.to_owned(),
            rows: self.task.ids.len(),
            trained: trained.len(),
            moments: !moments.is_empty(),
            best: self.best.as_ref().map(|(epoch, _)| *epoch),
            step: state.step,
            position: state.position,
            stopping: state.stopping.clone(),
            stopped: state.stopped,
            losses: state.losses,
            seconds: state.seconds + self.epoch_began.elapsed().as_secs_f64(),
            settings: Some(Settings::of(self.task.options)),
        };
        let best = self.best.as_ref().map(|(_, best)| best.as_slice());
        checkpoint::send(&header, self.task.ids, &CheckpointTensors { trained, moments, best }, sink)?;
        self.checkpointed = Instant::now();
        Ok(())
    }
}

impl TrainingState {
    fn of(header: &Header) -> Self {
        Self {
            step: header.step,
            position: header.position,
            stopping: header.stopping.clone(),
            stopped: header.stopped,
            losses: header.losses,
            seconds: header.seconds,
        }
    }
}

/// The optimizer as it was.
fn resumed(
    settings: AdamWSettings,
    learner: &mut Learner,
    checkpoint: &Checkpoint,
) -> Result<AdamW, EngineError> {
    let Some((exp_avg, exp_avg_sq)) = checkpoint.moments() else { return Ok(AdamW::new(settings)) };
    let mut at = learner.take_moments(&exp_avg, &exp_avg_sq)?;
    let moments = learner.list_on_cpu().map(|(name, length)| {
        let range = at..at + length;
        at = range.end;
        (name.to_owned(), exp_avg[range.clone()].to_vec(), exp_avg_sq[range].to_vec())
    });
    Ok(AdamW::resumed(settings, checkpoint.header.step, moments))
}

/// What a network's outputs for a row say: logits of these labels, which become probabilities; or, if there are none, a number
/// that is counted in deviations from a mean.
fn prediction<'a>(
    outputs: &'a mut [f32],
    labels: &'a [String],
    (mean, deviation): (f64, f64),
) -> Prediction<'a> {
    if labels.is_empty() {
        let value = outputs.first().map_or(f64::NAN, |&value| f64::from(value) * deviation + mean);
        return Prediction::Number(value);
    }
    softmax(outputs);
    Prediction::Class { labels, probabilities: outputs }
}

fn diverged(step: u64) -> EngineError {
    EngineError::new(
        ErrorKind::InvalidRequest,
        format!("training has diverged: gradients of update {step} are not finite"),
    )
    .with_hint("Try a lower \"learning_rate\".")
}

fn without_value(metric: &str, loss: f64) -> EngineError {
    let message = format!("metric \"{metric}\" has no value on the rows held out");
    let error = EngineError::new(ErrorKind::InvalidRequest, message);
    if loss.is_finite() {
        error.with_hint(
            "Hold out more rows with \"eval_fraction\", or choose another \"metric_for_best_model\".",
        )
    } else {
        error.with_hint("Try a lower \"learning_rate\".")
    }
}
