//! A job to a model.
//!
//! The latest time is held out: everything is learned without it, measured beside past rates, and then learned again with all of it. It must
//! not know who asks. Invariant: that of all trainers: the same rows, options and seed give the same model, bit by bit, in whatever order
//! the rows came; rows that lie in the future come in when their time has come.

use std::time::{SystemTime, UNIX_EPOCH};

use ecommerce_ml_predictor::{Evaluate, Job, Sink, Trainer};
use ecommerce_ml_protocol::training::{
    Baseline, BaselineComparison, Comparison, Findings, Finished, JobOutput, Label, Metric, Objective, Phase,
    Prepared, TrainingCall, TrainingChecked, TrainingInput,
};
use ecommerce_ml_protocol::{EngineError, ErrorKind, Field, Input, Values};
use ecommerce_ml_training::comparison::compare_means_with_baseline;
use ecommerce_ml_training::{Dataset, model};

use super::incumbent::compare;
use super::model::{KIND, LifetimeModel};
use super::options::Options;
use super::refused;
use crate::files;
use crate::learning::{Correction, HeldOut, LearnError, Learned, Past};
use crate::ledger::{Event, Ledger};

/// What models are compared by: the mean absolute error of the worth of the purchases of a customer, without amounts of their number.
const METRIC: &str = "mae";
/// What a baseline does, in words for the user.
const BASELINE: &str = "carrying the past rate of each customer on";
/// Bytes that a row and a customer take, about.
const ROW_BYTES: usize = 160;
const CUSTOMER_BYTES: usize = 600;

/// Makes models of what customers will do.
#[derive(Debug, Default)]
pub struct LifetimeTrainer;

impl Trainer for LifetimeTrainer {
    fn accepts(&self, call: &TrainingCall) -> bool {
        call.objective == Objective::Lifetime && matches!(call.input, TrainingInput::Events { .. })
    }

    fn check(&self, call: &TrainingCall) -> Result<TrainingChecked, EngineError> {
        key(call)?;
        Options::read(&call.options)?;
        Ok(TrainingChecked { kind: KIND.to_owned(), default_base: None })
    }

    fn train(&self, job: Job, _: &dyn Evaluate, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let Setup { key, options, ledger, held_out, prepared, incumbent } = Setup::new(job)?;
        sink.send(JobOutput::Prepared(Box::new(prepared)))?;
        let comparison: Option<Comparison> = match (incumbent, &held_out) {
            (Some(incumbent), Some(held_out)) => {
                sink.send(JobOutput::Phase(Phase::EvaluatingIncumbent))?;
                compare((&ledger, &key), &incumbent, (&options, held_out), METRIC)
            }
            _ => None,
        };
        sink.send(JobOutput::Phase(Phase::Training))?;
        let correction = held_out.as_ref().filter(|_| options.correction).map(HeldOut::correction);
        let learned = learn(&ledger, &options, held_out.as_ref())?;
        let model = finish(ledger, key, learned, correction.unwrap_or(Correction::NONE));
        let files = files::write(&model)?;
        let bytes = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let mut metrics = held_out.as_ref().map_or_else(Vec::new, |found| metrics(&found.metrics(false)));
        if let Some(correction) = correction {
            let by = [("purchases_correction", correction.purchases), ("value_correction", correction.value)];
            metrics.extend(self::metrics(if model.model.spend.is_some() { &by } else { &by[..1] }));
        }
        model::send(&files, sink)?;
        sink.send(JobOutput::Finished(Box::new(Finished {
            info: model.info(bytes),
            metrics,
            epoch: 1,
            stopped_early: false,
            uses_base: false,
            comparison,
            against_baseline: held_out.as_ref().map(|found| against_baseline(found, options.common.seed)),
            reference: None,
        })))
    }
}

/// What a training begins with, and what it found out before.
struct Setup {
    key: Field,
    options: Options,
    ledger: Ledger,
    held_out: Option<HeldOut>,
    prepared: Prepared,
    /// The live version, if it is of this kind.
    incumbent: Option<LifetimeModel>,
}

impl Setup {
    fn new(job: Job) -> Result<Self, EngineError> {
        let Job { plan, base, incumbent, rows, .. } = job;
        if plan.base.is_some() || base.is_some() {
            return Err(refused("a model of lifetimes begins with nothing, and takes no base"));
        }
        let key = key(&plan.call)?;
        let options = Options::read(&plan.call.options)?;
        let dataset = Dataset::new(&plan.call, rows)?;
        let events = events(&dataset, &key)?;
        let ignored_rows = (dataset.len() - events.len()) as u64;
        let ledger = Ledger::of(&events).ok_or_else(|| {
            refused("there are no purchases to learn from").with_detail(
                "Rows count whose customer, time and amount are there, whose time has come, and whose amount is not negative.",
            )
        })?;
        let memory = memory(&dataset, &ledger, plan.memory_limit)?;
        let horizon = options.held_out(ledger.days());
        let held_out = (horizon > 0.0)
            .then(|| HeldOut::best(&ledger, &options.pasts(), horizon, options.common.seed))
            .flatten();
        let training_rows = held_out.as_ref().map_or(events.len(), |found| ledger.rows(found.cutoff));
        let prepared = Prepared {
            training_rows: training_rows as u64,
            held_out_rows: (events.len() - training_rows) as u64,
            labels: Vec::new(),
            rows_sha256: dataset.sha256(),
            ignored_rows,
            epochs: 1,
            steps: 1,
            resumed_at: 0,
            memory,
            options: options.effective(),
            baseline: held_out.as_ref().map(|found| Baseline {
                method: Some(BASELINE.to_owned()),
                label: None,
                mean: None,
                median: None,
                metrics: metrics(&found.metrics(true)),
            }),
            findings: Findings::default(),
        };
        let incumbent = incumbent
            .filter(files::recognises::<LifetimeModel>)
            .map(|files| files::read::<LifetimeModel>(&files))
            .transpose()?;
        let incumbent = incumbent.map(|(model, _)| model);
        Ok(Self { key, options, ledger, held_out, prepared, incumbent })
    }
}

/// The column that tells customers apart.
fn key(call: &TrainingCall) -> Result<Field, EngineError> {
    let TrainingInput::Events { keys, fields } = &call.input else {
        return Err(refused("a model of lifetimes is made of purchases, each with a customer and a time"));
    };
    if !call.has_time {
        return Err(refused("a model of lifetimes needs the time of each purchase"));
    }
    match (keys.as_slice(), fields.get(1)) {
        (_, Some(feature)) => {
            Err(refused(format!("a model of lifetimes does not read column \"{}\"", feature.name))
                .with_detail("It goes by customer, time and amount alone.")
                .with_hint("Leave out feature_columns."))
        }
        ([key], None) => Ok(key.clone()),
        _ => Err(refused("a model of lifetimes needs one key, the customer")),
    }
}

/// Purchases whose time has come, and whose amount isn't negative, as that of a return is.
fn events<'a>(dataset: &'a Dataset, key: &Field) -> Result<Vec<Event<'a>>, EngineError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(i64::MAX, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
    let Input::Rows(rows) = &dataset.input else {
        return Err(refused("a model of lifetimes does not read a text"));
    };
    let Some(Values::Text { dictionary, codes }) = rows.column(&key.name) else {
        return Err(refused(format!("key column \"{}\" did not come as text", key.name)));
    };
    let event = |((code, time), label): ((&Option<u32>, &i64), &Label)| {
        let Label::Number(amount) = *label else { return None };
        let customer = dictionary.get(usize::try_from((*code)?).ok()?)?;
        let counts = *time <= now && amount >= 0.0;
        counts.then_some(Event { customer: customer.as_str(), time: *time, amount })
    };
    if let Some(Label::Number(wrong)) =
        dataset.labels.iter().find(|label| matches!(label, Label::Number(number) if !number.is_finite()))
    {
        return Err(refused(format!("an amount is {wrong}, which is no finite number")));
    }
    Ok(codes.iter().zip(&dataset.times).zip(&dataset.labels).filter_map(event).collect())
}

/// Bytes that it takes.
fn memory(dataset: &Dataset, ledger: &Ledger, limit: u64) -> Result<u64, EngineError> {
    let bytes = dataset.input.bytes()
        + dataset.len().saturating_mul(ROW_BYTES)
        + ledger.customers.len().saturating_mul(CUSTOMER_BYTES);
    if bytes as u64 > limit {
        let message = format!(
            "training on {} rows of {} customers takes {bytes} bytes, more than {limit}",
            dataset.len(),
            ledger.customers.len()
        );
        return Err(EngineError::new(ErrorKind::OutOfMemory, message).with_hint(
            "Leave out what is long past by the option \"where\", or increase ecommerce_ml.training_memory.",
        ));
    }
    Ok(bytes as u64)
}

/// Learns from all purchases as was the best; if that can't be, in another way.
fn learn(ledger: &Ledger, options: &Options, held_out: Option<&HeldOut>) -> Result<Learned, EngineError> {
    let chosen = held_out.map(|found| found.past).or(options.past).unwrap_or(Past::All);
    let loss = held_out.map(|found| found.loss);
    let learned = match Learned::until(ledger, chosen, loss, ledger.days()) {
        Err(_) if held_out.is_some() => {
            Learned::until(ledger, options.past.unwrap_or(Past::All), None, ledger.days())
        }
        found => found,
    };
    learned.map_err(refusal)
}

fn finish(ledger: Ledger, key: Field, learned: Learned, correction: Correction) -> LifetimeModel {
    // Everybody is known at the end.
    let known = ledger.customers.into_iter().zip(learned.histories);
    let (customers, histories) = known.filter_map(|(name, history)| Some((name, history?))).unzip();
    LifetimeModel { key, customers, histories, model: learned.model, correction, end: ledger.end }
}

fn metrics(found: &[(&str, f64)]) -> Vec<Metric> {
    found
        .iter()
        .map(|(name, value)| Metric { name: (*name).to_owned(), class: None, value: *value })
        .collect()
}

fn against_baseline(found: &HeldOut, seed: u64) -> BaselineComparison {
    let (own, naive) = found.errors();
    compare_means_with_baseline(METRIC, false, (&own, &naive), 0.0, seed)
}

fn refusal(error: LearnError) -> EngineError {
    let (what, error, hint) = match error {
        LearnError::Purchases(error) => {
            ("how often customers buy", error, "Learn from more customers, or over a longer time.")
        }
        LearnError::Spend(error) => {
            let hint = "Leave label_column out to learn how often customers buy, and multiply by what a purchase is worth.";
            ("what purchases are worth", error, hint)
        }
    };
    refused(format!("{what} cannot be learned: {error}")).with_hint(hint)
}
