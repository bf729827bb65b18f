//! Changes to texts, so that a training sees other words for the same each time.
//!
//! # Layout
//! - `changes`: which changes there are, and what their numbers mean.
//! - `examples`: rows of scarce classes, repeated.
//! - `words`: a text as words and what lies between them.
//! - `synonyms`: words that may stand for others, from a table.
//! - `neighbours`: the same from embeddings.
//! - `typos`: slips of the fingers.
//!
//! It must not know networks, tokens or where paraphrases come from. Invariants: what becomes of a text depends on the
//! seed, the epoch, the row and the number of its copy alone, so it is the same after a checkpoint; and no text loses
//! its last word.

use std::borrow::Cow;

mod changes;
mod examples;
mod neighbours;
mod synonyms;
mod typos;
mod words;

pub use changes::Changes;
pub use examples::Example;
pub use synonyms::Synonyms;

use ecommerce_ml_training::random::{SplitMix64, hash};
use words::Words;

/// Sets the hashes of this module apart from others with the same seed.
const PURPOSE: u64 = u64::from_be_bytes(*b"augment ");

/// Makes the changes.
#[derive(Debug, Clone)]
pub struct Augmenter {
    changes: Changes,
    seed: u64,
    synonyms: Synonyms,
}

/// What tells one augmented text from all others: row, copy and epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AugmentationKey {
    /// Tells the row from all others: a hash of it, so that the order of rows makes no difference.
    pub row: u64,
    /// [`Example::copy`].
    pub copy: u32,
    /// Counted from 0.
    pub epoch: u32,
}

/// What chance decides about a text; each has numbers of its own, so that one change more doesn't alter the others.
#[derive(Clone, Copy)]
enum Decision {
    Paraphrase,
    Synonym,
    Swap,
    Drop,
    Noise,
}

impl Augmenter {
    /// One that makes these changes, with these synonyms if `changes` want any.
    pub fn new(changes: Changes, seed: u64, synonyms: Synonyms) -> Self {
        Self { changes, seed, synonyms }
    }

    /// Whether texts differ from epoch to epoch; what is computed from them can't be kept then.
    pub fn changes_texts(&self) -> bool {
        self.changes.of_words() || self.changes.back_translation > 0.0
    }

    /// What an epoch goes through: all rows, told by their classes, and copies of those whose classes are scarce.
    pub fn examples(&self, classes: &[u32]) -> Vec<Example> {
        examples::with_copies(classes, self.changes.duplicate, hash(self.seed, PURPOSE, b"copies"))
    }

    /// The text to learn from: `text` or one of its `paraphrases`, with changes to its words.
    pub fn text<'a>(&self, text: &'a str, paraphrases: &'a [String], key: AugmentationKey) -> Cow<'a, str> {
        let text = self.paraphrase(text, paraphrases, key);
        if !self.changes.of_words() {
            return Cow::Borrowed(text);
        }
        let mut words = Words::of(text);
        if words.is_empty() {
            return Cow::Borrowed(text);
        }
        words.replace(&mut self.random(key, Decision::Synonym), self.changes.synonym, &self.synonyms);
        words.swap(&mut self.random(key, Decision::Swap), self.changes.word_swap);
        words.drop(&mut self.random(key, Decision::Drop), self.changes.word_drop);
        typos::make(&mut words, &mut self.random(key, Decision::Noise), self.changes.noise);
        Cow::Owned(words.join())
    }

    fn paraphrase<'a>(&self, text: &'a str, paraphrases: &'a [String], key: AugmentationKey) -> &'a str {
        let mut random = self.random(key, Decision::Paraphrase);
        match random.below(paraphrases.len() + 1) {
            0 => text,
            place => paraphrases.get(place - 1).map_or(text, String::as_str),
        }
    }

    fn random(&self, key: AugmentationKey, decision: Decision) -> SplitMix64 {
        let mut bytes = [0; 16];
        let (row, rest) = bytes.split_at_mut(8);
        let (copy, epoch) = rest.split_at_mut(4);
        row.copy_from_slice(&key.row.to_le_bytes());
        copy.copy_from_slice(&key.copy.to_le_bytes());
        epoch.copy_from_slice(&key.epoch.to_le_bytes());
        SplitMix64::of_part(hash(self.seed, PURPOSE, &bytes), decision as u64)
    }
}

#[cfg(test)]
mod tests;
