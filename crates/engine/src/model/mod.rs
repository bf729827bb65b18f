//! A loaded model: text in, rows of numbers and their meaning out.
//!
//! # Layout
//! - `weights`: named tensors out of safetensors files, checked.
//! - `family`: how BERT, DistilBERT and RoBERTa name their weights.
//! - `layers`, `embeddings`, `encoder`, `head`: the parts of the network, mirrors of the reference modules.
//! - `batch`: windows packed end to end for one pass.
//! - `network`: the parts put together.
//! - `combine`: windows of one text into one answer.
//!
//! It must not know requests, clients or caches.
//! Invariant: a row of a batch equals the row alone, whatever else is in the batch.

use ecommerce_ml_protocol::{EngineError, ErrorKind, ModelInfo, Prediction, Task, TokenDetail, Tokens};
use rayon::prelude::*;

use crate::config::ModelConfig;
use crate::device::Device;
use crate::files::ModelFiles;
use crate::labels::{self, Meaning};
use crate::tokenizer::Tokenizer;

mod batch;
mod combine;
mod embeddings;
mod encoder;
mod family;
mod head;
mod layers;
mod network;
mod weights;

pub use crate::tokenizer::Window;
pub use combine::Row;
use network::Network;
use weights::Weights;

/// Tokens of one pass: enough for the matrix kernels to reach their speed, few enough for the cache.
const PASS_TOKENS: std::ops::RangeInclusive<usize> = 128..=1024;

/// What a forward pass shall compute for each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Output {
    /// Class probabilities, or the one value of a regression.
    Head,
    /// The mean over all tokens of the last hidden state, not normalised.
    Embedding,
}

/// A model, ready to answer; threads can share it.
#[derive(Debug)]
pub struct Model {
    tokenizer: Tokenizer,
    network: Network,
    meaning: Meaning,
    info: ModelInfo,
}

impl Model {
    /// Reads a model in Hugging Face layout.
    ///
    /// # Errors
    /// [`ErrorKind::FileMissing`], [`ErrorKind::DamagedModel`] or [`ErrorKind::UnsupportedModel`].
    pub fn load(files: &ModelFiles, device: &Device) -> Result<Self, EngineError> {
        let config = ModelConfig::load(files)?;
        let tokenizer = Tokenizer::load(files, &config)?;
        let mut weights = Weights::open(files, device)?;
        let network = Network::load(&mut weights, &config, device)?;
        let info = describe(&config, &tokenizer, &network, weights.parameters());
        Ok(Self { tokenizer, network, meaning: Meaning::of(&info.labels), info })
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

    /// A row for each window: probabilities of the labels, the value of a regression, or an embedding.
    ///
    /// Windows may come in any order, but those of equal length are computed faster side by side.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for [`Output::Head`] of a model without head, or a window that this model's
    /// tokenizer didn't make; [`ErrorKind::DamagedModel`] if the computation overflows.
    pub fn forward(&self, windows: &[&Window], output: Output) -> Result<Vec<Vec<f32>>, EngineError> {
        windows.iter().try_for_each(|window| self.check(window))?;
        let passes = cut(windows);
        let rows: Vec<_> =
            passes.par_iter().map(|pass| self.network.pass(pass, output)).collect::<Result<_, _>>()?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// What the rows of [`Output::Head`] of all windows of one text, at least one, say of it.
    pub fn predict(&self, rows: &[Row]) -> Prediction {
        let mean = combine::weighted_mean(rows);
        match self.info.task {
            Task::Regression => labels::regression(mean.first().copied().unwrap_or_default()),
            Task::Classification | Task::Embedding => {
                self.meaning.interpret(mean.into_iter().map(|value| value as f32).collect())
            }
        }
    }

    /// The embedding of one text, of length 1, from the rows of [`Output::Embedding`] of all its windows.
    pub fn embed(&self, rows: &[Row]) -> Vec<f32> {
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

/// Cuts windows into passes of about equal size, at least one for each thread if there is enough to do.
fn cut<'a, 'w>(windows: &'a [&'w Window]) -> Vec<&'a [&'w Window]> {
    let tokens: usize = windows.iter().map(|window| window.ids.len()).sum();
    let share = tokens.div_ceil(rayon::current_num_threads().max(1));
    let target = share.clamp(*PASS_TOKENS.start(), *PASS_TOKENS.end());
    let mut filled = 0;
    let same_pass = |left: &&Window, _: &&Window| {
        filled += left.ids.len();
        let room = filled < target;
        filled = if room { filled } else { 0 };
        room
    };
    windows.chunk_by(same_pass).collect()
}

fn describe(config: &ModelConfig, tokenizer: &Tokenizer, network: &Network, parameters: u64) -> ModelInfo {
    let (task, labels) = match &network.head {
        Some(head) => match &head.labels {
            Some(labels) => (Task::Classification, labels.clone()),
            None => (Task::Regression, Vec::new()),
        },
        None => (Task::Embedding, Vec::new()),
    };
    let meaning = Meaning::of(&labels);
    ModelInfo {
        family: config.family,
        task,
        labels,
        has_sentiment: meaning.has_sentiment(),
        has_rating: meaning.has_rating(),
        // Both are capped far below `u32::MAX` by `ModelConfig`.
        max_length: tokenizer.max_length() as u32,
        hidden_size: config.hidden_size as u32,
        parameters,
        bytes: parameters * size_of::<f32>() as u64 + tokenizer.bytes(),
    }
}

/// A failure of the tensor library, which no input should be able to cause.
fn internal(error: candle_core::Error) -> EngineError {
    EngineError::new(ErrorKind::Internal, format!("computation failed: {error}"))
}
