//! An encoder that doesn't learn: the one that also predicts, in single precision, without dropout.
//!
//! It must not know heads. Invariant: the state of a text doesn't depend on the texts that it is computed with.

use std::sync::Arc;

use ecommerce_ml_protocol::{EngineError, ErrorKind};

use super::examples::Examples;
use crate::config::ModelConfig;
use crate::cpu::{Encoder, Pooling, Precision, Sequence};
use crate::device::Cpu;
use crate::files::ModelFiles;
use crate::model::positions::Positions;
use crate::model::{Model, PrecisionChoice};

/// Sequences that go through it together.
const TOGETHER: usize = 512;

/// The encoder of a base.
pub(super) struct Frozen {
    encoder: Encoder,
    positions: Positions,
}

impl Frozen {
    /// Prepares it.
    ///
    /// # Errors
    /// As of loading a model.
    pub(super) fn open(base: &ModelFiles, config: &ModelConfig, cpu: &Cpu) -> Result<Self, EngineError> {
        let image = Arc::new(Model::prepare(base, cpu, PrecisionChoice::Fixed(Precision::F32))?);
        let damaged = || EngineError::new(ErrorKind::DamagedModel, "weights don't fit their model");
        let encoder = Encoder::open(&image, config, cpu.kernels, &cpu.team).ok_or_else(damaged)?;
        Ok(Self { encoder, positions: Positions::new(config) })
    }

    /// The last states of first tokens, a row for each sequence.
    pub(super) fn states(&self, sequences: &[&[u32]]) -> Vec<f32> {
        let sequence = |ids: &&'_ [u32]| self.positions.of(ids);
        let positions: Vec<Vec<u32>> = sequences.iter().map(sequence).collect();
        let sequences = sequences.iter().zip(positions).map(|(&ids, positions)| Sequence { ids, positions });
        self.encoder.forward(&sequences.collect::<Vec<_>>(), Pooling::First)
    }

    /// The states of all examples.
    pub(super) fn all(&self, examples: &Examples) -> Vec<f32> {
        let numbers: Vec<usize> = (0..examples.len()).collect();
        let tokens = |&example: &usize| examples.tokens(example);
        let some = |some: &[usize]| self.states(&some.iter().map(tokens).collect::<Vec<_>>());
        numbers.chunks(TOGETHER).flat_map(some).collect()
    }
}
