//! A model that can be explained: by the gradients of our own backward pass, or, where there is none, by occlusion.
//!
//! It must not know requests. Invariant: it says the same as the model that predicts, but for the rounding of that model's weights.

use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_checkpoint::tokenizer::{SpannedText, Tokenizer, Window};
use ecommerce_ml_predictor::ModelPrecision;
use ecommerce_ml_protocol::{EngineError, ErrorKind, ModelInfo, Task};
use ecommerce_ml_tensor_cpu::Cpu;
use ecommerce_ml_text_model::{Device, ForwardOutput, Model, PrecisionChoice, describe};
use ecommerce_ml_text_train::attribution::{AttributionNetwork, Explained, PathPoint};

/// Tokens of a pass at most, but for a window that is longer: activations of a pass are kept for its way back.
pub const MOST_TOKENS: usize = 512;

/// A model, its tokenizer, and how it is explained.
#[derive(Debug)]
pub struct ExplainModel {
    tokenizer: Tokenizer,
    method: Method,
    info: ModelInfo,
    precision: ModelPrecision,
}

#[derive(Debug)]
enum Method {
    /// Integrated gradients.
    Gradients(Box<AttributionNetwork>),
    /// Tokens give way to padding, one after the other.
    Occlusion { model: Box<Model>, padding: u32 },
}

/// What is asked of a window of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variant<'a> {
    pub(super) ids: &'a [u32],
    /// Special tokens at both ends.
    pub(super) special: (usize, usize),
    pub(super) change: Change,
}

/// What is changed of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Change {
    /// It has come so far from a window of padding: 0 to 1. By occlusion: not at all, or all the way.
    At(f64),
    /// So many content tokens are padding, from the front or from the back.
    Occluded { count: usize, from_front: bool },
}

impl ExplainModel {
    /// Loads a model of any architecture.
    ///
    /// # Errors
    /// As of [`Model::load`], and [`ErrorKind::InvalidRequest`] if it has no head.
    pub fn load(files: &ModelFiles, cpu: &Cpu) -> Result<Self, EngineError> {
        let config = ModelConfig::load(files)?;
        let tokenizer = Tokenizer::load(files, &config)?;
        if config.family.is_bert_shaped() {
            return Self::by_gradients(AttributionNetwork::open(files, cpu)?, &config, tokenizer);
        }
        let model = Model::load(files, &Device::Cpu(cpu.clone()), PrecisionChoice::Auto)?;
        if model.info().task() == Task::Embedding {
            let message = "the model has no head, there is no prediction to explain";
            return Err(EngineError::new(ErrorKind::InvalidRequest, message));
        }
        let (info, padding) = (model.info().clone(), config.pad_token_id);
        let padding = if (padding as usize) < config.vocab_size { padding } else { 0 };
        let method = Method::Occlusion { model: Box::new(model), padding };
        Ok(Self { tokenizer, method, info, precision: precision("by occlusion") })
    }

    fn by_gradients(
        network: AttributionNetwork,
        config: &ModelConfig,
        tokenizer: Tokenizer,
    ) -> Result<Self, EngineError> {
        let tokens = tokenizer.max_length().max(MOST_TOKENS);
        let numbers = network.parameters() + tokens * network.numbers_per_token();
        let bytes = (numbers * size_of::<f32>()) as u64 + tokenizer.bytes();
        let info = describe(config, &tokenizer, Some(network.head()), (network.parameters() as u64, bytes));
        let method = Method::Gradients(Box::new(network));
        Ok(Self { tokenizer, method, info, precision: precision("by integrated gradients") })
    }

    /// What the model is.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// What it is computed in.
    pub fn precision(&self) -> &ModelPrecision {
        &self.precision
    }

    /// Its classes; none of a regression.
    pub fn labels(&self) -> Option<&[String]> {
        (self.info.task() == Task::Classification).then(|| self.info.labels())
    }

    /// Whether it has a backward pass.
    pub fn has_gradients(&self) -> bool {
        matches!(self.method, Method::Gradients(_))
    }

    /// The windows of a text and where its tokens stand.
    ///
    /// # Errors
    /// As of [`Tokenizer::spanned`].
    pub(super) fn spanned(&self, text: &str) -> Result<SpannedText, EngineError> {
        self.tokenizer.spanned(text)
    }

    /// What the model says of each variant: probabilities, `[labels]`, or the value of a regression, `[1]`.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedModel`] if the computation overflows.
    pub(super) fn outputs(&self, variants: &[Variant<'_>]) -> Result<Vec<Vec<f32>>, EngineError> {
        if variants.is_empty() {
            return Ok(Vec::new());
        }
        let rows = match &self.method {
            Method::Gradients(network) => network.outputs(&points(variants)),
            Method::Occlusion { model, padding } => {
                let windows: Vec<Window> =
                    variants.iter().map(|variant| variant.occluded(*padding)).collect();
                model.forward(&windows.iter().collect::<Vec<_>>(), ForwardOutput::Head)?
            }
        };
        finite(rows, |value| value.is_finite())
    }

    /// What [`AttributionNetwork::gradients`] says of each variant, `[tokens]`, special tokens included.
    ///
    /// # Errors
    /// As of [`outputs`](Self::outputs); and [`ErrorKind::Internal`] if there is no backward pass.
    pub(super) fn gradients(
        &self,
        variants: &[Variant<'_>],
        explained: &[&Explained],
    ) -> Result<Vec<Vec<f64>>, EngineError> {
        match &self.method {
            _ if variants.is_empty() => Ok(Vec::new()),
            Method::Gradients(network) => {
                finite(network.gradients(&points(variants), explained), |value| value.is_finite())
            }
            Method::Occlusion { .. } => {
                Err(EngineError::new(ErrorKind::Internal, "the model has no backward pass"))
            }
        }
    }
}

impl Variant<'_> {
    /// The window with padding in place of tokens.
    fn occluded(&self, padding: u32) -> Window {
        let mut ids = self.ids.to_vec();
        let content = self.special.0..self.ids.len().saturating_sub(self.special.1).max(self.special.0);
        let (count, from_front) = match self.change {
            Change::At(at) => (if at < 0.5 { content.len() } else { 0 }, true),
            Change::Occluded { count, from_front } => (count.min(content.len()), from_front),
        };
        let range =
            if from_front { content.start..content.start + count } else { content.end - count..content.end };
        ids.iter_mut().take(range.end).skip(range.start).for_each(|id| *id = padding);
        Window { ids, content_tokens: content.len() }
    }
}

fn points<'a>(variants: &[Variant<'a>]) -> Vec<PathPoint<'a>> {
    let at = |change| match change {
        Change::At(at) => at,
        Change::Occluded { .. } => 1.0,
    };
    let point = |variant: &Variant<'a>| PathPoint {
        ids: variant.ids,
        special: variant.special,
        at: at(variant.change),
    };
    variants.iter().map(point).collect()
}

fn precision(how: &str) -> ModelPrecision {
    ModelPrecision { name: "f32", note: format!("loaded to explain, {how}") }
}

fn finite<T: Copy>(rows: Vec<Vec<T>>, is_finite: impl Fn(T) -> bool) -> Result<Vec<Vec<T>>, EngineError> {
    if rows.iter().flatten().all(|value| is_finite(*value)) {
        return Ok(rows);
    }
    Err(EngineError::new(ErrorKind::DamagedModel, "the model computes values that are not finite"))
}
