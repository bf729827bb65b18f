//! What is learned from and what is held out, in tokens.
//!
//! An example is a row, or a paraphrase of one: numbers below the number of rows are rows, those behind are paraphrases.
//! It must not know networks. Invariant: no text that is held out is learned from.

use std::collections::BTreeSet;

use ecommerce_ml_protocol::{EngineError, ErrorKind};
use rayon::prelude::*;

use super::dataset::Dataset;
use crate::tokenizer::Tokenizer;
use crate::train::split::Split;

/// Texts that are tokenized together.
const TEXTS: usize = 4096;

/// Examples by number.
#[derive(Debug)]
pub(super) struct Examples {
    /// The rows of paraphrases.
    paraphrased: Vec<usize>,
    rows: usize,
    /// Numbers of examples to learn from.
    pub(super) training: Vec<usize>,
    /// Numbers of rows that are held out.
    pub(super) held_out: Vec<usize>,
    /// The first window of each example.
    pub(super) tokens: Tokens,
}

/// Token ids of many texts, end to end.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    ids: Vec<u32>,
    ends: Vec<usize>,
}

impl Examples {
    /// Tokenizes all rows, and the paraphrases of those to learn from, to at most `limit` tokens each.
    ///
    /// # Errors
    /// If a text is blank, or the tokenizer can't cope with it.
    pub(super) fn new(
        dataset: &Dataset,
        split: Split,
        tokenizer: &Tokenizer,
        limit: usize,
    ) -> Result<Self, EngineError> {
        let rows = &dataset.rows;
        let held_out: BTreeSet<&str> = split.held_out.iter().map(|&row| rows[row].text.as_str()).collect();
        let paraphrases = split
            .training
            .iter()
            .flat_map(|&row| rows[row].paraphrases.iter().map(move |text| (row, text.as_str())));
        let wanted =
            |(_, text): &(usize, &str)| !crate::tokenizer::is_blank(text) && !held_out.contains(text);
        let (paraphrased, others): (Vec<usize>, Vec<&str>) = paraphrases.filter(wanted).unzip();
        let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).chain(others).collect();
        let tokens = Tokens::read(tokenizer, &texts, limit)?;
        let mut training = split.training;
        training.extend(rows.len()..texts.len());
        Ok(Self { paraphrased, rows: rows.len(), training, held_out: split.held_out, tokens })
    }

    /// The row of an example.
    pub(super) fn row(&self, example: usize) -> usize {
        example.checked_sub(self.rows).map_or(example, |paraphrase| self.paraphrased[paraphrase])
    }

    /// The rows of examples.
    pub(super) fn rows(&self, examples: &[usize]) -> Vec<usize> {
        examples.iter().map(|&example| self.row(example)).collect()
    }
}

impl Tokens {
    fn read(tokenizer: &Tokenizer, texts: &[&str], limit: usize) -> Result<Self, EngineError> {
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

    /// The ids of an example.
    pub(super) fn get(&self, example: usize) -> &[u32] {
        let start = example.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.ids[start..self.ends[example]]
    }

    /// Examples.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Memory that they take.
    pub(super) fn bytes(&self) -> u64 {
        (self.ids.len() * size_of::<u32>() + self.ends.len() * size_of::<usize>()) as u64
    }

    /// Length of the longest.
    pub(super) fn longest(&self) -> usize {
        (0..self.len()).map(|example| self.get(example).len()).max().unwrap_or_default()
    }
}
