//! A job to a model.
//!
//! The latest periods are held out: elasticities are learned without them, measured beside no effect of the price, and then learned again with
//! all. It must not know who asks. Invariant: that of all trainers: the same rows, options and seed give the same model, bit by bit, in
//! whatever order the rows came.

use std::collections::BTreeSet;

use ecommerce_ml_forecast::calendar::Period;
use ecommerce_ml_predictor::{Evaluate, Job, Sink, Trainer};
use ecommerce_ml_protocol::training::{
    Baseline, Comparison, Findings, Finished, JobOutput, Metric, Objective, Phase, Prepared, TrainingCall,
    TrainingChecked, TrainingInput,
};
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_training::comparison::{compare_means, compare_means_with_baseline};
use ecommerce_ml_training::{Dataset, model};

use super::levels::{Grouped, LevelColumns};
use super::model::{ControlEffect, ElasticityModel, Entry, KIND};
use super::options::Options;
use super::refused;
use super::sales::{Columns, Read, read};
use crate::files;
use crate::price::held_out::{HeldOut, moment};
use crate::price::panel::{Panel, number};
use crate::price::regression::Unknown;
use crate::price::response::{Response, Responses, Settings, respond};

/// What models are compared by: the mean absolute error of the log quantities of periods that are held out.
const METRIC: &str = "mae";
/// What the baseline does, in words for the user.
const BASELINE: &str = "taking the price to make no difference";
/// Series from which on what is compared is one error each.
const LEAST_SERIES: usize = 20;
/// Most periods that have effects: their equations take the cube of that.
const MOST_EFFECTS: usize = 2_000;
/// Bytes that a row, and each of its controls, takes, about.
const ROW_BYTES: usize = 160;
const VALUE_BYTES: usize = 40;

/// Makes models of elasticities.
#[derive(Debug, Default)]
pub struct ElasticityTrainer;

impl Trainer for ElasticityTrainer {
    fn accepts(&self, call: &TrainingCall) -> bool {
        call.objective == Objective::Elasticity && matches!(call.input, TrainingInput::Events { .. })
    }

    fn check(&self, call: &TrainingCall) -> Result<TrainingChecked, EngineError> {
        LevelColumns::of(&Columns::of(call)?.keys, &Options::read(&call.options)?)?;
        Ok(TrainingChecked { kind: KIND.to_owned(), default_base: None })
    }

    fn train(&self, job: Job, _: &dyn Evaluate, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let Setup { learner, dataset_rows, rows_sha256, memory, incumbent } = Setup::new(job)?;
        let measured = learner.measure();
        sink.send(JobOutput::Prepared(Box::new(Prepared {
            training_rows: learner.rows_until(measured.as_ref()) as u64,
            held_out_rows: (learner.rows() - learner.rows_until(measured.as_ref())) as u64,
            labels: Vec::new(),
            rows_sha256,
            ignored_rows: (dataset_rows - learner.rows()) as u64,
            epochs: 1,
            steps: 1,
            resumed_at: 0,
            memory,
            options: learner.options.effective(),
            baseline: measured.as_ref().map(Measured::baseline),
            findings: Findings::default(),
        })))?;
        let comparison = match (incumbent, &measured) {
            (Some(incumbent), Some(measured)) => {
                sink.send(JobOutput::Phase(Phase::EvaluatingIncumbent))?;
                learner.compare(measured, &incumbent)
            }
            _ => None,
        };
        sink.send(JobOutput::Phase(Phase::Training))?;
        let model = learner.learn()?;
        let files = files::write(&model)?;
        let bytes = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        model::send(&files, sink)?;
        let seed = learner.options.common.seed;
        sink.send(JobOutput::Finished(Box::new(Finished {
            info: model.info(bytes),
            metrics: measured
                .as_ref()
                .map(|found| metrics(&found.own))
                .into_iter()
                .flatten()
                .chain(of_controls(&model))
                .collect(),
            epoch: 1,
            stopped_early: false,
            uses_base: false,
            comparison,
            against_baseline: measured.as_ref().map(|found| {
                let (own, none) = (found.absolute(&found.own), found.absolute(&found.none));
                compare_means_with_baseline(METRIC, false, (&own, &none), 0.0, seed)
            }),
            reference: None,
        })))
    }
}

/// What a training begins with.
struct Setup {
    learner: Learner,
    dataset_rows: usize,
    rows_sha256: ecommerce_ml_protocol::Sha256,
    memory: u64,
    /// The live version, if it is of this kind.
    incumbent: Option<ElasticityModel>,
}

impl Setup {
    fn new(job: Job) -> Result<Self, EngineError> {
        let Job { plan, base, incumbent, rows, .. } = job;
        if plan.base.is_some() || base.is_some() {
            return Err(refused("a model of elasticities begins with nothing, and takes no base"));
        }
        let columns = Columns::of(&plan.call)?;
        let options = Options::read(&plan.call.options)?;
        let level_columns = LevelColumns::of(&columns.keys, &options)?;
        let dataset = Dataset::new(&plan.call, rows)?;
        let Read { sales, series, controls } = read(&dataset, &columns)?;
        let panel = Panel::new(&sales, series.len(), options.frequency);
        if panel.is_empty() {
            return Err(refused("there are no sales to learn from").with_detail(
                "Rows count whose keys, time, quantity and price are there, whose price is above 0, whose quantity is not negative, and whose controls are there.",
            ));
        }
        refuse_effects(&panel, options.time_effects)?;
        let memory = memory(&dataset, controls.len(), plan.memory_limit)?;
        let grouped = level_columns.group(&series);
        let incumbent = incumbent
            .filter(files::recognises::<ElasticityModel>)
            .map(|files| files::read::<ElasticityModel>(&files))
            .transpose()?;
        Ok(Self {
            learner: Learner { columns, options, panel, grouped, controls },
            dataset_rows: dataset.len(),
            rows_sha256: dataset.sha256(),
            memory,
            incumbent: incumbent.map(|(model, _)| model),
        })
    }
}

/// Sales, ready to be learned from.
struct Learner {
    columns: Columns,
    options: Options,
    panel: Panel,
    grouped: Grouped,
    controls: Vec<String>,
}

impl Learner {
    fn settings(&self) -> Settings {
        Settings { effects: self.options.time_effects, shrinks: self.options.shrinks }
    }

    fn rows(&self) -> usize {
        self.panel.rows.iter().sum()
    }

    /// Rows before what is held out.
    fn rows_until(&self, measured: Option<&Measured>) -> usize {
        let since = measured.map_or(i64::MAX, |measured| measured.held_out.since);
        let before = self.panel.time.iter().zip(&self.panel.rows).filter(|(time, _)| **time < since);
        before.map(|(_, rows)| rows).sum()
    }

    /// Learns without the latest periods; none if nothing can be learned, or held out.
    fn measure(&self) -> Option<Measured> {
        let part = self.options.common.eval_fraction;
        let since = (part > 0.0).then(|| moment(&self.panel, part)).flatten()?;
        let levels = &self.grouped.levels;
        let responses = respond(&self.panel.before(since), levels, self.settings()).ok()?;
        let held_out = HeldOut::new(&self.panel, &levels.keys, since, self.options.time_effects);
        let elasticities =
            levels.keys.of_series.iter().map(|key| of_key(&responses, *key as usize)).collect();
        Measured::of(held_out, elasticities)
    }

    fn learn(&self) -> Result<ElasticityModel, EngineError> {
        let found = respond(&self.panel, &self.grouped.levels, self.settings());
        let Responses { all, categories, keys, controls, between } =
            found.map_err(|why| refusal(&self.panel, &self.columns, why))?;
        let whole = Entry { keys: vec![None; self.columns.keys.len()], response: all };
        let entry =
            |(keys, response): (&Vec<Option<String>>, Response)| Entry { keys: keys.clone(), response };
        let narrower =
            self.grouped.categories.iter().zip(categories).chain(self.grouped.keys.iter().zip(keys));
        let narrower = narrower.map(entry).filter(|entry| entry.keys.iter().any(Option::is_some));
        let effect = |(name, effect): (&String, f64)| ControlEffect { name: name.clone(), effect };
        Ok(ElasticityModel {
            columns: self.columns.keys.clone(),
            price: self.columns.price.name.clone(),
            series: self.panel.series.len(),
            entries: std::iter::once(whole).chain(narrower).collect(),
            controls: self.controls.iter().zip(controls).map(effect).collect(),
            between,
            end: self.panel.time.iter().copied().max().unwrap_or(0),
        })
    }

    /// How elasticities that were learned before compare with the incumbent's, on what neither knew; none if that has other keys, or knows it.
    fn compare(&self, measured: &Measured, incumbent: &ElasticityModel) -> Option<Comparison> {
        if incumbent.columns != self.columns.keys {
            return None;
        }
        // A key that it knows nothing of is as all are to it.
        let (known, of_all) =
            (incumbent.elasticities(), incumbent.entries.first()?.response.elasticity?.value);
        let of_key = |key: &u32| known.get(self.grouped.keys.get(*key as usize)?.as_slice()).copied();
        let keys = self.grouped.levels.keys.of_series.iter();
        let theirs = keys.map(|key| of_key(key).unwrap_or(of_all)).collect();
        let new = measured.held_out.since(incumbent.end.saturating_add(1));
        let new = Measured::of(new, measured.elasticities.clone())?;
        let other = Measured::of(new.held_out.clone(), theirs)?;
        let (own, others) = (new.absolute(&new.own), new.absolute(&other.own));
        Some(compare_means(METRIC, false, (&own, &others), self.options.common.seed))
    }
}

fn of_key(responses: &Responses, key: usize) -> f64 {
    let own = responses.keys.get(key).and_then(|response| response.elasticity);
    own.or(responses.all.elasticity).map_or(0.0, |known| known.value)
}

/// What was held out, with the errors of elasticities and of none.
struct Measured {
    held_out: HeldOut,
    /// `[series]`.
    elasticities: Vec<f64>,
    own: Vec<f64>,
    none: Vec<f64>,
}

impl Measured {
    fn of(held_out: HeldOut, elasticities: Vec<f64>) -> Option<Self> {
        let own = held_out.errors(|series| elasticities.get(series).copied().unwrap_or(0.0));
        let none = held_out.errors(|_| 0.0);
        (!held_out.is_empty()).then_some(Self { held_out, elasticities, own, none })
    }

    fn absolute(&self, errors: &[f64]) -> Vec<f64> {
        self.held_out.absolute(errors, LEAST_SERIES)
    }

    fn baseline(&self) -> Baseline {
        Baseline {
            method: Some(BASELINE.to_owned()),
            label: None,
            mean: None,
            median: None,
            metrics: metrics(&self.none),
        }
    }
}

fn metrics(errors: &[f64]) -> Vec<Metric> {
    let mean = |of: fn(f64) -> f64| errors.iter().map(|error| of(*error)).sum::<f64>() / errors.len() as f64;
    let metric = |name: &str, value: f64| Metric { name: name.to_owned(), class: None, value };
    vec![metric(METRIC, mean(f64::abs)), metric("rmse", mean(|error| error * error).sqrt())]
}

/// What a unit of each control adds to log quantity: not measured on what is held out, but nowhere else to be seen.
fn of_controls(model: &ElasticityModel) -> impl Iterator<Item = Metric> + '_ {
    model.controls.iter().map(|control| Metric {
        name: "effect".to_owned(),
        class: Some(control.name.clone()),
        value: control.effect,
    })
}

fn refuse_effects(panel: &Panel, effects: Option<Period>) -> Result<(), EngineError> {
    let Some(period) = effects else { return Ok(()) };
    let periods = panel.time.iter().map(|time| number(period, *time)).collect::<BTreeSet<_>>().len();
    if periods <= MOST_EFFECTS {
        return Ok(());
    }
    Err(refused(format!("effects of {periods} periods are too many"))
        .with_detail(format!("There can be up to {MOST_EFFECTS}."))
        .with_hint("Choose a longer period for the option \"time_effects\"."))
}

/// Bytes that it takes.
fn memory(dataset: &Dataset, controls: usize, limit: u64) -> Result<u64, EngineError> {
    let row = ROW_BYTES + controls.saturating_mul(VALUE_BYTES);
    let bytes = (dataset.input.bytes() + dataset.len().saturating_mul(row)) as u64;
    if bytes <= limit {
        return Ok(bytes);
    }
    let message = format!("training on {} rows takes {bytes} bytes, more than {limit}", dataset.len());
    Err(EngineError::new(ErrorKind::OutOfMemory, message).with_hint(
        "Train on a view that sums rows to periods, leave out what is long past by the option \"where\", or increase ecommerce_ml.training_memory.",
    ))
}

/// Why nothing is known of any price.
fn refusal(panel: &Panel, columns: &Columns, why: Unknown) -> EngineError {
    let price = &columns.price.name;
    let counts = format!("There are {} observations of {} series.", panel.len(), panel.series.len());
    let (message, hint) = match why {
        Unknown::ConstantPrice => (
            format!("\"{price}\" never varied within a series"),
            "Without a change of the price nobody knows what it does.",
        ),
        Unknown::Controls => (
            format!("\"{price}\" moved with the control columns only"),
            "Leave out the controls that follow from the price, or change the price without them.",
        ),
        Unknown::Periods => (
            format!("\"{price}\" moved with time only, in all series alike"),
            "Set the option \"time_effects\" to a longer period or to \"none\".",
        ),
        Unknown::Few => (
            "too few observations for an elasticity".to_owned(),
            "Learn from more series, over a longer time, or in shorter periods: option \"frequency\".",
        ),
    };
    refused(message).with_detail(counts).with_hint(hint)
}
