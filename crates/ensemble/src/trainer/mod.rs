//! A job to an ensemble: members are asked of all rows, weights are learned from some, and all are measured on the others.
//!
//! # Layout
//! - `options`: what the user may choose.
//! - `asking`: what members say of all rows.
//! - `best`: which member is the best, which the ensemble has to beat.
//!
//! It must not know PostgreSQL, or who asks. The rows that come are those that no member has learned from: whoever sends them sees to
//! that. Invariant: that of all trainers: the same rows, options, seed and members give the same ensemble, bit by bit, in whatever
//! order the rows came. An interrupted training begins anew: nothing of it takes long but the asking.

mod asking;
mod best;
mod options;

use std::sync::Arc;
use std::time::Instant;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Evaluate, Job, JobMember, Load, Sink, Trainer};
use ecommerce_ml_protocol::training::{
    Epoch, JobOutput, Objective, Phase, TrainingCall, TrainingChecked, TrainingInput,
};
use ecommerce_ml_protocol::{EngineError, Input, LabelScheme, Rows};
use ecommerce_ml_training::held_out::Ending;
use ecommerce_ml_training::options::parse;
use ecommerce_ml_training::residuals::{off_by, quantiles};
use ecommerce_ml_training::{Dataset, HeldOut, Targets, memory, model};

use crate::files::{Parts, write};
use crate::member::{Member, refused};
use crate::model::{Head, KIND};
use crate::predictor::answer;
use crate::says::Says;
use crate::weights;
use options::{ENSEMBLE, Options};

/// Makes ensembles.
pub struct EnsembleTrainer {
    models: Arc<dyn Load>,
}

impl EnsembleTrainer {
    /// Of members that these load.
    pub(crate) fn new(models: Arc<dyn Load>) -> Self {
        Self { models }
    }

    fn load(&self, members: &[JobMember]) -> Result<Vec<Member>, EngineError> {
        let load = |member: &JobMember| {
            Ok(Member { name: member.name.clone(), model: self.models.load(None, &member.files)? })
        };
        members.iter().map(load).collect()
    }
}

impl Trainer for EnsembleTrainer {
    fn accepts(&self, call: &TrainingCall) -> bool {
        let names_members =
            |options: serde_json::Value| options.get(ENSEMBLE).is_some_and(|one| !one.is_null());
        parse(&call.options).is_ok_and(names_members)
    }

    fn check(&self, call: &TrainingCall) -> Result<TrainingChecked, EngineError> {
        columns(call)?;
        Options::read(&call.options)?;
        Ok(TrainingChecked { kind: KIND.to_owned(), default_base: None })
    }

    fn train(&self, job: Job, models: &dyn Evaluate, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let Job { plan, incumbent, rows, members: files, .. } = job;
        let text = columns(&plan.call)?;
        let (options, effective) = Options::read(&plan.call.options)?;
        let common = options.common;
        if files.len() < 2 {
            return Err(refused("an ensemble needs two members at least"));
        }
        let dataset = Dataset::new(&plan.call, rows)?;
        let targets = Targets::read(plan.call.objective, &dataset.labels, None)?;
        let head = head(&targets);
        let memory = needed(&dataset, &files, &head, plan.memory_limit)?;
        let members = self.load(&files)?;
        members.iter().try_for_each(|member| require_same_classes(member, &head))?;
        let mut held_out = HeldOut::choose(&dataset, &targets, common.eval_fraction, common.seed)?;
        let says = asking::ask(&members, rows_of(&dataset.input)?, (&head, text.as_deref()), sink)?;
        let split = held_out.split.clone();
        let of_held_out: Vec<Says> = says.iter().map(|says| says.picked(&split.held_out)).collect();
        best::measure_against_best(&mut held_out, &targets, (&members, &of_held_out, &head));
        let mut prepared = held_out.prepared(&dataset, &targets);
        (prepared.memory, prepared.options) = (memory, effective);
        sink.send(JobOutput::Prepared(Box::new(prepared)))?;
        let held_out_rows = dataset.input_of(&split.held_out);
        let incumbent = held_out.ask_incumbent(incumbent.as_ref(), &held_out_rows, models, sink)?;
        sink.send(JobOutput::Phase(Phase::Training))?;
        let began = Instant::now();
        let names = members.iter().map(|member| member.name.clone()).collect();
        let learned = weights::Rows { says: &says, targets: &targets, learned: &split.training };
        let mut ensemble = weights::fit(head, names, learned);
        sink.send(JobOutput::Epoch(epoch(&ensemble, &says, &targets, &split.training, began)))?;
        let answers = answer(&ensemble, &of_held_out, split.held_out.len());
        ensemble.residuals = quantiles(off_by(&targets, &split.held_out, &answers));
        let fields = plan.call.input.fields().to_vec();
        let files: Vec<ModelFiles> = files.into_iter().map(|member| member.files).collect();
        let files = write(&Parts { fields, text, ensemble, members: files })?;
        let ending = Ending { epoch: 1, stopped_early: false, seed: common.seed, uses_base: false };
        let finished = held_out.finish(
            &targets,
            (&files, &held_out_rows),
            incumbent.as_ref(),
            ending,
            (models, &mut *sink),
        )?;
        model::send(&files, sink)?;
        sink.send(JobOutput::Finished(Box::new(finished)))
    }
}

/// The column of the text, of a training of columns by labels.
fn columns(call: &TrainingCall) -> Result<Option<String>, EngineError> {
    let labelled =
        matches!(call.objective, Objective::Classification | Objective::Rating | Objective::Regression);
    match &call.input {
        TrainingInput::Columns { text, .. } if labelled => Ok(text.clone()),
        _ => Err(refused("an ensemble is for classifications, ratings and regressions by columns")),
    }
}

fn rows_of(input: &Input) -> Result<&Rows, EngineError> {
    match input {
        Input::Rows(rows) => Ok(rows),
        Input::Texts(_) => Err(refused("an ensemble reads columns, not a text")),
    }
}

fn head(targets: &Targets) -> Head {
    match targets.labels() {
        labels if labels.is_empty() => Head::Number,
        labels => Head::Classes { labels },
    }
}

/// Refuses a member that answers classes that no row has: the ensemble would never answer them.
fn require_same_classes(member: &Member, head: &Head) -> Result<(), EngineError> {
    let own = head.labels();
    let of_member = member.model.info().labels();
    let both_stars = |labels: &[String]| matches!(LabelScheme::of(labels), LabelScheme::Stars(_));
    if own.is_empty() || (both_stars(own) && both_stars(of_member)) {
        return Ok(());
    }
    match of_member.iter().find(|label| !own.contains(label)) {
        Some(label) => Err(refused(format!(
            "member \"{}\" knows the class \"{label}\", which no row to learn weights from has",
            member.name
        ))
        .with_hint("Train on rows of all classes that the members know.")),
        None => Ok(()),
    }
}

/// Bytes that a training takes: rows, members with their files, what they say, and a second loading of them to measure with.
fn needed(dataset: &Dataset, members: &[JobMember], head: &Head, limit: u64) -> Result<u64, EngineError> {
    let files: usize =
        members.iter().flat_map(|member| member.files.iter()).map(|(_, bytes)| bytes.len()).sum();
    let rows = dataset.input.bytes() * 2 + dataset.len() * (head.outputs() + 2) * 8 * (members.len() + 2);
    let told = || {
        let detail = format!("There are {} rows, and members of {files} bytes.", dataset.len());
        (detail, "Train on fewer rows, or increase ecommerce_ml.training_memory.")
    };
    memory::within((rows + 4 * files) as u64, limit, told)
}

/// How well the weights fit the rows that they were learned from.
fn epoch(
    ensemble: &crate::model::Ensemble,
    says: &[Says],
    targets: &Targets,
    learned: &[usize],
    began: Instant,
) -> Epoch {
    let loss = weights::loss(ensemble, weights::Rows { says, targets, learned });
    let seconds = began.elapsed().as_secs_f64();
    Epoch { epoch: 1, step: 1, training_loss: loss, evaluation: Vec::new(), best: true, seconds }
}
