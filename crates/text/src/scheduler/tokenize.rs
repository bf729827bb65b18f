//! Texts to tokens and no further, by several threads at a time.
//!
//! It must not know how texts are cut up. Invariant: rows are in the order of the texts, whoever was quicker.

use ecommerce_ml_checkpoint::tokenizer::{TokenDetail, Tokens};
use ecommerce_ml_predictor::{ModelHandle, guarded};
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_text_model::TextModel;
use parking_lot::Mutex;

use super::chunking::ChunkedRequest;
use super::promise::{Promise, SharedPromise};

/// A request for tokens.
pub(super) struct Tokenize {
    model: ModelHandle<dyn TextModel>,
    detail: TokenDetail,
    progress: Mutex<Progress>,
    promise: SharedPromise<Vec<Tokens>>,
}

/// What all threads have found so far.
struct Progress {
    /// Rows of texts that follow each other, with the place of the first.
    chunks: Vec<(usize, Vec<Tokens>)>,
    /// Texts that nobody has finished yet.
    left: usize,
}

impl Tokenize {
    pub(super) fn new(
        model: ModelHandle<dyn TextModel>,
        texts: usize,
        detail: TokenDetail,
        promise: Promise<Vec<Tokens>>,
    ) -> Self {
        let progress = Mutex::new(Progress { chunks: Vec::new(), left: texts });
        Self { model, detail, progress, promise: SharedPromise::new(promise) }
    }

    /// All rows, if these were the last.
    fn rows(&self, first: usize, texts: &[String]) -> Result<Option<Vec<Tokens>>, EngineError> {
        let rows = texts.iter().map(|text| guarded(|| self.model.tokenize(text, self.detail)));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        Ok(self.progress.lock().put(first, rows))
    }
}

impl ChunkedRequest for Tokenize {
    fn work(&self, first: usize, texts: Vec<String>) {
        if let Some(outcome) = self.rows(first, &texts).transpose()
            && let Some(promise) = self.promise.take()
        {
            promise.keep(outcome);
        }
    }

    fn is_over(&self) -> bool {
        self.promise.is_over()
    }
}

impl Progress {
    fn put(&mut self, first: usize, rows: Vec<Tokens>) -> Option<Vec<Tokens>> {
        self.left -= rows.len();
        self.chunks.push((first, rows));
        (self.left == 0).then(|| {
            self.chunks.sort_unstable_by_key(|(first, _)| *first);
            self.chunks.drain(..).flat_map(|(_, rows)| rows).collect()
        })
    }
}
