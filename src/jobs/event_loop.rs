//! The event loop of a training: what its process says, and what is kept of it.
//!
//! Invariant: what is recorded is recorded for a job that is running; one that was cancelled or dropped meanwhile ends
//! here, within a second.

use std::time::{Duration, Instant};

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_protocol::training::{
    Baseline, CheckpointPart, Epoch, JobOutput, Phase, Prepared, Progress as Reached, Trial,
};
use pgrx::{log, pg_sys};

use super::findings;
use super::outcome;
use super::progress::Progress;
use super::send_inputs::{self, Sent};
use super::training_process::TrainingProcess;
use super::worker::POLL_INTERVAL;
use crate::background::transaction;
use crate::catalog::jobs::{Failure, Job};
use crate::catalog::{checkpoints, jobs};
use crate::error::Error;

/// SQLSTATE of rows that nothing can be learned from, too few of them for example.
const INVALID_VALUE: &str = "22023";

/// What to do where an ensemble has too few rows.
const MEMBERS_HINT: &str = "Wait for new rows, or train the members on some of the rows by option \"where\", and the ensemble on the others.";

/// How a training ended, if it didn't fail.
pub enum End {
    /// With a new version.
    Succeeded,
    /// Cancelled, or dropped.
    Cancelled,
    /// Its process was lost, with this exit report.
    Lost(String),
}

/// Trains a job with a process of its own.
///
/// # Errors
/// Why it failed.
pub fn train(job: &Job, report: &mut Progress, database: pg_sys::Oid) -> Result<End, Failure> {
    let failures = report.failures;
    *report = Progress { phase: "reading rows".to_owned(), failures, ..Progress::new(report.job) };
    report.report(database);
    let mut process = TrainingProcess::start()?;
    report.engine_pid = i32::try_from(process.pid()).ok();
    let sent = transaction(|| {
        send_inputs::send_inputs(&mut process, job, |rows| {
            report.rows_read = rows;
            report.report(database);
        })
    })
    .map_err(|failure| with_session_hint(failure, job))?;
    "preparing".clone_into(&mut report.phase);
    report.report(database);
    let mut events = EventLoop { job, process, report, database, sent, baseline: None };
    events.run()
}

/// Says what a job has of the session that called and what it hasn't, where something was not found or not understood.
fn with_session_hint(mut failure: Failure, job: &Job) -> Failure {
    let is_about_names = failure.sqlstate.starts_with("42") || failure.sqlstate.starts_with("3F");
    let is_about_values = matches!(&*failure.sqlstate, "22007" | "22008" | "26000" | "34000");
    if failure.hint.is_none() && (is_about_names || is_about_values) {
        failure.hint = Some(session_hint(job));
    }
    failure
}

/// In words for the user.
fn session_hint(job: &Job) -> String {
    let role = &job.owner_name;
    format!(
        "A job works in a session of its own, as role \"{role}\". It has the search_path, the time zone, the date style and \
         the settings with a dot in their names of the session that called, but no temporary objects, prepared \
         statements or other settings of it, and sees what was committed."
    )
}

/// A training that goes on.
struct EventLoop<'a> {
    job: &'a Job,
    process: TrainingProcess,
    report: &'a mut Progress,
    database: pg_sys::Oid,
    sent: Sent,
    /// What the labels alone are worth, as the process has said.
    baseline: Option<Baseline>,
}

impl EventLoop<'_> {
    fn run(&mut self) -> Result<End, Failure> {
        let mut last_poll = Instant::now();
        loop {
            let still_running = match self.process.receive(POLL_INTERVAL) {
                Some(JobOutput::Reading { done, of }) => self.reading(done, of),
                Some(JobOutput::Prepared(prepared)) => self.prepared(&prepared)?,
                Some(JobOutput::Phase(phase)) => self.enter_phase(phase),
                Some(JobOutput::Progress(reached)) => self.progress(&reached),
                Some(JobOutput::Trial(trial)) => self.trial(&trial)?,
                Some(JobOutput::TrialChosen { number }) => {
                    transaction(|| jobs::record_chosen(self.job.id, number))?
                }
                Some(JobOutput::Epoch(epoch)) => self.epoch(&epoch)?,
                Some(JobOutput::Checkpoint(part)) => self.checkpoint(&part)?,
                Some(JobOutput::Model(part)) => {
                    self.phase("saving");
                    let baseline = self.baseline.take();
                    let kept =
                        self.keep(|job, process| outcome::store(job, process, part, baseline.as_ref()))?;
                    return Ok(match kept {
                        Some(()) => End::Succeeded,
                        None => End::Lost(self.process.exit_report()),
                    });
                }
                Some(JobOutput::Finished(_)) => {
                    return Err(Error::Unexpected("a training without a model").into());
                }
                Some(JobOutput::Failed(error)) => return Err(self.failed(error)),
                None if self.process.is_lost() => return Ok(End::Lost(self.process.exit_report())),
                None => true,
            };
            let due = last_poll.elapsed() >= POLL_INTERVAL;
            if !still_running || (due && !transaction(|| jobs::is_running(self.job.id))?) {
                return Ok(End::Cancelled);
            }
            if due {
                last_poll = Instant::now();
            }
        }
    }

    /// What the rows lack is told with how many of them were left out. Where no row was found at all, it may be that the caller saw some.
    fn failed(&self, error: EngineError) -> Failure {
        let mut failure = Failure::from(Error::from(error));
        if failure.sqlstate == INVALID_VALUE && self.sent.skipped > 0 {
            let left_out = format!(
                "Rows that were left out, since they have no label, no time, no key or no text: {}.",
                self.sent.skipped
            );
            failure.detail =
                Some(failure.detail.map_or(left_out.clone(), |detail| format!("{detail} {left_out}")));
        }
        if failure.sqlstate == INVALID_VALUE && self.sent.known > 0 {
            let left_out =
                format!("Rows that were left out, since members were trained on them: {}.", self.sent.known);
            failure.detail =
                Some(failure.detail.map_or(left_out.clone(), |detail| format!("{detail} {left_out}")));
            failure.hint.get_or_insert_with(|| MEMBERS_HINT.to_owned());
        }
        if self.sent.rows == 0 && self.sent.skipped == 0 && failure.hint.is_none() {
            failure.hint = Some(session_hint(self.job));
        }
        failure
    }

    fn phase(&mut self, phase: &str) {
        phase.clone_into(&mut self.report.phase);
        self.report.report(self.database);
    }

    fn reading(&mut self, done: u64, of: u64) -> bool {
        self.report.step = i64::try_from(done).ok();
        self.report.steps = i64::try_from(of).ok();
        self.phase("asking other models");
        true
    }

    fn prepared(&mut self, prepared: &Prepared) -> Result<bool, Failure> {
        self.report.epochs = i32::try_from(prepared.epochs).ok();
        self.report.steps = i64::try_from(prepared.steps).ok();
        self.report.step = i64::try_from(prepared.resumed_at).ok();
        self.report.memory = i64::try_from(prepared.memory).ok();
        self.report.report(self.database);
        self.baseline = prepared.baseline.clone();
        let mut notices = findings::notices(prepared, !self.sent.columns.is_empty());
        findings::add_of_members(&mut notices, self.sent.known, &self.sent.unknown);
        findings::messages(&notices).for_each(|message| log!("job {}: {message}", self.job.id));
        let (id, fingerprints) = (self.job.id, std::mem::take(&mut self.sent.fingerprints));
        transaction(|| {
            let still_running =
                jobs::record_prepared(id, prepared, &self.sent.columns, self.sent.skipped, notices)?;
            // A training that goes on leaves out rows that weren't there when it began.
            if still_running && prepared.resumed_at == 0 {
                fingerprints.store(id)?;
            }
            Ok(still_running)
        })
    }

    fn enter_phase(&mut self, phase: Phase) -> bool {
        self.phase(match phase {
            Phase::EvaluatingIncumbent => "evaluating the live version",
            Phase::Training => "training",
            Phase::Evaluating => "evaluating",
        });
        true
    }

    fn progress(&mut self, reached: &Reached) -> bool {
        self.report.epoch = i32::try_from(reached.epoch).ok();
        self.report.step = i64::try_from(reached.step).ok();
        self.report.loss = Some(reached.loss);
        self.report.learning_rate = Some(reached.learning_rate);
        self.report.examples_per_second = Some(reached.examples_per_second);
        self.report.seconds_left = Some(reached.seconds_left);
        self.report.report(self.database);
        true
    }

    fn trial(&mut self, trial: &Trial) -> Result<bool, Failure> {
        self.phase(&format!("searching: trial {}, rung {}", trial.number, trial.rung));
        transaction(|| jobs::record_trial(self.job.id, trial))
    }

    fn epoch(&mut self, epoch: &Epoch) -> Result<bool, Failure> {
        transaction(|| jobs::record_epoch(self.job.id, epoch))
    }

    /// Keeps something that comes in several messages, in one transaction: all of it, or nothing and `None` if the process
    /// is lost before its end.
    fn keep<T>(
        &mut self,
        work: impl FnOnce(&Job, &mut TrainingProcess) -> Result<T, Error>,
    ) -> Result<Option<T>, Failure> {
        let mut is_lost = false;
        let kept = transaction(|| {
            let result = work(self.job, &mut self.process);
            is_lost = matches!(result, Err(Error::EngineLost));
            result
        });
        if is_lost { Ok(None) } else { kept.map(Some) }
    }

    /// Stores a checkpoint. Whoever receives next finds the loss of a process before its end.
    fn checkpoint(&mut self, begin: &CheckpointPart) -> Result<bool, Failure> {
        let CheckpointPart::Begin { step, .. } = *begin else {
            return Err(Error::Unexpected("a part of a checkpoint that did not begin").into());
        };
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let stored = self.keep(|job, process| {
            if !jobs::keep(job.id)? {
                return Ok(false);
            }
            checkpoints::delete(job.id)?;
            for chunk in 0.. {
                match await_part(process) {
                    Some(JobOutput::Checkpoint(CheckpointPart::Chunk(data))) => {
                        checkpoints::store(job.id, step, chunk, data)?;
                    }
                    Some(JobOutput::Checkpoint(CheckpointPart::End)) => break,
                    Some(_) => return Err(Error::Unexpected("something else within a checkpoint")),
                    None => return Err(Error::EngineLost),
                }
            }
            jobs::record_progress(job.id)
        })?;
        Ok(stored.unwrap_or(true))
    }
}

/// The next message; `None` if the process is lost.
pub fn await_part(process: &mut TrainingProcess) -> Option<JobOutput> {
    loop {
        match process.receive(Duration::from_secs(1)) {
            None if process.is_lost() => return None,
            None => {}
            output => return output,
        }
    }
}
