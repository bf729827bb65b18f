//! A job, read and checked, and the network that is to learn.
//!
//! It must not know updates or epochs. Invariant: a [`Setup`] can be trained with: what the rows, the options, the base and
//! the checkpoint contradict each other in was refused, and it fits into the memory it may take.

use std::sync::Arc;

use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::files::{ModelFiles, content_address};
use ecommerce_ml_checkpoint::head::HeadPlan;
use ecommerce_ml_checkpoint::open::OpenModel;
use ecommerce_ml_checkpoint::scripts::KnownScripts;
use ecommerce_ml_checkpoint::tokenizer::Tokenizer;
use ecommerce_ml_predictor::{Evaluate, Job, Sink};
use ecommerce_ml_protocol::training::{Prepared, TrainingCall, TrainingPlan};
use ecommerce_ml_protocol::{EngineError, ErrorKind, Input, ModelSource};
use ecommerce_ml_tensor_cpu::Cpu;
use ecommerce_ml_training::options::{canonical, parse};
use ecommerce_ml_training::targets::are_stars;
use ecommerce_ml_training::temperature::Temperature;
use ecommerce_ml_training::{Dataset, HeldOut, RowId, Targets};
use serde_json::Value;

use super::checkpoint::Checkpoint;
use super::criterion::Criterion;
use super::epoch_augmentation::EpochAugmentation;
use super::examples::Examples;
use super::frozen_encoder::FrozenEncoder;
use super::learner::{AppliedDropoutRates, Inputs, Learner};
use super::memory::MemoryModel;
use super::save::{FileLayout, apply_temperature};
use super::search::{Settings, TrialRows};
use super::training;
use crate::cuda::TrainingBackend;
use crate::nn::layout::ParameterLayout;
use crate::nn::{self, Network, Parameters};
use crate::recipe::augment::{Augmenter, Synonyms};
use crate::recipe::options::{CalibrationMethod, EvalStrategy, TrainingOptions, Tuning};

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
    /// What trials learn from and are measured on, if settings are looked for.
    pub(super) trial_rows: Option<TrialRows>,
    /// What the training is going to do.
    pub(super) prepared: Prepared,
    /// The scripts that the new model reads.
    scripts: KnownScripts,
    /// What texts that change from epoch to epoch are made of.
    texts: Option<Texts>,
    config: ModelConfig,
    tuning: nn::Tuning,
    /// Whether the head of the base is what the new one begins with.
    keeps_head: bool,
    /// The last states of first tokens, where only a head learns: computed once, for all trials and the training.
    states: Option<Arc<Vec<f32>>>,
}

/// What a network learns on.
#[derive(Clone, Copy)]
pub(super) struct LearningDevices<'a> {
    pub(super) cpu: &'a Cpu,
    pub(super) other: Option<&'a Arc<dyn TrainingBackend>>,
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
    /// Reads a job, which begins with this base.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(job: Job, base: &OpenModel<'_>) -> Result<Self, EngineError> {
        let Job { plan, incumbent, rows, synonyms, checkpoint, .. } = job;
        let (mut options, mut effective, canonical) = read_options(&plan.call)?;
        let fingerprint = fingerprint(&plan, &canonical, base.files);
        let checkpoint_bytes = checkpoint.len() as u64;
        let checkpoint = Checkpoint::read(checkpoint)?;
        let mut dataset = Dataset::new(&plan.call, rows)?;
        let mut ignored = 0;
        if let Some(checkpoint) = &checkpoint {
            checkpoint.check(&fingerprint)?;
            ignored = dataset.keep(&checkpoint.rows())?;
            if let (Some(_), Some(found)) = (options.search, checkpoint.header.settings) {
                found.apply(&mut options);
                effective = with_settings(&effective, found)?;
            }
        }
        let config = &base.config;
        refuse_more_layers(&options, config.layers)?;
        refuse_foreign(&options, config)?;
        let head = base_head(base)?;
        let known = head.as_ref().and_then(|head| head.labels.as_deref());
        let targets = Targets::read(plan.call.objective, &dataset.labels, known)?;
        let keeps_head = head.is_some_and(|head| fits(&head, &targets));

        let held_out = HeldOut::choose(&dataset, &targets, options.eval_fraction, options.seed)?;
        let is_searched = options.search.is_some() && checkpoint.is_none();
        let trial_rows = is_searched
            .then(|| TrialRows::of(&dataset, &held_out.split.training, options.seed))
            .transpose()?;
        let classes: Vec<u32> = (0..dataset.len()).map(|row| targets.class(row)).collect();
        let tokenizer = Tokenizer::load(base.files, config)?;
        let learned = held_out.split.training.iter().map(|&row| dataset.texts()[row].as_str());
        let scripts = tokenizer.scripts().learning_from(learned);
        let limit = options.max_length.unwrap_or(usize::MAX);
        let examples = Examples::new(&mut dataset, &held_out.split, &classes, &options, (&tokenizer, limit))?;
        // Copies count, or balanced weights would make up for scarce classes a second time.
        let learned = examples.rows(&examples.training);
        let (criterion, scale) = (Criterion::new(&targets, &learned, &options)?, targets.scale(&learned));
        let bytes = |files: &ModelFiles| files.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        let (parameter_layout, _) = ParameterLayout::new(&base.names, config, targets.outputs());
        let tuning = tuning(options.tuning);
        let counts = Counts::of(&parameter_layout, tuning, options.tuning);
        let parameters = match config.family.is_bert_shaped() {
            true => counts.parameters,
            false => base.weights.numbers() + counts.trained,
        };
        let text_bytes = |text: &String| text.len() as u64 + 112;
        let sizes = MemoryModel {
            config,
            parameters,
            trained: counts.trained,
            adapted: counts.adapted,
            layers: counts.layers,
            head_only: options.tuning == Tuning::Head,
            base: bytes(base.files),
            incumbent: incumbent.as_ref().map_or(0, bytes),
            tokenizer: tokenizer.bytes(),
            texts: dataset.texts().iter().map(text_bytes).sum(),
            tokens: examples.bytes(),
            examples: examples.len() as u64,
            held_out: examples.held_out.len() as u64,
            longest: examples.longest() as u64,
            classes: targets.labels().len() as u64,
            checkpoint: checkpoint_bytes,
            keeps_best: options.eval_strategy == EvalStrategy::Epoch || is_searched,
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
            trial_rows,
            prepared,
            scripts,
            texts,
            config: config.clone(),
            tuning,
            keeps_head,
            states: None,
        })
    }

    /// Takes settings that were found.
    ///
    /// # Errors
    /// None in practice: the options are JSON.
    pub(super) fn take(&mut self, found: Settings) -> Result<(), EngineError> {
        found.apply(&mut self.options);
        self.prepared.epochs = found.num_train_epochs;
        self.prepared.steps = training::steps(&self.options, &self.examples);
        self.prepared.options = with_settings(&self.prepared.options, found)?;
        Ok(())
    }

    /// The network, and how it will be saved.
    ///
    /// # Errors
    /// If the base is damaged or not supported.
    pub(super) fn learner(
        &mut self,
        mut base: OpenModel<'_>,
        LearningDevices { cpu, other: device }: LearningDevices<'_>,
    ) -> Result<(Learner, FileLayout), EngineError> {
        let (seed, tuning) = (self.options.seed, self.tuning);
        let (network, mut parameters) = Network::read(&mut base, self.targets.outputs(), seed, cpu)?;
        let file_layout = FileLayout::of(&base, &parameters, &self.scripts)?;
        let rates = AppliedDropoutRates::new(&base.dropout()?, self.options.hidden_dropout);
        if !self.keeps_head {
            network.renew_output(&mut parameters, seed);
        } else if let (Targets::Numbers(_), (mean, deviation)) = (&self.targets, self.scale) {
            // The base's head counts in the user's unit.
            rescale(&network, &mut parameters, 1.0 / deviation, -mean / deviation);
        }
        let lora = match self.options.tuning {
            Tuning::Lora { r, alpha, freeze_layers } => {
                Some(network.adapt(&mut parameters, (r, alpha as f32), freeze_layers, seed))
            }
            Tuning::Full { .. } | Tuning::Head => None,
        };
        let augmentation = self.augmentation(&mut base, &parameters)?.map(Box::new);
        if tuning == nn::Tuning::Head {
            let device = device.filter(|_| self.config.family.is_bert_shaped());
            let mut encoder = || {
                let there = device.map(|backend| Arc::clone(backend).train(&network, &parameters, tuning));
                match there.transpose()?.flatten() {
                    Some(encoder) => Ok(FrozenEncoder::Device(encoder)),
                    None => FrozenEncoder::open(&mut base, cpu),
                }
            };
            let inputs = match (augmentation, self.states.clone()) {
                (Some(augmentation), _) => Inputs::FrozenAugmented(encoder()?, augmentation),
                (None, Some(states)) => Inputs::States(states),
                (None, None) => {
                    let states = Arc::new(encoder()?.all((&network, &parameters), &self.examples)?);
                    self.states = self.options.search.map(|_| Arc::clone(&states));
                    Inputs::States(states)
                }
            };
            let file_layout = if self.config.family.is_bert_shaped() {
                file_layout
            } else {
                file_layout.around(base.files.clone())
            };
            return Ok((
                Learner::new((network, parameters), tuning, lora, inputs, (rates, seed)),
                file_layout,
            ));
        }
        let inputs = augmentation.map_or(Inputs::Tokens, Inputs::Augmented);
        let mut learner = Learner::new((network, parameters), tuning, lora, inputs, (rates, seed));
        if let Some(backend) = device {
            learner.move_to_device(backend, tuning)?;
        }
        Ok((learner, file_layout))
    }

    /// Makes a new model as sure as it is right on the rows held out, in its files, whose head's last layer has tensors of these
    /// names. None if it stays as it is.
    ///
    /// # Errors
    /// As of [`HeldOut::temperature`].
    pub(super) fn calibrate(
        &self,
        (files, output): (&mut ModelFiles, &[String]),
        (models, sink): (&dyn Evaluate, &mut dyn Sink),
    ) -> Result<Option<Temperature>, EngineError> {
        if self.options.calibration == CalibrationMethod::None {
            return Ok(None);
        }
        let found =
            self.held_out.temperature(&self.targets, (files, &self.held_out_texts), (models, sink))?;
        if let Some(temperature) = &found {
            apply_temperature(files, output, temperature)?;
        }
        Ok(found)
    }

    /// What changes texts from epoch to epoch, if they change.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for a table of synonyms that has none.
    fn augmentation(
        &mut self,
        base: &mut OpenModel<'_>,
        parameters: &Parameters,
    ) -> Result<Option<EpochAugmentation>, EngineError> {
        let Some(Texts { all, paraphrases, synonyms, tokenizer, limit }) = self.texts.take() else {
            return Ok(None);
        };
        let changes = self.options.augment.clone();
        let synonyms = if changes.wants_neighbours() {
            let learned = self.examples.rows(&self.examples.training);
            let texts = learned.iter().map(|&row| all[row].as_str());
            let vocabulary = tokenizer.vocabulary(self.config.vocab_size);
            if self.config.family.is_bert_shaped() {
                // The embeddings of words are the first parameter.
                let words = parameters.list.first().map_or(0..0, |words| words.range.clone());
                Synonyms::nearest(texts, &vocabulary, &parameters.values[words])
            } else {
                Synonyms::nearest(texts, &vocabulary, &word_embeddings(base)?)
            }
        } else {
            Synonyms::table(synonyms)
        };
        if changes.synonym_table && synonyms.is_empty() {
            let message = "table of training option \"augment.synonym_table\" has no synonyms";
            return Err(EngineError::new(ErrorKind::InvalidRequest, message));
        }
        let augmenter = Augmenter::new(changes, self.options.seed, synonyms);
        let ids = self.ids.clone();
        Ok(Some(EpochAugmentation { texts: all, paraphrases, ids, augmenter, tokenizer, limit }))
    }
}

/// All options that hold, with settings that were found.
fn with_settings(options: &str, found: Settings) -> Result<String, EngineError> {
    let mut options = parse(options)?;
    if let (Value::Object(all), Value::Object(found)) = (&mut options, found.to_json()) {
        all.extend(found);
    }
    Ok(options.to_string())
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

fn without_texts() -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, "a training of texts has no texts")
}

/// The head of the base, unless it is of a kind that is never kept.
fn base_head(base: &OpenModel<'_>) -> Result<Option<HeadPlan>, EngineError> {
    match base.head() {
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

/// The embeddings of words, `[vocabulary, width]`, of a base whose encoder isn't among the parameters.
fn word_embeddings(base: &mut OpenModel<'_>) -> Result<Vec<f32>, EngineError> {
    let name = base.names.words();
    let width = base.weights.shape(&name).and_then(|shape| shape.get(1).copied()).unwrap_or_default();
    base.weights.values(&name, &[base.config.vocab_size, width])
}

/// Refuses to change an encoder that isn't shaped like BERT.
fn refuse_foreign(options: &TrainingOptions, config: &ModelConfig) -> Result<(), EngineError> {
    if config.family.is_bert_shaped() || options.tuning == Tuning::Head {
        return Ok(());
    }
    let message = format!("of {} only the head can be trained", config.family.as_str());
    Err(EngineError::new(ErrorKind::InvalidRequest, message)
        .with_detail(
            "Encoders that are trained as a whole or with LoRA are those of BERT, DistilBERT and RoBERTa.",
        )
        .with_hint("Train with options {\"tuning\": \"head\"}."))
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

/// Which weights the options say are trained.
fn tuning(options: Tuning) -> nn::Tuning {
    match options {
        Tuning::Full { freeze_layers: 0 } => nn::Tuning::Full,
        Tuning::Full { freeze_layers: layers } => nn::Tuning::Frozen { layers },
        Tuning::Head => nn::Tuning::Head,
        Tuning::Lora { freeze_layers: frozen, .. } => nn::Tuning::Lora { frozen },
    }
}

/// How many numbers a training works on.
struct Counts {
    parameters: u64,
    trained: u64,
    /// Of weights that have adapters.
    adapted: u64,
    /// That the backward pass goes through.
    layers: usize,
}

impl Counts {
    fn of(layout: &ParameterLayout, tuning: nn::Tuning, options: Tuning) -> Self {
        let (mut adapted, mut adapters) = (0, 0);
        if let Tuning::Lora { r, freeze_layers, .. } = options {
            for weight in layout.layers.iter().skip(freeze_layers).flat_map(|layer| layout.adapted(layer)) {
                // Square, with a matrix of `r` rows and one of `r` columns beside it.
                adapters += 2 * r * weight.len().isqrt();
                adapted += weight.len();
            }
        }
        Self {
            parameters: layout.numbers() as u64,
            trained: (layout.numbers() - layout.first_trained(tuning) + adapters) as u64,
            adapted: adapted as u64,
            layers: layout.layers_trained(tuning).len(),
        }
    }
}
