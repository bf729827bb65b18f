//! What a network reads.
//!
//! Invariant: states are those of the sequences that they are asked for.

use std::sync::Arc;

use ecommerce_ml_protocol::EngineError;

use super::super::epoch_augmentation::EpochAugmentation;
use super::super::frozen_encoder::FrozenEncoder;
use super::super::micro_batches::{DEVICE_MICRO_BATCH, MICRO_BATCH};
use crate::nn::{Network, Parameters};

/// What the network reads.
pub(in super::super) enum Inputs {
    /// Token ids.
    Tokens,
    /// Token ids of texts that are other ones in each epoch.
    Augmented(Box<EpochAugmentation>),
    /// The last states of first tokens, computed once: all that a head needs, and no more is trained.
    States(Arc<Vec<f32>>),
    /// These states of texts that are other ones in each epoch.
    FrozenAugmented(FrozenEncoder, Box<EpochAugmentation>),
}

impl Inputs {
    /// Most tokens of a micro-batch, as long as the network is here.
    pub(super) fn micro_batch(&self) -> usize {
        match self {
            Self::FrozenAugmented(encoder, _) if encoder.is_on_device() => DEVICE_MICRO_BATCH,
            Self::Tokens | Self::Augmented(_) | Self::States(_) | Self::FrozenAugmented(..) => MICRO_BATCH,
        }
    }

    /// The augmentation that changes texts from epoch to epoch.
    pub(super) fn augmentation(&self) -> Option<&EpochAugmentation> {
        match self {
            Self::Augmented(augmentation) | Self::FrozenAugmented(_, augmentation) => Some(augmentation),
            Self::Tokens | Self::States(_) => None,
        }
    }

    /// What a sequence counts in a micro-batch.
    pub(super) fn length(&self, sequence: &[u32]) -> usize {
        if matches!(self, Self::States(_)) { 1 } else { sequence.len() }
    }

    /// The states of examples with these tokens, if only a head learns.
    /// Shape `[examples, hidden]`.
    ///
    /// # Errors
    /// As of [`FrozenEncoder::states`].
    pub(super) fn states(
        &mut self,
        model: (&Network, &Parameters),
        examples: &[usize],
        sequences: &[&[u32]],
    ) -> Result<Option<Vec<f32>>, EngineError> {
        match self {
            Self::Tokens | Self::Augmented(_) => Ok(None),
            Self::FrozenAugmented(encoder, _) => encoder.states(model, sequences).map(Some),
            Self::States(states) => {
                let width = model.0.config().hidden_size;
                let row = |&example: &usize| &states[example * width..][..width];
                Ok(Some(examples.iter().flat_map(row).copied().collect()))
            }
        }
    }
}
