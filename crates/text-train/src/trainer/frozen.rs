//! An encoder that doesn't learn, without dropout: the one that also predicts, in single precision, or one on another
//! machine.
//!
//! It must not know heads. Invariant: on the CPU the state of a text doesn't depend on the texts that it is computed
//! with; where candle computes, texts go through one at a time for that.

use std::sync::Arc;

use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_checkpoint::positions::Positions;
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_tensor_cpu::{Cpu, Encoder, Pooling, Precision, Sequence};
use ecommerce_ml_text_model::shape::sizes;
use ecommerce_ml_text_model::{Device, Model, PrecisionChoice};
use rayon::prelude::*;

use super::examples::Examples;
use super::micro_batches::{DISTANT_MICRO_BATCH, micro_batches};
use crate::nn::Network;
use crate::nn::elsewhere::Distant;

/// Sequences that go through it together on the CPU.
const TOGETHER: usize = 512;

/// The encoder of a base.
pub(super) enum Frozen {
    /// On the CPU.
    Here(Box<Encoder>, Positions),
    /// Of an architecture that isn't shaped like BERT, by candle.
    Candle(Box<Model>),
    /// On another machine.
    Elsewhere(Box<dyn Distant>),
}

impl Frozen {
    /// Prepares it on the CPU.
    ///
    /// # Errors
    /// As of loading a model.
    pub(super) fn open(base: &ModelFiles, config: &ModelConfig, cpu: &Cpu) -> Result<Self, EngineError> {
        if !config.family.is_bert_shaped() {
            let model = Model::load(base, &Device::Cpu(cpu.clone()), PrecisionChoice::Fixed(Precision::F32))?;
            return Ok(Self::Candle(Box::new(model)));
        }
        let image = Arc::new(Model::prepare(base, cpu, PrecisionChoice::Fixed(Precision::F32))?);
        let damaged = || EngineError::new(ErrorKind::DamagedModel, "weights don't fit their model");
        let encoder = Encoder::open(&image, &sizes(config), cpu.kernels, &cpu.team).ok_or_else(damaged)?;
        Ok(Self::Here(Box::new(encoder), Positions::new(config)))
    }

    /// Whether it is on another machine.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Elsewhere(_))
    }

    /// What the head reads, a row for each sequence: the last states of first tokens, or means.
    ///
    /// # Errors
    /// If the machine fails, or has no room for one of the sequences alone.
    pub(super) fn states(
        &mut self,
        network: &Network,
        sequences: &[&[u32]],
    ) -> Result<Vec<f32>, EngineError> {
        let mut states = Vec::with_capacity(sequences.len() * network.config().hidden_size);
        match self {
            Self::Here(encoder, positions) => {
                for some in sequences.chunks(TOGETHER) {
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
            Self::Elsewhere(encoder) => {
                let lengths = sequences.iter().map(|ids| ids.len());
                for some in micro_batches(lengths, DISTANT_MICRO_BATCH) {
                    divided(&mut **encoder, network, &sequences[some], &mut states)?;
                }
            }
        }
        Ok(states)
    }

    /// The states of all examples.
    ///
    /// # Errors
    /// As of [`states`](Self::states).
    pub(super) fn all(&mut self, network: &Network, examples: &Examples) -> Result<Vec<f32>, EngineError> {
        let sequences: Vec<&[u32]> = (0..examples.len()).map(|example| examples.tokens(example)).collect();
        self.states(network, &sequences)
    }
}

/// Computes sequences together, or half of them after the other if there is no room.
fn divided(
    encoder: &mut dyn Distant,
    network: &Network,
    sequences: &[&[u32]],
    states: &mut Vec<f32>,
) -> Result<(), EngineError> {
    match encoder.forward(network.batch(sequences), None, false) {
        Ok(own) => states.extend(own),
        Err(error) if error.kind == ErrorKind::OutOfMemory && sequences.len() > 1 => {
            let (first, second) = sequences.split_at(sequences.len() / 2);
            divided(encoder, network, first, states)?;
            divided(encoder, network, second, states)?;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
