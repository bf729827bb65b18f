//! A job to a model.
//!
//! It must not know who asks. Invariant: that of all trainers: the same rows, options and seed give the same model, bit by bit, in
//! whatever order the rows came and with any number of threads. There are no checkpoints: one that is interrupted begins anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Evaluate, Job, Sink, Trainer};
use ecommerce_ml_protocol::training::{
    Baseline, Epoch, Findings, Finished, JobOutput, Label, Metric, Objective, Phase, Prepared, Progress,
    TrainingCall, TrainingChecked, TrainingInput,
};
use ecommerce_ml_protocol::{Answers, EngineError, ErrorKind, Field, Input, Output, Rows, Values};
use ecommerce_ml_training::comparison::{compare_means, compare_means_with_baseline};
use ecommerce_ml_training::{Dataset, model};

use super::{KIND, Threads, files, options, refused};
use crate::cold::{self, ColdStart};
use crate::described::Described;
use crate::evaluation::{Evaluation, mean};
use crate::interactions::{Event, Interactions};
use crate::training::{Context, Options, Trained, Training, TrainingError};

/// What a baseline does, in words for the user.
const BASELINE: &str = "recommending what is most popular";

/// Makes models that recommend.
#[derive(Debug)]
pub struct RecommendationTrainer {
    threads: Arc<Threads>,
}

impl RecommendationTrainer {
    pub(crate) fn new(threads: Arc<Threads>) -> Self {
        Self { threads }
    }
}

impl Trainer for RecommendationTrainer {
    fn accepts(&self, call: &TrainingCall) -> bool {
        call.objective == Objective::Recommendation && matches!(call.input, TrainingInput::Events { .. })
    }

    fn check(&self, call: &TrainingCall) -> Result<TrainingChecked, EngineError> {
        keys(&call.input)?;
        let (_, given) = options::read(&call.options, call.has_time, u64::MAX)?;
        let default_base = options::reads_texts(&given).then(|| DEFAULT_BASE.to_owned());
        Ok(TrainingChecked { kind: KIND.to_owned(), default_base })
    }

    fn train(&self, job: Job, models: &dyn Evaluate, sink: &mut dyn Sink) -> Result<(), EngineError> {
        let Job { plan, base, incumbent, rows, descriptions, .. } = job;
        let call = &plan.call;
        let keys = keys(&call.input)?;
        let (options, given) = options::read(&call.options, call.has_time, plan.memory_limit)?;
        if base.is_some() != options::reads_texts(&given) {
            return Err(refused(
                "a model that recommends takes a base to read texts of items by, and nothing else",
            ));
        }
        let dataset = Dataset::new(call, rows)?;
        let interactions = interactions(&dataset, &keys)?;
        let rows_sha256 = dataset.sha256();
        drop(dataset);
        // Progress may be told by another thread than this one only if the sink could; so the pool is entered for each part.
        let pool = self.threads.pool()?;
        let training = pool.install(|| Training::new(&interactions, &options)).map_err(refusal)?;
        let (training_rows, held_out_rows) = training.pairs();
        let baseline = (held_out_rows > 0).then(|| Baseline {
            method: Some(BASELINE.to_owned()),
            label: None,
            mean: None,
            median: None,
            metrics: metrics(&training.popularity),
        });
        sink.send(JobOutput::Prepared(Box::new(Prepared {
            training_rows: training_rows as u64,
            held_out_rows: held_out_rows as u64,
            labels: Vec::new(),
            rows_sha256,
            ignored_rows: 0,
            epochs: 1,
            steps: FITS,
            resumed_at: 0,
            memory: training.memory,
            options: options::effective(&given, &options),
            baseline,
            findings: Findings::default(),
        })))?;
        let incumbent = match incumbent.filter(files::recognises) {
            None => None,
            Some(found) => {
                let (their_keys, incumbent) = files::read_incumbent(&found, options.seed)?;
                (their_keys == keys && held_out_rows > 0).then_some(incumbent)
            }
        };
        sink.send(JobOutput::Phase(Phase::Training))?;
        let described = base.map(|base| describe(descriptions, &base, models)).transpose()?;
        if let Some(described) = &described {
            let needed = training.memory + cold::bytes(described, interactions.items.len());
            let limit = options.memory_limit;
            if needed > limit {
                return Err(refusal(TrainingError::DoesNotFit { needed, limit }));
            }
        }
        let context = Context { incumbent: incumbent.as_ref(), described: described.as_ref() };
        let trained = run(training, context, pool, sink)?;
        end(&keys, &options, &trained, sink)
    }
}

/// The built-in model that reads texts of items unless another is named.
const DEFAULT_BASE: &str = "reviews";

/// Fits that a training has at most, about.
const FITS: u64 = 23;

/// Trains on the threads of a pool, while this one tells how far it is.
fn run(
    training: Training<'_>,
    context: Context<'_>,
    pool: &rayon::ThreadPool,
    sink: &mut dyn Sink,
) -> Result<Trained, EngineError> {
    let began = std::time::Instant::now();
    let (sender, receiver) = std::sync::mpsc::sync_channel::<()>(0);
    let mut lost = None;
    let outcome = pool.in_place_scope(|scope| {
        let (result, done) = std::sync::mpsc::channel();
        scope.spawn(move |_| {
            let mut go_on = || sender.send(()).is_ok();
            let trained = training.run(context, &mut go_on);
            // The other end waits for it.
            let _ = result.send(trained);
        });
        let mut fits = 0;
        while receiver.recv().is_ok() {
            fits += 1;
            let seconds = began.elapsed().as_secs_f64();
            #[allow(clippy::cast_precision_loss)]
            let progress = Progress {
                epoch: 1,
                step: fits.min(FITS),
                loss: 0.0,
                learning_rate: 0.0,
                examples: 0,
                examples_per_second: 0.0,
                seconds_left: seconds / fits as f64 * FITS.saturating_sub(fits) as f64,
            };
            if let Err(error) = sink.send(JobOutput::Progress(progress)) {
                lost = Some(error);
                break;
            }
        }
        drop(receiver);
        done.recv()
    });
    match (lost, outcome) {
        (Some(error), _) => Err(error),
        (None, Ok(trained)) => trained.map_err(refusal),
        (None, Err(_)) => Err(EngineError::new(ErrorKind::Internal, "training ended without a word")),
    }
}

fn end(keys: &[Field], options: &Options, trained: &Trained, sink: &mut dyn Sink) -> Result<(), EngineError> {
    let Trained { model, settings, measured, cold, is_extended } = trained;
    let is_measured = !measured.model.ndcg.is_empty();
    let mut found = if is_measured { metrics(&measured.model) } else { Vec::new() };
    if is_measured {
        found.push(metric("unpruned_ndcg", measured.unpruned_ndcg));
        found.extend(options::shown(settings).into_iter().map(|(name, value)| metric(name, value)));
    }
    found.extend(cold.iter().flat_map(cold_metrics));
    sink.send(JobOutput::Epoch(Epoch {
        epoch: 1,
        step: FITS,
        training_loss: 0.0,
        evaluation: found.clone(),
        best: true,
        seconds: 0.0,
    }))?;
    let against_baseline = is_measured.then(|| {
        let values = (&measured.model.ndcg[..], &measured.popularity.ndcg[..]);
        compare_means_with_baseline("ndcg", true, values, 1.0, options.seed)
    });
    let beside = measured.beside.as_ref().filter(|beside| !beside.new.is_empty());
    let comparison = beside
        .map(|beside| compare_means(beside.metric, true, (&beside.new, &beside.incumbent), options.seed));
    let files: ModelFiles = files::write(keys, settings, model)?;
    let info = files::info(keys, model);
    model::send(&files, sink)?;
    sink.send(JobOutput::Finished(Box::new(Finished {
        info,
        metrics: found,
        epoch: 1,
        stopped_early: false,
        uses_base: *is_extended,
        comparison,
        against_baseline,
        reference: None,
    })))
}

/// Of items whose sales were taken away, by their texts and by chance.
#[allow(clippy::cast_precision_loss)]
fn cold_metrics(found: &ColdStart) -> [Metric; 5] {
    [
        metric("cold_items", found.items as f64),
        metric("cold_ndcg", found.by_text.ndcg),
        metric("cold_recall", found.by_text.recall),
        metric("cold_ndcg_by_chance", found.by_chance.ndcg),
        metric("cold_recall_by_chance", found.by_chance.recall),
    ]
}

/// Items with what a text model says of their texts.
fn describe(
    descriptions: Vec<(String, String)>,
    base: &ModelFiles,
    models: &dyn Evaluate,
) -> Result<Described, EngineError> {
    let texts: BTreeMap<String, String> = descriptions.into_iter().collect();
    let all: Vec<String> = texts.values().cloned().collect();
    let mut embeddings = Vec::with_capacity(all.len());
    for some in all.chunks(TEXTS_AT_ONCE) {
        match models.describe(base, some, &[Output::Embedding])?.pop() {
            Some(Answers::Vectors(rows)) if rows.len() == some.len() => embeddings.extend(rows),
            _ => return Err(refused("the base cannot read texts of items: it is no text model")),
        }
    }
    Ok(Described::new(&texts, &embeddings))
}

/// Texts that are read at once.
const TEXTS_AT_ONCE: usize = 4096;

fn metric(name: &str, value: f64) -> Metric {
    Metric { name: name.to_owned(), class: None, value }
}

/// NDCG of ten places, recall of twenty, coverage and novelty of ten.
fn metrics(evaluation: &Evaluation) -> Vec<Metric> {
    let values = [
        ("ndcg", Some(mean(&evaluation.ndcg))),
        ("recall", Some(mean(&evaluation.recall))),
        ("coverage", evaluation.coverage),
        ("novelty", evaluation.novelty),
    ];
    values.into_iter().filter_map(|(name, value)| value.map(|value| metric(name, value))).collect()
}

/// Customer and item.
fn keys(input: &TrainingInput) -> Result<Vec<Field>, EngineError> {
    match input {
        TrainingInput::Events { keys, fields } if keys.len() == 2 && fields.len() >= 2 => {
            if fields.len() > 2 {
                return Err(refused("a model that recommends reads no columns beside its keys"));
            }
            Ok(keys.clone())
        }
        _ => Err(refused("a model that recommends needs two keys, the customer and the item")),
    }
}

fn interactions(dataset: &Dataset, keys: &[Field]) -> Result<Interactions, EngineError> {
    let Input::Rows(rows) = &dataset.input else {
        return Err(refused("a model that recommends does not read a text"));
    };
    let column = |key: Option<&Field>| key.and_then(|key| texts(rows, &key.name));
    let (Some((customers, customer_codes)), Some((items, item_codes))) =
        (column(keys.first()), column(keys.get(1)))
    else {
        return Err(refused("rows to learn from have no keys"));
    };
    let codes = customer_codes.iter().zip(item_codes);
    let events = codes.zip(&dataset.labels).enumerate().filter_map(|(row, ((customer, item), label))| {
        let Label::Number(weight) = *label else { return None };
        let time = dataset.times.get(row).copied().unwrap_or_default();
        Some(Event { customer: (*customer)?, item: (*item)?, weight, time })
    });
    Ok(Interactions::new(customers, items, events.collect()))
}

fn texts<'a>(rows: &'a Rows, name: &str) -> Option<(&'a [String], &'a [Option<u32>])> {
    match rows.column(name) {
        Some(Values::Text { dictionary, codes }) => Some((dictionary, codes)),
        _ => None,
    }
}

fn refusal(error: TrainingError) -> EngineError {
    let kind = match error {
        TrainingError::DoesNotFit { .. } => ErrorKind::OutOfMemory,
        TrainingError::Cancelled => ErrorKind::Cancelled,
        TrainingError::TooFew { .. } | TrainingError::NotPositiveDefinite => ErrorKind::InvalidRequest,
    };
    let told = EngineError::new(kind, error.to_string());
    match error {
        TrainingError::DoesNotFit { .. } => told.with_hint(
            "Leave out rare items by the option \"where\", choose fewer \"factors\", or increase ecommerce_ml.training_memory.",
        ),
        TrainingError::NotPositiveDefinite => told.with_hint("Increase the option \"regularization\"."),
        _ => told,
    }
}
