//! Texts that are other ones in each epoch.
//!
//! It must not know networks. Invariant: the text of an example in an epoch depends on seed, epoch, row and copy alone, so it
//! is the same after a checkpoint.

use std::borrow::Cow;

use ecommerce_ml_checkpoint::tokenizer::Tokenizer;
use ecommerce_ml_protocol::training::TrainingRow;
use ecommerce_ml_protocol::{EngineError, is_blank};

use super::dataset::RowHash;
use super::examples::Examples;
use super::tokens::Tokens;
use crate::train::augment::{Augmenter, Look};

/// The texts of rows, and what changes them.
pub(super) struct Changing {
    /// Of all rows; those that are held out have lost their texts.
    pub(super) rows: Vec<TrainingRow>,
    pub(super) hashes: Vec<RowHash>,
    pub(super) augmenter: Augmenter,
    pub(super) tokenizer: Tokenizer,
    /// Most tokens of a text.
    pub(super) limit: usize,
}

impl Changing {
    /// Examples as an epoch sees them.
    ///
    /// # Errors
    /// If the tokenizer can't cope with a text.
    pub(super) fn read(
        &self,
        examples: &Examples,
        some: &[usize],
        epoch: u32,
    ) -> Result<Tokens, EngineError> {
        let text = |&example: &usize| {
            let (row, copy) = (examples.row(example), examples.copy(example));
            let TrainingRow { text, paraphrases, .. } = &self.rows[row];
            let look = Look { row: number(&self.hashes[row]), copy, epoch };
            let changed = self.augmenter.text(text, paraphrases, look);
            // There is nothing to learn from a text of which a typo left nothing.
            if is_blank(&changed) { Cow::Borrowed(text.as_str()) } else { changed }
        };
        let texts: Vec<_> = some.iter().map(text).collect();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        Tokens::read(&self.tokenizer, &texts, self.limit)
    }
}

fn number(hash: &RowHash) -> u64 {
    hash.first_chunk().map_or(0, |half| u64::from_le_bytes(*half))
}
