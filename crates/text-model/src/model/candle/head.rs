//! The head of a sequence classification model: two dense layers over the first token's last hidden state.
//!
//! Mirrors `BertPooler` and the classifier of `BertForSequenceClassification`, DistilBERT's pre-classifier and
//! classifier, and `RobertaClassificationHead`. It must not know what labels mean.
//! Invariant: a classification's outputs are probabilities.

use candle_core::{Device, Result as CandleResult, Tensor};
use candle_nn::{Linear, Module};
use ecommerce_ml_checkpoint::config::{Family, ModelConfig};
use ecommerce_ml_checkpoint::head::HeadPlan;
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_checkpoint::weights::family::Names;
use ecommerce_ml_protocol::EngineError;

use super::layers::linear;

/// A head and what it is for.
#[derive(Debug)]
pub(super) struct Head {
    hidden: Linear,
    activation: HeadActivation,
    output: Linear,
    is_classification: bool,
}

#[derive(Debug)]
enum HeadActivation {
    Tanh,
    Relu,
}

impl Head {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        names: &Names,
        config: &ModelConfig,
        plan: &HeadPlan,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let modules = names.head();
        let width = config.hidden_size;
        let activation = match config.family {
            Family::Bert | Family::Roberta => HeadActivation::Tanh,
            Family::DistilBert => HeadActivation::Relu,
        };
        Ok(Self {
            hidden: linear(weights, &modules.hidden, width, width, device)?,
            activation,
            output: linear(weights, modules.output, width, plan.outputs(), device)?,
            is_classification: plan.labels.is_some(),
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
        if self.is_classification { candle_nn::ops::softmax_last_dim(&outputs) } else { Ok(outputs) }
    }
}
