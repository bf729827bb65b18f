//! A job, read and checked, and the network that is to learn.
//!
//! It must not know updates or epochs. Invariant: a [`Setup`] can be trained with: what the rows, the options, the base and
//! the checkpoint contradict each other in was refused, and it fits into the memory it may take.

use std::sync::Arc;

use ecommerce_ml_checkpoint::config::{DropoutShares, ModelConfig};
use ecommerce_ml_checkpoint::files::{ModelFiles, content_address};
use ecommerce_ml_checkpoint::head::HeadPlan;
use ecommerce_ml_checkpoint::tokenizer::Tokenizer;
use ecommerce_ml_predictor::Job;
use ecommerce_ml_protocol::training::{Prepared, TrainingCall, TrainingPlan};
use ecommerce_ml_protocol::{EngineError, ErrorKind, Input, ModelSource};
use ecommerce_ml_tensor_cpu::Cpu;
use ecommerce_ml_training::options::{canonical, parse};
use ecommerce_ml_training::targets::are_stars;
use ecommerce_ml_training::{Dataset, HeldOut, RowId, Targets};

use super::changing::Changing;
use super::checkpoint::Checkpoint;
use super::criterion::Criterion;
use super::examples::Examples;
use super::frozen::Frozen;
use super::learner::{Inputs, Learner, Shares};
use super::memory::Sizes;
use super::save::Layout;
use super::training;
use crate::cuda::TrainingMachine;
use crate::nn::{self, Network, Parameters};
use crate::train::augment::{Augmenter, Synonyms};
use crate::train::options::{EvalStrategy, TrainingOptions, Tuning};

/// Bytes that are read of a text that is held out: some 3500 words. Queries read texts whole, and so all but a few are read
/// here; but a single one of four megabytes would cost more than the training, which reads a window of each.
const HELD_OUT_BYTES: usize = 16 << 10;

/// What a training begins with.
pub(super) struct Setup {
    pub(super) options: TrainingOptions,
    pub(super) targets: Targets,
    pub(super) examples: Examples,
    pub(super) criterion: Criterion,
    /// Mean and deviation that numbers are counted by.
    pub(super) scale: (f64, f64),
    /// What the rows are known by.
    pub(super) ids: Vec<RowId>,
    pub(super) held_out: HeldOut,
    /// The texts that are held out, in the order of their rows.
    pub(super) held_out_texts: Input,
    pub(super) fingerprint: String,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) incumbent: Option<ModelFiles>,
    /// What the training is going to do.
    pub(super) prepared: Prepared,
    /// What texts that change from epoch to epoch are made of.
    texts: Option<Texts>,
    base: ModelFiles,
    config: ModelConfig,
    /// Whether the head of the base is what the new one begins with.
    keeps_head: bool,
}

/// Texts to change.
struct Texts {
    all: Vec<String>,
    paraphrases: Vec<Vec<String>>,
    synonyms: Vec<(String, String)>,
    tokenizer: Tokenizer,
    limit: usize,
}

impl Setup {
    /// Reads a job.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(job: Job) -> Result<Self, EngineError> {
        let Job { plan, base, incumbent, rows, synonyms, checkpoint } = job;
        let base = base.ok_or_else(without_base)?;
        let (options, effective, canonical) = read_options(&plan.call)?;
        let fingerprint = fingerprint(&plan, &canonical, &base);
        let checkpoint_bytes = checkpoint.len() as u64;
        let checkpoint = Checkpoint::read(checkpoint)?;
        let mut dataset = Dataset::new(&plan.call, rows)?;
        let mut ignored = 0;
        if let Some(checkpoint) = &checkpoint {
            checkpoint.check(&fingerprint)?;
            ignored = dataset.keep(&checkpoint.rows())?;
        }
        let config = ModelConfig::load(&base)?;
        refuse_more_layers(&options, config.layers)?;
        let head = base_head(&base)?;
        let known = head.as_ref().and_then(|head| head.labels.as_deref());
        let targets = Targets::read(plan.call.objective, &dataset.labels, known)?;
        let keeps_head = head.is_some_and(|head| fits(&head, &targets));

        let held_out = HeldOut::choose(&dataset, &targets, options.eval_fraction, options.seed)?;
        let classes: Vec<u32> = (0..dataset.len()).map(|row| targets.class(row)).collect();
        let tokenizer = Tokenizer::load(&base, &config)?;
        let limit = options.max_length.unwrap_or(usize::MAX);
        let examples = Examples::new(&mut dataset, &held_out.split, &classes, &options, (&tokenizer, limit))?;
        // Copies count, or balanced weights would make up for scarce classes a second time.
        let learned = examples.rows(&examples.training);
        let (criterion, scale) = (Criterion::new(&targets, &learned, &options)?, targets.scale(&learned));
        let bytes = |files: &ModelFiles| files.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        let (parameters, trained, layers) = count(&config, &options, targets.outputs());
        let text_bytes = |text: &String| text.len() as u64 + 112;
        let sizes = Sizes {
            config: &config,
            parameters,
            trained,
            adapted: match options.tuning {
                Tuning::Lora { .. } => (layers * 2 * config.hidden_size.pow(2)) as u64,
                Tuning::Full { .. } | Tuning::Head => 0,
            },
            layers,
            head_only: options.tuning == Tuning::Head,
            base: bytes(&base),
            incumbent: incumbent.as_ref().map_or(0, bytes),
            tokenizer: tokenizer.bytes(),
            texts: dataset.texts().iter().map(text_bytes).sum(),
            tokens: examples.bytes(),
            examples: examples.len() as u64,
            held_out: examples.held_out.len() as u64,
            longest: examples.longest() as u64,
            classes: targets.labels().len() as u64,
            checkpoint: checkpoint_bytes,
            keeps_best: options.eval_strategy == EvalStrategy::Epoch,
        };
        let prepared = Prepared {
            ignored_rows: ignored,
            epochs: options.num_train_epochs,
            steps: training::steps(&options, &examples),
            resumed_at: checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.header.step),
            memory: sizes.check(plan.memory_limit)?,
            options: effective,
            ..held_out.prepared(&dataset, &targets)
        };
        let Dataset { input, paraphrases, ids, .. } = dataset;
        let Input::Texts(mut all) = input else { return Err(without_texts()) };
        let held_out_texts = examples.held_out.iter().map(|&row| beginning(std::mem::take(&mut all[row])));
        let held_out_texts = Input::Texts(held_out_texts.collect());
        let texts =
            Augmenter::new(options.augment.clone(), options.seed, Synonyms::default()).changes_texts();
        let texts = texts.then_some(Texts { all, paraphrases, synonyms, tokenizer, limit });
        Ok(Self {
            options,
            targets,
            examples,
            criterion,
            scale,
            ids,
            held_out,
            held_out_texts,
            fingerprint,
            checkpoint,
            incumbent,
            prepared,
            texts,
            base,
            config,
            keeps_head,
        })
    }

    /// The network, and how it will be saved. The files of the base are gone then.
    ///
    /// # Errors
    /// If the base is damaged or not supported.
    pub(super) fn learner(
        &mut self,
        cpu: &Cpu,
        elsewhere: Option<&Arc<dyn TrainingMachine>>,
    ) -> Result<(Learner, Layout), EngineError> {
        let base = std::mem::take(&mut self.base);
        let seed = self.options.seed;
        let (network, mut parameters) = Network::open(&base, self.targets.outputs(), seed, cpu)?;
        let layout = Layout::of(&base, &parameters)?;
        let shares = Shares::new(&DropoutShares::load(&base)?, self.options.hidden_dropout);
        if !self.keeps_head {
            network.renew_output(&mut parameters, seed);
        } else if let (Targets::Numbers(_), (mean, deviation)) = (&self.targets, self.scale) {
            // The base's head counts in the user's unit.
            rescale(&network, &mut parameters, 1.0 / deviation, -mean / deviation);
        }
        let mut lora = None;
        let tuning = match self.options.tuning {
            Tuning::Full { freeze_layers: 0 } => nn::Tuning::Full,
            Tuning::Full { freeze_layers: layers } => nn::Tuning::Frozen { layers },
            Tuning::Head => nn::Tuning::Head,
            Tuning::Lora { r, alpha, freeze_layers: frozen } => {
                lora = Some(network.adapt(&mut parameters, (r, alpha as f32), frozen, seed));
                nn::Tuning::Lora { frozen }
            }
        };
        let changing = self.changing(&parameters)?.map(Box::new);
        if tuning == nn::Tuning::Head {
            let distant = elsewhere.map(|machine| Arc::clone(machine).train(&network, &parameters, tuning));
            let mut encoder = match distant.transpose()?.flatten() {
                Some(distant) => Frozen::Elsewhere(distant),
                None => Frozen::open(&base, &self.config, cpu)?,
            };
            let inputs = match changing {
                None => Inputs::States(encoder.all(&network, &self.examples)?),
                Some(changing) => Inputs::Encoded(encoder, changing),
            };
            return Ok((Learner::new((network, parameters), tuning, lora, inputs, (shares, seed)), layout));
        }
        let inputs = changing.map_or(Inputs::Tokens, Inputs::Changing);
        let mut learner = Learner::new((network, parameters), tuning, lora, inputs, (shares, seed));
        if let Some(machine) = elsewhere {
            learner.go_to(machine, tuning)?;
        }
        Ok((learner, layout))
    }

    /// What changes texts from epoch to epoch, if they change.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for a table of synonyms that has none.
    fn changing(&mut self, parameters: &Parameters) -> Result<Option<Changing>, EngineError> {
        let Some(Texts { all, paraphrases, synonyms, tokenizer, limit }) = self.texts.take() else {
            return Ok(None);
        };
        let changes = self.options.augment.clone();
        let synonyms = if changes.wants_neighbours() {
            let learned = self.examples.rows(&self.examples.training);
            let texts = learned.iter().map(|&row| all[row].as_str());
            // The embeddings of words are the first parameter.
            let words = parameters.list.first().map_or(0..0, |words| words.range.clone());
            Synonyms::nearest(texts, &tokenizer.vocabulary(self.config.vocab_size), &parameters.values[words])
        } else {
            Synonyms::table(synonyms)
        };
        if changes.synonym_table && synonyms.is_empty() {
            let message = "table of training option \"augment.synonym_table\" has no synonyms";
            return Err(EngineError::new(ErrorKind::InvalidRequest, message));
        }
        let augmenter = Augmenter::new(changes, self.options.seed, synonyms);
        let ids = self.ids.clone();
        Ok(Some(Changing { texts: all, paraphrases, ids, augmenter, tokenizer, limit }))
    }
}

/// As much of a text as is read where it is held out.
fn beginning(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(HELD_OUT_BYTES));
    text.shrink_to_fit();
    text
}

/// Folds the scale that numbers were counted by into the head, which then counts in the user's unit.
pub(super) fn unscale(network: &Network, parameters: &mut Parameters, (mean, deviation): (f64, f64)) {
    if (mean, deviation) != (0.0, 1.0) {
        rescale(network, parameters, deviation, mean);
    }
}

/// Makes the head's outputs `factor` times as large, and adds `shift`.
fn rescale(network: &Network, parameters: &mut Parameters, factor: f64, shift: f64) {
    let (weights, biases) = network.output_layer(parameters);
    weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * factor) as f32);
    biases.iter_mut().for_each(|bias| *bias = f64::from(*bias).mul_add(factor, shift) as f32);
}

/// The options, all that hold as a JSON object, and those that were given as text that is the same for the same training.
fn read_options(call: &TrainingCall) -> Result<(TrainingOptions, String, String), EngineError> {
    let value = parse(&call.options)?;
    let options = TrainingOptions::parse(&value, call.objective)?;
    let effective = options.effective(&value).to_string();
    Ok((options, effective, canonical(value)))
}

/// Stands for what a checkpoint can't be used without.
fn fingerprint(plan: &TrainingPlan, options: &str, base: &ModelFiles) -> String {
    let address = match plan.base {
        Some(ModelSource::Content(sha)) => sha,
        Some(ModelSource::Builtin(_)) | None => content_address(&base.manifest()),
    };
    let TrainingCall { objective, has_time, .. } = &plan.call;
    let by = if *has_time { "by time" } else { "by chance" };
    blake3::hash(format!("{objective:?}\0{by}\0{address}\0{options}").as_bytes()).to_string()
}

fn without_base() -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, "a training of texts needs a model to begin with")
}

fn without_texts() -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, "a training of texts has no texts")
}

/// The head of the base, unless it is of a kind that is never kept.
fn base_head(base: &ModelFiles) -> Result<Option<HeadPlan>, EngineError> {
    match HeadPlan::of_files(base) {
        Err(error) if error.kind == ErrorKind::UnsupportedModel => Ok(None),
        head => head,
    }
}

/// Whether a head is for the same as the targets.
fn fits(head: &HeadPlan, targets: &Targets) -> bool {
    match (targets, &head.labels) {
        (Targets::Classes { labels, .. }, Some(known)) => labels == known,
        (Targets::Stars(_), Some(known)) => are_stars(known),
        (Targets::Numbers(_), None) => true,
        _ => false,
    }
}

fn refuse_more_layers(options: &TrainingOptions, layers: usize) -> Result<(), EngineError> {
    let frozen = match options.tuning {
        Tuning::Full { freeze_layers } | Tuning::Lora { freeze_layers, .. } => freeze_layers,
        Tuning::Head => 0,
    };
    if frozen <= layers {
        return Ok(());
    }
    let message = format!("training option \"freeze_layers\" is {frozen}, but the model has {layers} layers");
    Err(EngineError::new(ErrorKind::InvalidRequest, message))
}

/// Parameters, how many of them are trained, and the layers that the backward pass goes through.
fn count(config: &ModelConfig, options: &TrainingOptions, outputs: usize) -> (u64, u64, usize) {
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let rows = config.vocab_size + config.positions + config.token_types.unwrap_or(0) + 2;
    let embeddings = rows * width;
    let layer = 4 * (width * width + width) + 2 * width * inner + inner + width + 4 * width;
    let head = width * width + width + outputs * (width + 1);
    let all = embeddings + config.layers * layer + head;
    let (trained, layers) = match options.tuning {
        Tuning::Full { freeze_layers: 0 } => (all, config.layers),
        Tuning::Full { freeze_layers } => {
            let layers = config.layers - freeze_layers.min(config.layers);
            (layers * layer + head, layers)
        }
        Tuning::Head => (head, 0),
        Tuning::Lora { r, freeze_layers, .. } => {
            let layers = config.layers - freeze_layers.min(config.layers);
            (layers * 4 * r * width + head, layers)
        }
    };
    (all as u64, trained as u64, layers)
}
