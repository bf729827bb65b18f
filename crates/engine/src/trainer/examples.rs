//! What is learned from and what is held out.
//!
//! An example is a row, a copy of one, or a paraphrase of one: numbers below the number of rows are rows, those behind are
//! the others.
//! It must not know networks. Invariant: no text that is held out is learned from.

use std::collections::BTreeSet;

use ecommerce_ml_protocol::EngineError;

use super::dataset::Dataset;
use super::tokens::Tokens;
use crate::tokenizer::{Tokenizer, is_blank};
use crate::train::augment::{Augmenter, Synonyms};
use crate::train::options::TrainingOptions;
use crate::train::split::Split;

/// Examples by number.
#[derive(Debug)]
pub(super) struct Examples {
    rows: usize,
    /// What those behind the rows are.
    others: Vec<Other>,
    /// Numbers of examples to learn from.
    pub(super) training: Vec<usize>,
    /// Numbers of rows that are held out.
    pub(super) held_out: Vec<usize>,
    /// The first window of each row, then of each paraphrase.
    tokens: Tokens,
}

/// What isn't a row.
#[derive(Debug, Clone, Copy)]
struct Other {
    row: usize,
    /// 0 for a paraphrase.
    copy: u32,
    /// Where its tokens are.
    tokens: usize,
}

impl Examples {
    /// Tokenizes all rows, and the paraphrases of those to learn from, to at most `limit` tokens each. Paraphrases that the
    /// options have read in the place of rows are no examples. `classes` are those of the rows.
    ///
    /// # Errors
    /// If a text is blank, or the tokenizer can't cope with it.
    pub(super) fn new(
        dataset: &mut Dataset,
        split: Split,
        classes: &[u32],
        options: &TrainingOptions,
        (tokenizer, limit): (&Tokenizer, usize),
    ) -> Result<Self, EngineError> {
        leave_out_what_is_held_out(dataset, &split);
        let rows = &dataset.rows;
        let mut texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
        let (mut others, mut training) = (Vec::new(), split.training);
        let own: Vec<u32> = training.iter().map(|&row| classes[row]).collect();
        let copies =
            Augmenter::new(options.augment.clone(), options.seed, Synonyms::default()).examples(&own);
        for example in copies.iter().filter(|example| example.copy > 0) {
            let row = training[example.row];
            others.push(Other { row, copy: example.copy, tokens: row });
        }
        if options.augment.back_translation == 0.0 {
            for &row in &training {
                for text in &rows[row].paraphrases {
                    others.push(Other { row, copy: 0, tokens: texts.len() });
                    texts.push(text);
                }
            }
        }
        training.extend(rows.len()..rows.len() + others.len());
        let tokens = Tokens::read(tokenizer, &texts, limit)?;
        Ok(Self { rows: rows.len(), others, training, held_out: split.held_out, tokens })
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.rows + self.others.len()
    }

    /// The row of an example.
    pub(super) fn row(&self, example: usize) -> usize {
        self.other(example).map_or(example, |other| other.row)
    }

    /// Number of the copy of its row that an example is; 0 for the row itself.
    pub(super) fn copy(&self, example: usize) -> u32 {
        self.other(example).map_or(0, |other| other.copy)
    }

    /// Token ids of an example.
    pub(super) fn tokens(&self, example: usize) -> &[u32] {
        self.tokens.get(self.other(example).map_or(example, |other| other.tokens))
    }

    /// The rows of examples.
    pub(super) fn rows(&self, examples: &[usize]) -> Vec<usize> {
        examples.iter().map(|&example| self.row(example)).collect()
    }

    /// Memory that they take.
    pub(super) fn bytes(&self) -> u64 {
        self.tokens.bytes() + (self.others.len() * size_of::<Other>()) as u64
    }

    /// Tokens of the longest.
    pub(super) fn longest(&self) -> usize {
        self.tokens.longest()
    }

    fn other(&self, example: usize) -> Option<&Other> {
        self.others.get(example.checked_sub(self.rows)?)
    }
}

/// Removes paraphrases that are blank or a text that is held out.
fn leave_out_what_is_held_out(dataset: &mut Dataset, split: &Split) {
    let rows = &mut dataset.rows;
    let held_out: BTreeSet<String> = match rows.iter().all(|row| row.paraphrases.is_empty()) {
        true => return,
        false => split.held_out.iter().map(|&row| rows[row].text.clone()).collect(),
    };
    for row in rows {
        row.paraphrases.retain(|text| !is_blank(text) && !held_out.contains(text));
    }
}
