//! What is learned from and what is held out.
//!
//! An example is a row or a copy of one: numbers below the number of rows are rows, those behind are copies.
//! It must not know networks. Invariant: no text that is held out by chance is learned from, in whatever case and white space.

use std::collections::BTreeSet;

use ecommerce_ml_checkpoint::tokenizer::Tokenizer;
use ecommerce_ml_protocol::text::look_of_text;
use ecommerce_ml_protocol::{EngineError, is_blank};
use ecommerce_ml_training::Dataset;
use ecommerce_ml_training::split::Split;

use super::tokens::Tokens;
use crate::recipe::augment::{Augmenter, Synonyms};
use crate::recipe::options::TrainingOptions;

/// Examples by number.
#[derive(Debug)]
pub(super) struct Examples {
    rows: usize,
    /// What those behind the rows are.
    copies: Vec<RowCopy>,
    /// Numbers of examples to learn from.
    pub(super) training: Vec<usize>,
    /// Numbers of rows that are held out.
    pub(super) held_out: Vec<usize>,
    /// The first window of each row.
    tokens: Tokens,
}

/// A row once more.
#[derive(Debug, Clone)]
struct RowCopy {
    row: usize,
    /// From 1.
    number: u32,
}

impl Examples {
    /// Tokenizes all rows, to at most `limit` tokens each. `classes` are those of the rows.
    ///
    /// # Errors
    /// If a text is blank, or the tokenizer can't cope with it.
    pub(super) fn new(
        dataset: &mut Dataset,
        split: &Split,
        classes: &[u32],
        options: &TrainingOptions,
        (tokenizer, limit): (&Tokenizer, usize),
    ) -> Result<Self, EngineError> {
        leave_out_what_is_held_out(dataset, split);
        let texts: Vec<&str> = dataset.texts().iter().map(String::as_str).collect();
        let mut training = split.training.clone();
        let own: Vec<u32> = training.iter().map(|&row| classes[row]).collect();
        let augmenter = Augmenter::new(options.augment.clone(), options.seed, Synonyms::default());
        let copies: Vec<RowCopy> = augmenter
            .examples(&own)
            .iter()
            .filter(|example| example.copy > 0)
            .map(|example| RowCopy { row: training[example.row], number: example.copy })
            .collect();
        training.extend(texts.len()..texts.len() + copies.len());
        let tokens = Tokens::read(tokenizer, &texts, limit)?;
        Ok(Self { rows: texts.len(), copies, training, held_out: split.held_out.clone(), tokens })
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.rows + self.copies.len()
    }

    /// The row of an example.
    pub(super) fn row(&self, example: usize) -> usize {
        self.copied(example).map_or(example, |copy| copy.row)
    }

    /// Number of the copy of its row that an example is; 0 for the row itself.
    pub(super) fn copy(&self, example: usize) -> u32 {
        self.copied(example).map_or(0, |copy| copy.number)
    }

    /// Token ids of an example.
    pub(super) fn tokens(&self, example: usize) -> &[u32] {
        self.tokens.get(self.row(example))
    }

    /// The rows of examples.
    pub(super) fn rows(&self, examples: &[usize]) -> Vec<usize> {
        examples.iter().map(|&example| self.row(example)).collect()
    }

    /// Memory that they take.
    pub(super) fn bytes(&self) -> u64 {
        self.tokens.bytes() + (self.copies.len() * size_of::<RowCopy>()) as u64
    }

    /// Tokens of the longest.
    pub(super) fn longest(&self) -> usize {
        self.tokens.longest()
    }

    fn copied(&self, example: usize) -> Option<&RowCopy> {
        self.copies.get(example.checked_sub(self.rows)?)
    }
}

/// Removes paraphrases that are blank or look like a text that is held out.
fn leave_out_what_is_held_out(dataset: &mut Dataset, split: &Split) {
    let held_out: BTreeSet<String> = match dataset.paraphrases.iter().all(Vec::is_empty) {
        true => return,
        false => split.held_out.iter().map(|&row| look_of_text(&dataset.texts()[row])).collect(),
    };
    for paraphrases in &mut dataset.paraphrases {
        paraphrases.retain(|text| !is_blank(text) && !held_out.contains(&look_of_text(text)));
    }
}
