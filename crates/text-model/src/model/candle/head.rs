//! The head of a sequence classification model: two dense layers over the states of a window, pooled.
//!
//! Mirrors `BertPooler` and the classifier of `BertForSequenceClassification`, DistilBERT's pre-classifier and
//! classifier, `RobertaClassificationHead`, `ElectraClassificationHead`, DeBERTa's `ContextPooler` and classifier, and
//! `ModernBertPredictionHead` and classifier. It must not know what labels mean.
//! Invariant: a classification's outputs are probabilities.

use candle_core::{Device, Result as CandleResult, Tensor};
use candle_nn::{LayerNorm, Linear, Module};
use ecommerce_ml_checkpoint::config::{Activation, Family, ModelConfig, Particulars};
use ecommerce_ml_checkpoint::head::HeadPlan;
use ecommerce_ml_checkpoint::weights::Weights;
use ecommerce_ml_checkpoint::weights::family::{HEAD_NORM, Names};
use ecommerce_ml_protocol::EngineError;

use super::layers::{activate, layer_norm_without_bias, linear, linear_without_bias};

/// A head and what it is for.
#[derive(Debug)]
pub(super) struct Head {
    hidden: Linear,
    activation: HeadActivation,
    /// ModernBERT's.
    norm: Option<LayerNorm>,
    output: Linear,
    is_classification: bool,
}

#[derive(Debug)]
enum HeadActivation {
    Tanh,
    Like(Activation),
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
        let (width, eps) = (config.hidden_size, config.layer_norm_eps);
        let is_modern = config.family == Family::ModernBert;
        let load = if is_modern { linear_without_bias } else { linear };
        let hidden = load(weights, &modules.hidden, width, width, device)?;
        let norm = is_modern.then(|| layer_norm_without_bias(weights, HEAD_NORM, width, eps, device));
        Ok(Self {
            hidden,
            activation: activation(config),
            norm: norm.transpose()?,
            output: linear(weights, modules.output, width, plan.outputs(), device)?,
            is_classification: plan.labels.is_some(),
        })
    }

    /// Probabilities of shape `[windows, labels]` or values of shape `[windows, 1]`, from pooled states, of shape
    /// `[windows, hidden]`.
    pub(super) fn forward(&self, pooled: &Tensor) -> CandleResult<Tensor> {
        let hidden = self.hidden.forward(pooled)?;
        let mut hidden = match self.activation {
            HeadActivation::Tanh => hidden.tanh()?,
            HeadActivation::Like(activation) => activate(activation, &hidden)?,
        };
        if let Some(norm) = &self.norm {
            hidden = norm.forward(&hidden)?;
        }
        let outputs = self.output.forward(&hidden)?;
        if self.is_classification { candle_nn::ops::softmax_last_dim(&outputs) } else { Ok(outputs) }
    }
}

/// What lies between the two layers.
fn activation(config: &ModelConfig) -> HeadActivation {
    match (&config.particulars, config.family) {
        (Particulars::Deberta(own), _) => HeadActivation::Like(own.pooler_activation),
        // Whatever the encoder has.
        (Particulars::Electra(_) | Particulars::ModernBert(_), _) => {
            HeadActivation::Like(Activation::GeluErf)
        }
        (Particulars::None, Family::DistilBert) => HeadActivation::Like(Activation::Relu),
        (Particulars::None, _) => HeadActivation::Tanh,
    }
}
