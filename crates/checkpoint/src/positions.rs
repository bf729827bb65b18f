//! Which row of the position embeddings each token uses.
//!
//! Invariant: every position of a window no longer than [`ModelConfig::max_length`] is a row of the embeddings.

use crate::config::{Family, ModelConfig};

/// How a family counts positions.
#[derive(Debug, Clone, Copy)]
pub struct Positions {
    /// The padding token, where positions are counted without it.
    uncounted: Option<u32>,
}

impl Positions {
    /// The positions of a model.
    pub fn new(config: &ModelConfig) -> Self {
        Self { uncounted: (config.family == Family::Roberta).then_some(config.pad_token_id) }
    }

    /// Rows of the position embeddings for the tokens of a window.
    ///
    /// RoBERTa begins after the padding token's id and gives that id itself to padding tokens, which a text can
    /// contain by name (`create_position_ids_from_input_ids` in `transformers`).
    pub fn of(self, ids: &[u32]) -> Vec<u32> {
        let Some(padding) = self.uncounted else { return (0..ids.len() as u32).collect() };
        let mut last = padding;
        let position = |&id: &u32| {
            if id == padding {
                return padding;
            }
            last += 1;
            last
        };
        ids.iter().map(position).collect()
    }
}
