//! What the user may choose in a training, under the names of `transformers.TrainingArguments` where it has them.
//!
//! # Layout
//! - `changes`: the option `augment`.
//! - `effective`: checked values to JSON.
//!
//! It must not know rows or networks. Invariant: every [`TrainingOptions`] that there is can be trained with; what
//! contradicts itself or has a range of its own was refused, with its name and what was expected.

use std::ops::Bound;

use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_training::class_weights::ClassWeights;
use ecommerce_ml_training::early_stopping::Metric;
pub use ecommerce_ml_training::options::SQL_OPTIONS;
use ecommerce_ml_training::options::reader::{Reader, alternatives, refused, unexpected};
use ecommerce_ml_training::options::{CommonOptions, class_weights};
use ecommerce_ml_training::search::{self, SearchOptions};
use serde_json::Value;

use super::augment::Changes;
use super::schedule::SchedulerType;
pub use ecommerce_ml_protocol::training::Objective;

mod changes;
mod effective;

/// Which weights a training changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tuning {
    /// All of them, but for embeddings and the lowest layers if these are frozen.
    Full {
        /// Layers that stay as they are, counted from the embeddings, which stay too unless it is 0. Default 0.
        freeze_layers: usize,
    },
    /// Only the head.
    Head,
    /// The head, and matrices of low rank beside those of the encoder (Hu et al., "LoRA", 2021).
    Lora {
        /// `lora_r`: rank of the matrices. Default 8.
        r: usize,
        /// `lora_alpha`: their product counts alpha / r. Default 16.
        alpha: f64,
        /// Layers without such matrices, counted from the embeddings. Default 0.
        freeze_layers: usize,
    },
}

/// When a training is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvalStrategy {
    /// After the last epoch only, if rows are held out at all.
    No,
    /// After each epoch.
    Epoch,
}

/// How probabilities are made to say how often the model is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalibrationMethod {
    /// Not at all: they are as the loss left them.
    None,
    /// Logits are divided by the temperature of the least loss on the rows held out, if there are any.
    Temperature,
}

/// Options of a training, each with its default where it isn't said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingOptions {
    /// Highest learning rate, above 0 to 1. 5e-5 for full tuning as in `transformers`; few and new weights learn
    /// nothing at that, so 5e-4 for LoRA and 1e-3 for the head alone.
    pub learning_rate: f64,
    /// Times that every row is seen, 1 to 1000; whole ones only. Default 3.
    pub num_train_epochs: u32,
    /// Rows a batch, 1 to 4096. Default 32, the larger of the two sizes that BERT was published with for fine-tuning:
    /// rows aren't padded to the longest here, so 32 short ones fit where 8, `transformers`' default, would.
    pub per_device_train_batch_size: usize,
    /// Batches an update of the weights, 1 to 1024. Default 1.
    pub gradient_accumulation_steps: usize,
    /// Part of a weight that decays, times the learning rate; 0 to 1. Default 0.01.
    pub weight_decay: f64,
    /// Part of the updates in which the learning rate climbs, 0 to 1. Default 0.1 as for BERT, because Adam's first
    /// steps at the full rate can spoil what the encoder knows.
    pub warmup_ratio: f64,
    /// How the learning rate falls. Default linear.
    pub lr_scheduler_type: SchedulerType,
    /// Largest norm of the gradients of an update; 0 stands for no limit. Default 1.
    pub max_grad_norm: f64,
    /// Part of each target that is spread over all classes, 0 to below 1. Default 0. Not for regressions.
    pub label_smoothing: f64,
    /// How much each class counts. Default equal. Not for regressions.
    pub class_weights: ClassWeights,
    /// Part of the hidden states that is dropped, 0 to 0.9; `None` leaves it to the model's configuration.
    pub hidden_dropout: Option<f64>,
    /// Tokens that are read of a text, special ones included, 8 to 131072; `None` leaves it to the model, whose own
    /// limit holds anyway.
    pub max_length: Option<usize>,
    /// Decides what chance decides. Default 42.
    pub seed: u64,
    /// Part of the rows that is held out, 0 to 0.5. Default 0.1.
    pub eval_fraction: f64,
    /// When it is evaluated. Default epoch, or no if nothing is held out.
    pub eval_strategy: EvalStrategy,
    /// Evaluations without a new best after which the training ends, 1 to 1000; `None`, the default, is never.
    pub early_stopping_patience: Option<u32>,
    /// What the best epoch is found by. Default loss.
    pub metric_for_best_model: Metric,
    /// How probabilities are calibrated. Default temperature. Not for regressions.
    pub calibration: CalibrationMethod,
    /// What is trained. Default full.
    pub tuning: Tuning,
    /// Changes made to texts. Default none.
    pub augment: Changes,
    /// How far the embeddings of words are moved along the gradient for a second pass over each batch (Miyato, Dai and
    /// Goodfellow, "Adversarial training methods for semi-supervised text classification", 2017), 0 to 10. Default 0,
    /// not at all. Only where embeddings are trained.
    pub adversarial_epsilon: f64,
    /// Whether a learning rate and a number of epochs are looked for. Default not.
    pub search: Option<SearchOptions>,
    /// Whether that doesn't look for the learning rate, since the user has given it.
    pub gives_learning_rate: bool,
    /// The same of the number of epochs.
    pub gives_epochs: bool,
}

/// All names, in the order in which an error lists them.
const NAMES: [&str; 28] = [
    "learning_rate",
    "num_train_epochs",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "weight_decay",
    "warmup_ratio",
    "lr_scheduler_type",
    "max_grad_norm",
    "label_smoothing",
    "class_weights",
    "hidden_dropout",
    "max_length",
    "seed",
    "eval_fraction",
    "eval_strategy",
    "early_stopping_patience",
    "metric_for_best_model",
    "calibration",
    "tuning",
    "lora_r",
    "lora_alpha",
    "freeze_layers",
    "augment",
    "adversarial_epsilon",
    search::OPTION,
    "where",
    "deploy",
    "keep_versions",
];

impl TrainingOptions {
    /// Reads options out of a JSON object.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](ecommerce_ml_protocol::ErrorKind::InvalidRequest) with a message that names the
    /// option and what was expected: for unknown ones, values of another type or out of range, and options that
    /// contradict another or don't go with the objective.
    pub fn parse(options: &Value, objective: Objective) -> Result<Self, EngineError> {
        let reader = Reader::new(options, &NAMES)?;
        let tuning = tuning(&reader)?;
        let CommonOptions { seed, eval_fraction } = CommonOptions::read(&reader)?;
        let eval_strategy = eval_strategy(&reader, eval_fraction)?;
        refuse_classes(&reader, objective)?;
        let search = search(&reader)?;
        Ok(Self {
            learning_rate: reader.number("learning_rate", learning_rate(tuning), above_zero(1.0))?,
            num_train_epochs: reader.integer("num_train_epochs", 1..=1000)?.unwrap_or(3) as u32,
            per_device_train_batch_size: reader
                .integer("per_device_train_batch_size", 1..=4096)?
                .unwrap_or(32) as usize,
            gradient_accumulation_steps: reader.integer("gradient_accumulation_steps", 1..=1024)?.unwrap_or(1)
                as usize,
            weight_decay: reader.number("weight_decay", 0.01, 0.0..=1.0)?,
            warmup_ratio: reader.number("warmup_ratio", 0.1, 0.0..=1.0)?,
            lr_scheduler_type: reader.choice("lr_scheduler_type", SchedulerType::Linear, &SCHEDULERS)?,
            max_grad_norm: reader.number("max_grad_norm", 1.0, 0.0..=1e6)?,
            label_smoothing: reader.number("label_smoothing", 0.0, 0.0..1.0)?,
            class_weights: class_weights(&reader)?,
            hidden_dropout: match reader.given("hidden_dropout") {
                Some(_) => Some(reader.number("hidden_dropout", 0.0, 0.0..=0.9)?),
                None => None,
            },
            max_length: reader.integer("max_length", 8..=131_072)?.map(|length| length as usize),
            seed,
            eval_fraction,
            eval_strategy,
            early_stopping_patience: patience(&reader, eval_strategy)?,
            metric_for_best_model: metric(&reader, objective, eval_strategy)?,
            calibration: reader.choice("calibration", CalibrationMethod::Temperature, &CALIBRATIONS)?,
            tuning,
            augment: changes::read(&reader, objective)?,
            adversarial_epsilon: adversarial_epsilon(&reader, tuning)?,
            search,
            gives_learning_rate: search.is_some() && reader.given("learning_rate").is_some(),
            gives_epochs: search.is_some() && reader.given("num_train_epochs").is_some(),
        })
    }
}

/// Texts that change from epoch to epoch would be changed anew for each trial.
fn search(reader: &Reader<'_>) -> Result<Option<SearchOptions>, EngineError> {
    let search = SearchOptions::read(reader)?;
    if search.is_some() {
        reader.refuse(&["augment"], "does not go with \"hyperparameter_search\"")?;
        if reader.given("learning_rate").is_some() && reader.given("num_train_epochs").is_some() {
            let message = "training option \"hyperparameter_search\" has nothing to look for";
            return Err(
                refused(message.to_owned()).with_hint("Leave out \"learning_rate\" or \"num_train_epochs\".")
            );
        }
    }
    Ok(search)
}

const SCHEDULERS: [(&str, SchedulerType); 4] = [
    ("linear", SchedulerType::Linear),
    ("cosine", SchedulerType::Cosine),
    ("constant", SchedulerType::Constant),
    ("constant_with_warmup", SchedulerType::ConstantWithWarmup),
];

const CALIBRATIONS: [(&str, CalibrationMethod); 2] =
    [("temperature", CalibrationMethod::Temperature), ("none", CalibrationMethod::None)];

fn above_zero(most: f64) -> (Bound<f64>, Bound<f64>) {
    (Bound::Excluded(0.0), Bound::Included(most))
}

fn learning_rate(tuning: Tuning) -> f64 {
    match tuning {
        Tuning::Full { .. } => 5e-5,
        Tuning::Lora { .. } => 5e-4,
        Tuning::Head => 1e-3,
    }
}

fn tuning(reader: &Reader<'_>) -> Result<Tuning, EngineError> {
    let freeze_layers = reader.integer("freeze_layers", 0..=256)?.unwrap_or(0) as usize;
    let r = reader.integer("lora_r", 1..=256)?.unwrap_or(8) as usize;
    let alpha = reader.number("lora_alpha", 16.0, above_zero(1024.0))?;
    let choices = [
        ("full", Tuning::Full { freeze_layers }),
        ("head", Tuning::Head),
        ("lora", Tuning::Lora { r, alpha, freeze_layers }),
    ];
    let tuning = reader.choice("tuning", Tuning::Full { freeze_layers }, &choices)?;
    if !matches!(tuning, Tuning::Lora { .. }) {
        reader.refuse(&["lora_r", "lora_alpha"], "needs \"tuning\" to be \"lora\"")?;
    }
    if tuning == Tuning::Head {
        reader.refuse(&["freeze_layers"], "needs \"tuning\" to be \"full\" or \"lora\"")?;
    }
    Ok(tuning)
}

fn eval_strategy(reader: &Reader<'_>, fraction: f64) -> Result<EvalStrategy, EngineError> {
    let choices = [("epoch", EvalStrategy::Epoch), ("no", EvalStrategy::No)];
    if fraction > 0.0 {
        return reader.choice("eval_strategy", EvalStrategy::Epoch, &choices);
    }
    match reader.choice("eval_strategy", EvalStrategy::No, &choices)? {
        EvalStrategy::Epoch => {
            Err(refused("training option \"eval_strategy\" needs \"eval_fraction\" to be above 0".to_owned()))
        }
        EvalStrategy::No => Ok(EvalStrategy::No),
    }
}

fn patience(reader: &Reader<'_>, strategy: EvalStrategy) -> Result<Option<u32>, EngineError> {
    let patience = reader.integer("early_stopping_patience", 1..=1000)?.map(|patience| patience as u32);
    if strategy == EvalStrategy::No {
        reader.refuse(&["early_stopping_patience"], "needs \"eval_strategy\" to be \"epoch\"")?;
    }
    Ok(patience)
}

fn metric(reader: &Reader<'_>, objective: Objective, strategy: EvalStrategy) -> Result<Metric, EngineError> {
    const NAME: &str = "metric_for_best_model";
    if strategy == EvalStrategy::No {
        reader.refuse(&[NAME], "needs \"eval_strategy\" to be \"epoch\"")?;
    }
    let Some(value) = reader.given(NAME) else { return Ok(Metric::Loss) };
    let metrics = metrics(objective);
    let found = value.as_str().and_then(Metric::named).filter(|metric| metrics.contains(metric));
    let words = || metrics.iter().map(|metric| format!("\"{}\"", metric.as_str())).collect::<Vec<_>>();
    found.ok_or_else(|| unexpected(NAME, &alternatives(&words()), value))
}

/// Those that mean something for an objective; the area under a curve only where classes have no order.
fn metrics(objective: Objective) -> Vec<Metric> {
    let of_classes =
        [Metric::Accuracy, Metric::Precision, Metric::Recall, Metric::F1, Metric::CalibrationError];
    let of_numbers = [Metric::Mae, Metric::Rmse];
    let mut metrics = vec![Metric::Loss];
    match objective {
        Objective::Classification => metrics.extend(of_classes.into_iter().chain([Metric::Auc])),
        Objective::Rating => metrics.extend(of_classes.into_iter().chain(of_numbers)),
        _ => metrics.extend(of_numbers),
    }
    metrics
}

fn refuse_classes(reader: &Reader<'_>, objective: Objective) -> Result<(), EngineError> {
    match objective {
        Objective::Regression => {
            reader.refuse(&["label_smoothing", "class_weights", "calibration"], "is not for regressions")
        }
        _ => Ok(()),
    }
}

fn adversarial_epsilon(reader: &Reader<'_>, tuning: Tuning) -> Result<f64, EngineError> {
    const NAME: &str = "adversarial_epsilon";
    let epsilon = reader.number(NAME, 0.0, 0.0..=10.0)?;
    let why = match tuning {
        _ if epsilon == 0.0 => return Ok(0.0),
        Tuning::Full { freeze_layers: 0 } => return Ok(epsilon),
        Tuning::Full { .. } => "needs \"freeze_layers\" to be 0, because it moves embeddings",
        Tuning::Head | Tuning::Lora { .. } => "needs \"tuning\" to be \"full\", because it moves embeddings",
    };
    Err(refused(format!("training option \"{NAME}\" {why}")))
}

#[cfg(test)]
mod tests;
