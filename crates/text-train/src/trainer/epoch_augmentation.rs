//! Texts that are augmented anew in each epoch.
//!
//! It must not know networks. Invariant: the text of an example in an epoch depends on seed, epoch, row and copy alone, so it
//! is the same after a checkpoint.

use std::borrow::Cow;

use ecommerce_ml_checkpoint::tokenizer::Tokenizer;
use ecommerce_ml_protocol::{EngineError, is_blank};
use ecommerce_ml_training::RowId;

use super::examples::Examples;
use super::tokens::Tokens;
use crate::recipe::augment::{AugmentationKey, Augmenter};

/// The texts of rows, and the augmentation of them.
pub(super) struct EpochAugmentation {
    /// Of all rows; those that are held out have lost theirs.
    pub(super) texts: Vec<String>,
    pub(super) paraphrases: Vec<Vec<String>>,
    /// What the rows are known by.
    pub(super) ids: Vec<RowId>,
    pub(super) augmenter: Augmenter,
    pub(super) tokenizer: Tokenizer,
    /// Most tokens of a text.
    pub(super) limit: usize,
}

impl EpochAugmentation {
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
            let text = &self.texts[row];
            let key = AugmentationKey { row: number(&self.ids[row]), copy, epoch };
            let changed = self.augmenter.text(text, &self.paraphrases[row], key);
            // There is nothing to learn from a text of which a typo left nothing.
            if is_blank(&changed) { Cow::Borrowed(text.as_str()) } else { changed }
        };
        let texts: Vec<_> = some.iter().map(text).collect();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        Tokens::read(&self.tokenizer, &texts, self.limit)
    }
}

fn number(id: &RowId) -> u64 {
    id.first_chunk().map_or(0, |half| u64::from_le_bytes(*half))
}
