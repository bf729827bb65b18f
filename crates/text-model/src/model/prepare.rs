//! The weights of a model into the form that the CPU computes with, in the precision that suits it.
//!
//! It must not know how they are computed with.
//! Invariant: what is prepared is all that a model needs, its small files included, so that the originals can go.

use std::sync::Arc;

use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_checkpoint::head::HeadPlan;
use ecommerce_ml_checkpoint::open::OpenModel;
use ecommerce_ml_checkpoint::tokenizer::Tokenizer;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_checkpoint::weights::{Numbers, Weights, shard_names};
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_tensor_cpu::{
    DenseWeights, EmbeddingWeights, HeadWeights, Kernels, LayerNormWeights, LayerWeights, Precision,
    PrepackedBuilder, PrepackedWeights, WordWeights, pack_embeddings, pack_head, pack_layer,
};
use ecommerce_ml_tensor_cuda::HalfPrecision;
use serde::{Deserialize, Serialize};

use super::quantization_check::QuantizationCheck;
use crate::shape::shape;

/// How many times as fast as `f32` the layers must be in `int8` to be worth the rounding.
const LEAST_SPEEDUP: f64 = 1.1;

/// Before the names of the model's files in prepacked weights.
const FILE: &str = "file.";

/// Before the names of its files of weights, where they are kept as they are.
const SHARD: &str = "weights.";

/// The setting `ecommerce_ml.precision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrecisionChoice {
    /// On the CPU `int8` where it is faster and agrees with `f32`, else `f32`. Elsewhere `f16` where the model's numbers fit into
    /// it, else `bf16`.
    Auto,
    /// What the model is to be computed in on the CPU.
    Fixed(Precision),
    /// The same elsewhere.
    Half(HalfPrecision),
}

impl PrecisionChoice {
    /// The name of the setting.
    pub fn as_str(self) -> &'static str {
        match self {
            PrecisionChoice::Auto => "auto",
            PrecisionChoice::Fixed(precision) => precision.as_str(),
            PrecisionChoice::Half(numbers) => numbers.as_str(),
        }
    }
}

/// What prepacked weights say of their model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct About {
    /// What the layers are computed in.
    pub(super) precision: Precision,
    /// Why.
    pub(super) precision_note: String,
    pub(super) head: Option<HeadPlan>,
    pub(super) parameters: u64,
}

/// A model whose weights are still in their files.
pub(super) struct Source<'a> {
    pub(super) files: &'a ModelFiles,
    pub(super) config: &'a ModelConfig,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) kernels: Kernels,
}

impl Source<'_> {
    /// Prepares the weights.
    ///
    /// # Errors
    /// As [`Model::load`](super::Model::load).
    pub(super) fn prepare(&self, choice: PrecisionChoice) -> Result<PrepackedWeights, EngineError> {
        match choice {
            PrecisionChoice::Fixed(Precision::F32) => self.build(None, "as set"),
            PrecisionChoice::Fixed(Precision::Int8) => {
                let (prepacked, verdict) = self.build_int8()?;
                let figures = verdict.unwrap_or_else(|figures| figures);
                Ok(with_note(prepacked, format!("as set; {figures}")))
            }
            PrecisionChoice::Half(numbers) => {
                let message = format!("precision \"{}\" is not available on the CPU", numbers.as_str());
                Err(EngineError::new(ErrorKind::NotCompiledIn, message))
            }
            PrecisionChoice::Auto => self.prepare_faster(),
        }
    }

    /// The model in `int8` if that is faster on this processor and agrees with `f32`, else in `f32`.
    fn prepare_faster(&self) -> Result<PrepackedWeights, EngineError> {
        let speedup = self.kernels.int8_speedup(&shape(self.config));
        let speed = format!("{speedup:.1} times as fast with kernels {}", self.kernels.name());
        if speedup < LEAST_SPEEDUP {
            return self.build(None, &format!("int8 would be {speed}"));
        }
        match self.build_int8()? {
            (prepacked, Ok(figures)) => Ok(with_note(prepacked, format!("{figures}; {speed}"))),
            (prepacked, Err(figures)) => {
                drop(prepacked);
                self.build(None, &figures)
            }
        }
    }

    /// The model in `int8`, and whether that will do.
    fn build_int8(&self) -> Result<(PrepackedWeights, Result<String, String>), EngineError> {
        let mut check = QuantizationCheck::new(self.tokenizer, self.config, self.kernels)?;
        let prepacked = self.build(Some(&mut check), "")?;
        Ok((prepacked, check.verdict()))
    }

    /// The model in `int8` by means of the quantization check, or else in `f32`.
    fn build(
        &self,
        mut check: Option<&mut QuantizationCheck>,
        note: &str,
    ) -> Result<PrepackedWeights, EngineError> {
        let (config, shape) = (self.config, shape(self.config));
        let mut weights = Weights::open(self.files)?;
        let names = Names::detect(config.family, &weights);
        weights.refuse_more_layers(&names, config.layers)?;
        let mut prepacked = PrepackedBuilder::default();
        add_files(self.files, &mut prepacked);

        let embeddings = embeddings(&mut weights, &names, config)?;
        if let Some(check) = &mut check {
            check.embed(&embeddings);
        }
        pack_embeddings(&mut prepacked, &embeddings);
        drop(embeddings);
        for index in 0..config.layers {
            let layer = layer(&mut weights, &names, index, config)?;
            match &mut check {
                Some(check) => check.layer(&layer, index, &mut prepacked),
                None => pack_layer(&mut prepacked, index, &shape, &layer, None),
            }
        }
        let head = HeadPlan::read(&weights, &names, config)?;
        if let Some(plan) = &head {
            let weights = head_weights(&mut weights, &names, config, plan)?;
            pack_head(&mut prepacked, config.hidden_size, &weights);
            if let Some(check) = &mut check {
                check.head(&weights, plan);
            }
        }
        let about = About {
            precision: if check.is_some() { Precision::Int8 } else { Precision::F32 },
            precision_note: note.to_owned(),
            head,
            parameters: weights.parameters(),
        };
        Ok(prepacked.finish(serde_json::to_value(about).unwrap_or_default()))
    }
}

/// A model of an architecture that isn't prepared, so that it can be kept like others.
///
/// # Errors
/// If files of weights are missing. What is wrong with the weights comes out when they are opened.
pub(super) fn as_it_is(files: &ModelFiles) -> Result<PrepackedWeights, EngineError> {
    let mut prepacked = PrepackedBuilder::default();
    add_files(files, &mut prepacked);
    for name in shard_names(files)? {
        prepacked.add(format!("{SHARD}{name}"), files.require(&name)?);
    }
    Ok(prepacked.finish(serde_json::Value::Null))
}

/// The files of weights that were kept as they are.
pub(super) fn shards(prepacked: &PrepackedWeights) -> impl Iterator<Item = (&str, &[u8])> {
    prepacked.parts_of(SHARD)
}

/// The files besides the weights.
fn add_files(files: &ModelFiles, prepacked: &mut PrepackedBuilder) {
    for (name, bytes) in files.iter() {
        if !name.contains(".safetensors") {
            prepacked.add(format!("{FILE}{name}"), bytes);
        }
    }
}

/// The encoder of a model by itself, in single precision.
pub(super) fn encoder(model: &mut OpenModel<'_>) -> Result<PrepackedWeights, EngineError> {
    let OpenModel { config, names, weights, .. } = model;
    let (shape, mut prepacked) = (shape(config), PrepackedBuilder::default());
    pack_embeddings(&mut prepacked, &embeddings(weights, names, config)?);
    for index in 0..config.layers {
        pack_layer(&mut prepacked, index, &shape, &layer(weights, names, index, config)?, None);
    }
    Ok(prepacked.finish(serde_json::Value::Null))
}

fn with_note(prepacked: PrepackedWeights, note: String) -> PrepackedWeights {
    let mut about = prepacked.about().clone();
    if let Some(about) = about.as_object_mut() {
        about.insert("precision_note".to_owned(), note.into());
    }
    prepacked.with_about(about)
}

/// The files besides the weights that prepacked weights came from.
pub(super) fn small_files(prepacked: &Arc<PrepackedWeights>) -> ModelFiles {
    let files = prepacked.parts_of(FILE).map(|(name, bytes)| (name.to_owned(), bytes.to_vec()));
    ModelFiles::from_parts(files.collect())
}

/// The embeddings of a model.
pub(super) fn embeddings(
    weights: &mut Weights<'_>,
    names: &Names,
    config: &ModelConfig,
) -> Result<EmbeddingWeights, EngineError> {
    let width = config.hidden_size;
    let name = |module: &str| format!("{}.weight", names.embeddings(module));
    let words = match weights.rows(&name("word_embeddings"), &[config.vocab_size, width])? {
        Numbers::F32(words) => WordWeights::F32(words),
        Numbers::F16(words) => WordWeights::F16(words),
        Numbers::Bf16(words) => WordWeights::Bf16(words),
    };
    let mut positions = weights.values(&name("position_embeddings"), &[config.positions, width])?;
    if let Some(token_types) = config.token_types {
        // All tokens of a single text are of type 0.
        let token_types = weights.values(&name("token_type_embeddings"), &[token_types, width])?;
        for position in positions.chunks_exact_mut(width) {
            position.iter_mut().zip(&token_types).for_each(|(sum, number)| *sum += number);
        }
    }
    let norm = norm(weights, &names.embeddings("LayerNorm"), width)?;
    Ok(EmbeddingWeights { words, positions, norm })
}

/// A layer of a model.
pub(super) fn layer(
    weights: &mut Weights<'_>,
    names: &Names,
    index: usize,
    config: &ModelConfig,
) -> Result<LayerWeights, EngineError> {
    let (layer, modules) = (names.layer(index), names.in_layer());
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let name = |module: &str| format!("{layer}.{module}");
    Ok(LayerWeights {
        query: dense(weights, &name(modules.query), width, width)?,
        key: dense(weights, &name(modules.key), width, width)?,
        value: dense(weights, &name(modules.value), width, width)?,
        output: dense(weights, &name(modules.attention_output), width, width)?,
        attention_norm: norm(weights, &name(modules.attention_norm), width)?,
        up: dense(weights, &name(modules.intermediate), width, inner)?,
        down: dense(weights, &name(modules.output), inner, width)?,
        output_norm: norm(weights, &name(modules.output_norm), width)?,
    })
}

/// The head of a model.
pub(super) fn head_weights(
    weights: &mut Weights<'_>,
    names: &Names,
    config: &ModelConfig,
    plan: &HeadPlan,
) -> Result<HeadWeights, EngineError> {
    let (modules, width) = (names.head(), config.hidden_size);
    Ok(HeadWeights {
        hidden: dense(weights, &modules.hidden, width, width)?,
        output: dense(weights, modules.output, width, plan.outputs())?,
    })
}

/// The dense layer `name`, from `inputs` to `outputs` features.
fn dense(
    weights: &mut Weights<'_>,
    name: &str,
    inputs: usize,
    outputs: usize,
) -> Result<DenseWeights, EngineError> {
    Ok(DenseWeights {
        weight: weights.values(&format!("{name}.weight"), &[outputs, inputs])?,
        bias: weights.values(&format!("{name}.bias"), &[outputs])?,
    })
}

/// The layer norm `name` over `width` features.
fn norm(weights: &mut Weights<'_>, name: &str, width: usize) -> Result<LayerNormWeights, EngineError> {
    Ok(LayerNormWeights {
        weight: weights.values(&format!("{name}.weight"), &[width])?,
        bias: weights.values(&format!("{name}.bias"), &[width])?,
    })
}
