//! A network that learns: its parameters, their gradients, and what goes in.
//!
//! # Layout
//! - `inputs`: what the network reads.
//! - `passes`: gradients of updates, and outputs.
//!
//! An encoder that learns on a device has its gradients and moments there, and parameters that are newer than those here
//! until somebody asks for them. It must not know epochs, schedules or text. Invariant: the same examples, seed and
//! step give the same bits.

use std::sync::Arc;

use ecommerce_ml_checkpoint::config::DropoutRates;
use ecommerce_ml_protocol::EngineError;

mod inputs;
mod passes;

use super::examples::Examples;
use super::micro_batches::DEVICE_MICRO_BATCH;
use crate::cuda::TrainingBackend;
use crate::nn::encoder::Moments;
use crate::nn::{self, CpuEncoder, Gradients, Lora, Network, Parameters, TrainableEncoder};
use crate::recipe::optimizer::{self, AdamW};
pub(super) use inputs::Inputs;
pub(super) use passes::TrainingStep;

/// The dropout rates that the network learns with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct AppliedDropoutRates {
    pub(super) hidden: f32,
    pub(super) attention: f32,
    pub(super) classifier: f32,
}

/// The network and all that changes with it.
pub(super) struct Learner {
    network: Network,
    parameters: Parameters,
    /// Of what is updated here: all that is trained, or what of it isn't on a device.
    gradients: Gradients,
    /// The number of the first trained parameter's first number among all.
    start: usize,
    lora: Option<Lora>,
    encoder: Box<dyn TrainableEncoder>,
    inputs: Inputs,
    /// Most tokens of a micro-batch.
    max_tokens: usize,
    rates: AppliedDropoutRates,
    seed: u64,
}

impl AppliedDropoutRates {
    /// Those of the model, unless the options say otherwise.
    pub(super) fn new(model: &DropoutRates, hidden: Option<f64>) -> Self {
        let hidden = hidden.map_or(model.hidden, |hidden| hidden as f32);
        Self { hidden, attention: model.attention, classifier: model.classifier.unwrap_or(hidden) }
    }
}

impl Learner {
    /// A network whose trained parameters are those of `tuning`.
    pub(super) fn new(
        (network, parameters): (Network, Parameters),
        tuning: nn::Tuning,
        lora: Option<Lora>,
        inputs: Inputs,
        (rates, seed): (AppliedDropoutRates, u64),
    ) -> Self {
        let gradients = network.gradients(&parameters, tuning);
        let (start, max_tokens) = (gradients.start(), inputs.micro_batch());
        let encoder = Box::new(CpuEncoder::default());
        Self { network, parameters, gradients, start, lora, encoder, inputs, max_tokens, rates, seed }
    }

    /// Lets the encoder learn on a device, as far as that one can.
    ///
    /// # Errors
    /// If the device fails, or its memory is full.
    pub(super) fn move_to_device(
        &mut self,
        backend: &Arc<dyn TrainingBackend>,
        tuning: nn::Tuning,
    ) -> Result<(), EngineError> {
        let Some(encoder) = Arc::clone(backend).train(&self.network, &self.parameters, tuning)? else {
            return Ok(());
        };
        let on_cpu = match tuning {
            nn::Tuning::Full | nn::Tuning::Frozen { .. } => nn::Tuning::Head,
            nn::Tuning::Head | nn::Tuning::Lora { .. } => tuning,
        };
        self.gradients = self.network.gradients(&self.parameters, on_cpu);
        (self.encoder, self.max_tokens) = (encoder, DEVICE_MICRO_BATCH);
        Ok(())
    }

    /// Lengths of examples, as far as they decide the order of the data.
    pub(super) fn lengths(&self, examples: &Examples) -> Vec<u32> {
        let length = |&example: &usize| self.inputs.length(examples.tokens(example)) as u32;
        examples.training.iter().map(length).collect()
    }

    /// Ends an update's gradients; their norm, which isn't finite if they aren't.
    ///
    /// # Errors
    /// If the device that the encoder learns on fails.
    pub(super) fn norm(&mut self) -> Result<f64, EngineError> {
        self.encoder.add_adapter_gradients(&mut self.gradients)?;
        let on_device = self.encoder.gradient_sum_of_squares()?;
        if let Some(lora) = &self.lora {
            lora.backward(&self.parameters, &mut self.gradients);
        }
        Ok((optimizer::sum_of_squares(&self.gradients.values) + on_device).sqrt())
    }

    /// Changes the parameters by their gradients, and clears these.
    ///
    /// # Errors
    /// As of [`AdamW::update`], and if the device that the encoder learns on fails.
    pub(super) fn update(&mut self, adam: &mut AdamW, rate: f64, scale: f32) -> Result<(), EngineError> {
        let start = self.gradients.start();
        let mut values = &mut self.parameters.values[start..];
        let mut gradients = &*self.gradients.values;
        let list = self.gradients.list.iter().map(|parameter| {
            let (own, rest) = std::mem::take(&mut values).split_at_mut(parameter.range.len());
            let (gradient, others) = gradients.split_at(parameter.range.len());
            (values, gradients) = (rest, others);
            optimizer::Parameter { name: &parameter.name, values: own, gradient }
        });
        adam.update(&mut list.collect::<Vec<_>>(), rate, scale)?;
        self.gradients.clear();
        self.encoder.update(adam.factors(rate, scale))?;
        if let Some(lora) = &self.lora {
            lora.merge(&mut self.parameters);
            self.encoder.upload_parameters(&self.parameters)?;
        }
        Ok(())
    }

    /// The trained parameters, end to end.
    /// `[parameters]`.
    ///
    /// # Errors
    /// If the device that the encoder learns on fails.
    pub(super) fn trained(&mut self) -> Result<&[f32], EngineError> {
        self.encoder.download_parameters(&mut self.parameters)?;
        Ok(&self.parameters.values[self.start..])
    }

    /// How many they are.
    pub(super) fn trained_count(&self) -> usize {
        self.parameters.values.len() - self.start
    }

    /// Sets the trained parameters.
    /// `values`: `[parameters]`, as [`trained`](Self::trained) gives them.
    ///
    /// # Errors
    /// If the device that the encoder learns on fails.
    pub(super) fn set_trained(&mut self, values: &[f32]) -> Result<(), EngineError> {
        self.parameters.values[self.start..].copy_from_slice(values);
        if let Some(lora) = &self.lora {
            lora.merge(&mut self.parameters);
        }
        self.encoder.upload_parameters(&self.parameters)
    }

    /// Names and lengths of the trained parameters that are updated here; what is updated on a device comes before them.
    pub(super) fn list_on_cpu(&self) -> impl Iterator<Item = (&str, usize)> {
        self.gradients.list.iter().map(|parameter| (parameter.name.as_str(), parameter.range.len()))
    }

    /// Moments of what is updated on a device.
    ///
    /// # Errors
    /// If the device that the encoder learns on fails.
    pub(super) fn moments_on_device(&self) -> Result<Option<Moments>, EngineError> {
        self.encoder.moments()
    }

    /// Of the moments of all trained parameters, takes those of what is updated on a device; how many they are.
    /// Both `[parameters]`.
    ///
    /// # Errors
    /// If the device that the encoder learns on fails.
    pub(super) fn take_moments(&mut self, exp_avg: &[f32], exp_avg_sq: &[f32]) -> Result<usize, EngineError> {
        let count = self.gradients.start() - self.start;
        if count > 0 {
            self.encoder.set_moments(&exp_avg[..count], &exp_avg_sq[..count])?;
        }
        Ok(count)
    }

    /// The network and its parameters, without what only learning needs.
    ///
    /// # Errors
    /// If the device that the encoder learns on fails.
    pub(super) fn into_parts(mut self) -> Result<(Network, Parameters), EngineError> {
        self.encoder.download_parameters(&mut self.parameters)?;
        Ok((self.network, self.parameters))
    }
}
