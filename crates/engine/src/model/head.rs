//! The head of a sequence classification model: two dense layers over the first token's last hidden state.
//!
//! Mirrors `BertPooler` and the classifier of `BertForSequenceClassification`, DistilBERT's pre-classifier and
//! classifier, and `RobertaClassificationHead`. It must not know what labels mean.
//! Invariant: a classification has as many outputs as labels, a regression one.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::{Linear, Module};
use ecommerce_ml_protocol::{EngineError, ErrorKind, Family};

use super::family::{HeadNames, Names};
use super::layers::linear;
use super::weights::Weights;
use crate::config::{HeadPresence, MAX_LABELS, ModelConfig, Problem, default_labels};

/// A head and what it is for.
#[derive(Debug)]
pub(super) struct Head {
    hidden: Linear,
    activation: HeadActivation,
    output: Linear,
    /// Names of the outputs of a classification; `None` for a regression.
    pub(super) labels: Option<Vec<String>>,
}

#[derive(Debug)]
enum HeadActivation {
    Tanh,
    Relu,
}

impl Head {
    /// Reads the head, if the model has one.
    pub(super) fn load(
        weights: &mut Weights<'_>,
        names: &Names,
        config: &ModelConfig,
    ) -> Result<Option<Self>, EngineError> {
        let modules = names.head();
        let output_weight = format!("{}.weight", modules.output);
        let present = match config.head.presence {
            HeadPresence::Required => true,
            HeadPresence::Optional => weights.contains(&output_weight),
            HeadPresence::Ignored => false,
        };
        if !present {
            return Ok(None);
        }
        let rows = weights.shape(&output_weight).and_then(|shape| shape.first().copied());
        // The file's shape isn't checked yet and may announce any number.
        let labels = labels(config, rows.unwrap_or_default().min(MAX_LABELS))?;
        Self::load_layers(weights, &modules, config, labels).map(Some)
    }

    fn load_layers(
        weights: &mut Weights<'_>,
        modules: &HeadNames,
        config: &ModelConfig,
        labels: Option<Vec<String>>,
    ) -> Result<Self, EngineError> {
        let width = config.hidden_size;
        let outputs = labels.as_ref().map_or(1, Vec::len);
        let activation = match config.family {
            Family::Bert | Family::Roberta => HeadActivation::Tanh,
            Family::DistilBert => HeadActivation::Relu,
        };
        Ok(Self {
            hidden: linear(weights, &modules.hidden, width, width)?,
            activation,
            output: linear(weights, modules.output, width, outputs)?,
            labels,
        })
    }

    /// Probabilities of shape `[windows, labels]` or values of shape `[windows, 1]`, from the last hidden states
    /// of the first tokens, of shape `[windows, hidden]`.
    pub(super) fn forward(&self, first: &Tensor) -> CandleResult<Tensor> {
        let hidden = self.hidden.forward(first)?;
        let hidden = match self.activation {
            HeadActivation::Tanh => hidden.tanh()?,
            HeadActivation::Relu => hidden.relu()?,
        };
        let outputs = self.output.forward(&hidden)?;
        if self.labels.is_some() { candle_nn::ops::softmax_last_dim(&outputs) } else { Ok(outputs) }
    }
}

/// The labels of a classification, `None` for a regression, of a head with `rows` outputs.
fn labels(config: &ModelConfig, rows: usize) -> Result<Option<Vec<String>>, EngineError> {
    let labels = config.head.labels.clone().unwrap_or_else(|| default_labels(rows));
    match config.head.problem {
        Problem::SingleLabel if labels.len() > 1 => Ok(Some(labels)),
        Problem::SingleLabel => Ok(None),
        Problem::Regression if labels.len() <= 1 => Ok(None),
        Problem::Regression => Err(EngineError::new(
            ErrorKind::UnsupportedModel,
            format!("a regression with {} outputs is not supported", labels.len()),
        )),
        Problem::MultiLabel => {
            Err(EngineError::new(ErrorKind::UnsupportedModel, "multi-label classification is not supported"))
        }
    }
}
