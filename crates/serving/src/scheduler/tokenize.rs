//! Texts to tokens and no further, by several threads at a time.
//!
//! It must not know how texts are divided. Invariant: rows are in the order of the texts, whoever was quicker.

use ecommerce_ml_predictor::{Loaded, guarded};
use ecommerce_ml_protocol::{EngineError, TokenDetail, Tokens};
use parking_lot::Mutex;

use super::division::Divisible;
use super::ticket::{Duty, SharedDuty};

/// A request for tokens.
pub(super) struct Tokenize {
    model: Loaded,
    detail: TokenDetail,
    gathered: Mutex<Gathered>,
    duty: SharedDuty<Vec<Tokens>>,
}

/// What all threads have found so far.
struct Gathered {
    /// Rows of texts that follow each other, with the place of the first.
    pieces: Vec<(usize, Vec<Tokens>)>,
    /// Texts that nobody has finished yet.
    left: usize,
}

impl Tokenize {
    pub(super) fn new(model: Loaded, texts: usize, detail: TokenDetail, duty: Duty<Vec<Tokens>>) -> Self {
        let gathered = Mutex::new(Gathered { pieces: Vec::new(), left: texts });
        Self { model, detail, gathered, duty: SharedDuty::new(duty) }
    }

    /// All rows, if these were the last.
    fn rows(&self, first: usize, texts: &[String]) -> Result<Option<Vec<Tokens>>, EngineError> {
        let rows = texts.iter().map(|text| guarded(|| self.model.tokenize(text, self.detail)));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        Ok(self.gathered.lock().put(first, rows))
    }
}

impl Divisible for Tokenize {
    fn work(&self, first: usize, texts: Vec<String>) {
        if let Some(outcome) = self.rows(first, &texts).transpose()
            && let Some(duty) = self.duty.take()
        {
            duty.fulfil(outcome);
        }
    }

    fn is_over(&self) -> bool {
        self.duty.is_over()
    }
}

impl Gathered {
    fn put(&mut self, first: usize, rows: Vec<Tokens>) -> Option<Vec<Tokens>> {
        self.left -= rows.len();
        self.pieces.push((first, rows));
        (self.left == 0).then(|| {
            self.pieces.sort_unstable_by_key(|(first, _)| *first);
            self.pieces.drain(..).flat_map(|(_, rows)| rows).collect()
        })
    }
}
