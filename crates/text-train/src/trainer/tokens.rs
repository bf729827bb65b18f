//! Token ids of many texts, end to end.
//!
//! It must not know what texts are for. Invariant: each has at least one token, and no more than the model reads.

use ecommerce_ml_checkpoint::tokenizer::Tokenizer;
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use rayon::prelude::*;

/// Texts that are tokenized together.
const TEXTS: usize = 4096;

/// The first window of each text.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    ids: Vec<u32>,
    ends: Vec<usize>,
}

impl Tokens {
    /// Tokenizes texts, to at most `limit` tokens each.
    ///
    /// # Errors
    /// If a text is blank, or the tokenizer can't cope with it.
    pub(super) fn read(tokenizer: &Tokenizer, texts: &[&str], limit: usize) -> Result<Self, EngineError> {
        let mut tokens = Self::default();
        for texts in texts.chunks(TEXTS) {
            let windows: Vec<_> =
                texts.par_iter().map(|text| tokenizer.first_window(text, limit)).collect::<Result<_, _>>()?;
            for window in windows {
                let blank = || EngineError::new(ErrorKind::InvalidRequest, "a text to learn from is blank");
                tokens.ids.extend(window.ok_or_else(blank)?.ids);
                tokens.ends.push(tokens.ids.len());
            }
        }
        tokens.ids.shrink_to_fit();
        Ok(tokens)
    }

    /// The ids of a text.
    pub(super) fn get(&self, text: usize) -> &[u32] {
        let start = text.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.ids[start..self.ends[text]]
    }

    /// Memory that they take.
    pub(super) fn bytes(&self) -> u64 {
        (self.ids.len() * size_of::<u32>() + self.ends.len() * size_of::<usize>()) as u64
    }

    /// Length of the longest.
    pub(super) fn longest(&self) -> usize {
        (0..self.ends.len()).map(|text| self.get(text).len()).max().unwrap_or_default()
    }
}
