//! A loaded model: text in, rows of numbers and their meaning out.
//!
//! # Layout
//! - `network`: windows through the network: on the CPU by `packed`, on a GPU by `device_network`, of architectures that neither
//!   knows by `candle`, which is also the reference of the first.
//! - `prepare`, `quantization_check`: weights into the form and the precision that the CPU computes with.
//! - `combine`: windows of one text into one answer.
//! - `text_model`: the model as its scheduler uses it.
//!
//! It must not know requests, clients or caches.
//! Invariant: a row of a batch equals the row alone, whatever else is in the batch; but for the last digits where candle computes.

use std::sync::Arc;

use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_checkpoint::head::HeadPlan;
use ecommerce_ml_checkpoint::open::OpenModel;
use ecommerce_ml_checkpoint::tokenizer::{TokenDetail, Tokenizer, Tokens, Window};
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_predictor::ModelPrecision;
use ecommerce_ml_protocol::{Answer, EngineError, ErrorKind, ModelInfo, Reads, Signature, Task};
use ecommerce_ml_tensor_cpu::{Cpu, PackedEncoder, PrepackedWeights};
use ecommerce_ml_tensor_cuda::HalfPrecision;
use serde::Serialize;

use crate::cuda::Accelerator;
use crate::deferred::Deferred;
use crate::device::Device;
use crate::output::{ForwardOutput, Prediction, WindowRow};
use crate::shape::sizes;

mod candle;
mod combine;
mod device_network;
mod network;
mod packed;
mod prepare;
mod quantization_check;
mod text_model;

use candle::CandleNetwork;
use device_network::DeviceNetwork;
use network::Network;
use packed::PackedNetwork;
pub use prepare::PrecisionChoice;
use prepare::{About, Source};

/// What the catalog calls the kind of these models.
pub const KIND: &str = "text";

/// A model, ready to answer; threads can share it.
#[derive(Debug)]
pub struct Model {
    tokenizer: Tokenizer,
    network: Network,
    info: ModelInfo,
    precision: ModelPrecision,
}

/// What a computation comes to, a multiplication and an addition being two operations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Operations {
    /// On bytes.
    pub int8: u64,
    /// In single precision.
    pub f32: u64,
}

impl Model {
    /// Reads a model in Hugging Face layout.
    ///
    /// # Errors
    /// [`ErrorKind::FileMissing`], [`ErrorKind::DamagedModel`] or [`ErrorKind::UnsupportedModel`].
    pub fn load(
        files: &ModelFiles,
        device: &Device,
        precision: PrecisionChoice,
    ) -> Result<Self, EngineError> {
        let config = ModelConfig::load(files)?;
        match device {
            _ if !config.family.is_bert_shaped() => {
                Self::load_by_candle(files, Weights::open(files)?, &candle_core::Device::Cpu)
            }
            Device::Cpu(cpu) => Self::open(Self::prepare(files, cpu, precision)?, cpu),
            Device::Accelerator(accelerator) => Self::load_to(accelerator, files, precision),
            Device::Candle(device) => Self::load_by_candle(files, Weights::open(files)?, device),
        }
    }

    /// A model that candle computes, whatever precision was asked for in the only one that it has.
    fn load_by_candle(
        files: &ModelFiles,
        weights: Weights<'_>,
        device: &candle_core::Device,
    ) -> Result<Self, EngineError> {
        let model = Self::load_from_files(files, weights, "f32", |weights, names, config, head| {
            let network = CandleNetwork::load(weights, config, names, head, device)?;
            let bytes = weights.parameters() * size_of::<f32>() as u64 + network.working_bytes();
            Ok((Network::Candle(Box::new(network)), bytes))
        })?;
        let note = "this architecture is computed by candle, on the CPU in f32".to_owned();
        Ok(Self { precision: ModelPrecision { note, ..model.precision }, ..model })
    }

    /// Brings a model into the form that the CPU computes with; it can be kept and be given to [`open`](Self::open).
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn prepare(
        files: &ModelFiles,
        cpu: &Cpu,
        precision: PrecisionChoice,
    ) -> Result<PrepackedWeights, EngineError> {
        let config = ModelConfig::load(files)?;
        let tokenizer = Tokenizer::load(files, &config)?;
        if !config.family.is_bert_shaped() {
            return prepare::as_it_is(files);
        }
        Source { files, config: &config, tokenizer: &tokenizer, kernels: cpu.kernels }.prepare(precision)
    }

    /// A model that was prepared on a machine like this.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedModel`] if the weights aren't what [`prepare`](Self::prepare) makes.
    pub fn open(prepacked: PrepackedWeights, cpu: &Cpu) -> Result<Self, EngineError> {
        let prepacked = Arc::new(prepacked);
        let files = prepare::small_files(&prepacked);
        let config = ModelConfig::load(&files)?;
        if !config.family.is_bert_shaped() {
            let weights = Weights::of_shards(prepare::shards(&prepacked))?;
            return Self::load_by_candle(&files, weights, &candle_core::Device::Cpu);
        }
        let tokenizer = Tokenizer::load(&files, &config)?;
        let damaged = || EngineError::new(ErrorKind::DamagedModel, "prepared weights don't fit their model");
        let about: About = serde_json::from_value(prepacked.about().clone()).map_err(|_| damaged())?;
        let network =
            PackedNetwork::open(&prepacked, &about, &config, cpu.kernels, &cpu.pool).ok_or_else(damaged)?;
        let bytes = prepacked.size() as u64 + tokenizer.bytes();
        let info = describe(&config, &tokenizer, about.head.as_ref(), (about.parameters, bytes));
        let precision = ModelPrecision { name: about.precision.as_str(), note: about.precision_note };
        Ok(Self { tokenizer, network: Network::Packed(Box::new(network)), info, precision })
    }

    /// A model on a device with memory of its own.
    fn load_to(
        accelerator: &Arc<dyn Accelerator>,
        files: &ModelFiles,
        precision: PrecisionChoice,
    ) -> Result<Self, EngineError> {
        let load = |numbers: HalfPrecision| {
            let weights = Weights::open(files)?;
            Self::load_from_files(files, weights, numbers.as_str(), |weights, names, config, head| {
                let there = (accelerator, numbers);
                let (network, bytes) = DeviceNetwork::load((weights, names), config, head, there)?;
                Ok((Network::Device(network), bytes))
            })
        };
        let (model, note) = match precision {
            PrecisionChoice::Half(numbers) => (load(numbers)?, "as set"),
            PrecisionChoice::Auto | PrecisionChoice::Fixed(_) => {
                let model = load(HalfPrecision::F16)?;
                if model.is_finite()? {
                    (model, "built-in texts stay within its range")
                } else {
                    drop(model);
                    (load(HalfPrecision::Bf16)?, "built-in texts exceed the range of f16")
                }
            }
        };
        let precision = ModelPrecision { note: note.to_owned(), ..model.precision };
        Ok(Self { precision, ..model })
    }

    /// Whether nothing overflows on built-in texts.
    fn is_finite(&self) -> Result<bool, EngineError> {
        let output =
            if self.info.task() == Task::Embedding { ForwardOutput::Embedding } else { ForwardOutput::Head };
        let windows = quantization_check::windows(&self.tokenizer)?;
        match self.forward(&windows.iter().collect::<Vec<_>>(), output) {
            Ok(_) => Ok(true),
            Err(error) if error.kind == ErrorKind::DamagedModel => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A model whose network is not on the CPU; `load` says how many bytes it takes.
    fn load_from_files(
        files: &ModelFiles,
        mut weights: Weights<'_>,
        precision: &'static str,
        load: impl FnOnce(
            &mut Weights<'_>,
            &Names,
            &ModelConfig,
            Option<&HeadPlan>,
        ) -> Result<(Network, u64), EngineError>,
    ) -> Result<Self, EngineError> {
        let config = ModelConfig::load(files)?;
        let tokenizer = Tokenizer::load(files, &config)?;
        let names = Names::detect(config.family, &weights);
        weights.refuse_more_layers(&names, config.layers)?;
        let head = HeadPlan::read(&weights, &names, &config)?;
        let (network, bytes) = load(&mut weights, &names, &config, head.as_ref())?;
        let sizes = (weights.parameters(), bytes + tokenizer.bytes());
        let info = describe(&config, &tokenizer, head.as_ref(), sizes);
        let precision = ModelPrecision { name: precision, note: String::new() };
        Ok(Self { tokenizer, network, info, precision })
    }

    /// What it is computed in.
    pub fn precision(&self) -> &ModelPrecision {
        &self.precision
    }

    /// What the model is.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// All tokens of a text, special tokens included; none for an empty or blank text.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedModel`] if the tokenizer can't cope with the text.
    pub fn tokenize(&self, text: &str, detail: TokenDetail) -> Result<Tokens, EngineError> {
        self.tokenizer.tokenize(text, detail)
    }

    /// A text in windows that overlap by an eighth; none for an empty or blank text.
    ///
    /// # Errors
    /// As [`tokenize`](Self::tokenize).
    pub fn windows(&self, text: &str) -> Result<Vec<Window>, EngineError> {
        self.tokenizer.windows(text)
    }

    /// Whether its letters are of scripts that the model reads, and its pieces in the vocabulary: at least half of them.
    ///
    /// # Errors
    /// As [`tokenize`](Self::tokenize).
    pub fn can_read(&self, text: &str, windows: &[Window]) -> Result<bool, EngineError> {
        self.tokenizer.can_read(text, windows)
    }

    /// A row for each window: probabilities of the labels, the value of a regression, or an embedding.
    /// Shapes `[labels]`, `[1]` and `[hidden]`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for [`ForwardOutput::Head`] of a model without head, or a window that this model's
    /// tokenizer didn't make; [`ErrorKind::DamagedModel`] if the computation overflows.
    pub fn forward(&self, windows: &[&Window], output: ForwardOutput) -> Result<Vec<Vec<f32>>, EngineError> {
        self.begin(windows, output)?.finish()
    }

    /// Begins what [`forward`](Self::forward) does; on the CPU that is all of it.
    /// Shapes are those of `forward`: `[labels]`, `[1]` or `[hidden]`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), now or when the rows are waited for.
    pub fn begin(
        &self,
        windows: &[&Window],
        output: ForwardOutput,
    ) -> Result<Deferred<Vec<Vec<f32>>>, EngineError> {
        windows.iter().try_for_each(|window| self.check(window))?;
        self.network.begin(windows, output)
    }

    /// What the head reads of windows of token ids, a row for each, `[windows, hidden]`, for whoever trains another one; only of
    /// models that candle computes.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn features(&self, windows: &[&[u32]]) -> Result<Vec<Vec<f32>>, EngineError> {
        let windows: Vec<Window> =
            windows.iter().map(|ids| Window { ids: ids.to_vec(), content_tokens: ids.len() }).collect();
        windows.iter().try_for_each(|window| self.check(window))?;
        self.network.features(&windows.iter().collect::<Vec<_>>())
    }

    /// What [`forward`](Self::forward) comes to for these windows on the CPU, heads and everything that isn't multiplied left
    /// aside; nothing elsewhere.
    pub fn operations(&self, windows: &[Window], output: ForwardOutput) -> Operations {
        let Network::Packed(network) = &self.network else { return Operations::default() };
        let (dense, attention) = network.operations(windows, output);
        if self.precision.name == "int8" {
            Operations { int8: dense, f32: attention }
        } else {
            Operations { int8: 0, f32: dense + attention }
        }
    }

    /// What the rows of [`ForwardOutput::Head`] of all windows of one text, at least one, say of it.
    pub fn predict(&self, rows: &[WindowRow]) -> Prediction {
        let mean = combine::weighted_mean(rows);
        match self.info.task() {
            Task::Regression => Prediction::Number(mean.first().copied().unwrap_or_default()),
            _ => Prediction::Probabilities(mean.into_iter().map(|value| value as f32).collect()),
        }
    }

    /// The embedding of one text, of length 1, from the rows of [`ForwardOutput::Embedding`] of all its windows.
    /// Shape `[hidden]`.
    pub fn embed(&self, rows: &[WindowRow]) -> Vec<f32> {
        combine::normalised(&combine::weighted_mean(rows))
    }

    fn check(&self, window: &Window) -> Result<(), EngineError> {
        let length = window.ids.len();
        if (1..=self.tokenizer.max_length()).contains(&length) {
            return Ok(());
        }
        Err(EngineError::new(
            ErrorKind::InvalidRequest,
            format!("window of {length} tokens, outside 1 to {}", self.tokenizer.max_length()),
        ))
    }
}

/// The encoder of a model by itself on the CPU, in single precision.
///
/// # Errors
/// As of [`Model::load`].
pub fn encoder(model: &mut OpenModel<'_>, cpu: &Cpu) -> Result<PackedEncoder, EngineError> {
    let prepacked = Arc::new(prepare::encoder(model)?);
    let damaged = || EngineError::new(ErrorKind::DamagedModel, "weights don't fit their model");
    PackedEncoder::open(&prepacked, &sizes(&model.config), cpu.kernels, &cpu.pool).ok_or_else(damaged)
}

/// What views show of a text model beside what every kind has.
#[derive(Serialize)]
struct Details {
    /// Its family, in lower case.
    architecture: String,
    /// Most tokens of a window, special tokens included.
    max_length: usize,
    /// Width of the hidden states.
    hidden_size: usize,
    /// Scripts that it reads, by their names in Unicode; not there if nothing is known of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    scripts: Option<Vec<&'static str>>,
}

/// What a model is, with so many weights that take so many bytes.
pub fn describe(
    config: &ModelConfig,
    tokenizer: &Tokenizer,
    head: Option<&HeadPlan>,
    (parameters, bytes): (u64, u64),
) -> ModelInfo {
    // The width is capped far below `u32::MAX` by `ModelConfig`.
    let mut answers = vec![Answer::Embedding(config.hidden_size as u32), Answer::Tokens];
    let labels = head.and_then(|head| head.labels.clone()).unwrap_or_default();
    if let Some(head) = head {
        answers.insert(0, if head.labels.is_some() { Answer::Classes } else { Answer::Number });
    }
    let details = Details {
        architecture: format!("{:?}", config.family).to_lowercase(),
        max_length: tokenizer.max_length(),
        hidden_size: config.hidden_size,
        scripts: tokenizer.scripts().names(),
    };
    ModelInfo {
        kind: KIND.to_owned(),
        signature: Signature { reads: Reads::Text, answers, labels },
        parameters,
        bytes,
        // A struct of text and numbers can always be written.
        details: serde_json::to_string(&details).unwrap_or_default(),
    }
}
