//! An encoder that doesn't learn, without dropout: the one that also predicts, in single precision, or one on a device.
//!
//! It must not know heads. Invariant: on the CPU the state of a text doesn't depend on the texts that it is computed
//! with; where candle computes, texts go through one at a time for that.

use ecommerce_ml_checkpoint::open::OpenModel;
use ecommerce_ml_checkpoint::positions::Positions;
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_tensor_cpu::{Cpu, PackedEncoder, Pooling, Precision, Sequence};
use ecommerce_ml_text_model::model::encoder;
use ecommerce_ml_text_model::{Device, Model, PrecisionChoice};
use rayon::prelude::*;

use super::examples::Examples;
use super::micro_batches::{DEVICE_MICRO_BATCH, micro_batches};
use crate::nn::{Network, Parameters, TrainableEncoder};

/// Sequences that go through it together on the CPU.
const CPU_BATCH: usize = 512;

/// The encoder of a base.
pub(super) enum FrozenEncoder {
    /// On the CPU.
    Cpu(Box<PackedEncoder>, Positions),
    /// Of an architecture that isn't shaped like BERT, by candle.
    Candle(Box<Model>),
    /// On a device.
    Device(Box<dyn TrainableEncoder>),
}

impl FrozenEncoder {
    /// Prepares it on the CPU.
    ///
    /// # Errors
    /// As of loading a model.
    pub(super) fn open(base: &mut OpenModel<'_>, cpu: &Cpu) -> Result<Self, EngineError> {
        if !base.config.family.is_bert_shaped() {
            let (device, precision) = (Device::Cpu(cpu.clone()), PrecisionChoice::Fixed(Precision::F32));
            return Ok(Self::Candle(Box::new(Model::load(base.files, &device, precision)?)));
        }
        Ok(Self::Cpu(Box::new(encoder(base, cpu)?), Positions::new(&base.config)))
    }

    /// Whether it is on a device.
    pub(super) fn is_on_device(&self) -> bool {
        matches!(self, Self::Device(_))
    }

    /// What the head reads, a row for each sequence: the last states of first tokens, or means.
    /// Shape `[sequences, hidden]`.
    ///
    /// # Errors
    /// If the device fails, or has no room for one of the sequences alone.
    pub(super) fn states(
        &mut self,
        model: (&Network, &Parameters),
        sequences: &[&[u32]],
    ) -> Result<Vec<f32>, EngineError> {
        let mut states = Vec::with_capacity(sequences.len() * model.0.config().hidden_size);
        match self {
            Self::Cpu(encoder, positions) => {
                for some in sequences.chunks(CPU_BATCH) {
                    let positions: Vec<Vec<u32>> = some.iter().map(|ids| positions.of(ids)).collect();
                    let some =
                        some.iter().zip(positions).map(|(&ids, positions)| Sequence { ids, positions });
                    states.extend(encoder.forward(&some.collect::<Vec<_>>(), Pooling::First));
                }
            }
            Self::Candle(model) => {
                let alone = |ids: &&[u32]| model.features(std::slice::from_ref(ids));
                let rows: Vec<_> = sequences.par_iter().map(alone).collect::<Result<_, _>>()?;
                states.extend(rows.into_iter().flatten().flatten());
            }
            Self::Device(encoder) => {
                let lengths = sequences.iter().map(|ids| ids.len());
                for some in micro_batches(lengths, DEVICE_MICRO_BATCH) {
                    forward_or_halve(&mut **encoder, model, &sequences[some], &mut states)?;
                }
            }
        }
        Ok(states)
    }

    /// The states of all examples.
    /// Shape `[examples, hidden]`.
    ///
    /// # Errors
    /// As of [`states`](Self::states).
    pub(super) fn all(
        &mut self,
        model: (&Network, &Parameters),
        examples: &Examples,
    ) -> Result<Vec<f32>, EngineError> {
        let sequences: Vec<&[u32]> = (0..examples.len()).map(|example| examples.tokens(example)).collect();
        self.states(model, &sequences)
    }
}

/// Computes sequences together, or half of them after the other if there is no room.
fn forward_or_halve(
    encoder: &mut dyn TrainableEncoder,
    model: (&Network, &Parameters),
    sequences: &[&[u32]],
    states: &mut Vec<f32>,
) -> Result<(), EngineError> {
    match encoder.forward(model, model.0.batch(sequences), None, None) {
        Ok(own) => states.extend(own),
        Err(error) if error.kind == ErrorKind::OutOfMemory && sequences.len() > 1 => {
            let (first, second) = sequences.split_at(sequences.len() / 2);
            forward_or_halve(encoder, model, first, states)?;
            forward_or_halve(encoder, model, second, states)?;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
