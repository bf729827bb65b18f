//! Texts to windows, by several threads at a time.
//!
//! It must not know how texts are cut up.
//! Invariant: of equal texts in a request one is looked up or tokenized, by the thread that saw one first; whoever
//! finishes last hands the request on.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem::take;
use std::sync::{Arc, mpsc};

use ecommerce_ml_predictor::{ModelHandle, guarded};
use ecommerce_ml_protocol::EngineError;
use ecommerce_ml_text_model::{ForwardOutput, TextModel};
use parking_lot::Mutex;

use super::chunking::ChunkedRequest;
use super::compute::Message;
use super::job::{Computed, InferenceJob, NewText, PreparedText, TextRequest, Tokenized};
use super::promise::{Counted, Promise, SharedPromise};
use crate::results::{Fingerprint, ResultCache};

/// A request whose texts become windows, and then a job for the compute thread.
pub(super) struct Prepare {
    model: ModelHandle<dyn TextModel>,
    output: ForwardOutput,
    results: Arc<ResultCache>,
    progress: Mutex<Progress>,
    promise: SharedPromise<Computed>,
    ready: mpsc::Sender<Message>,
}

/// What all threads have found so far.
struct Progress {
    /// Which of the distinct texts a fingerprint is.
    known: HashMap<Fingerprint, usize>,
    tokenized: Tokenized,
    /// Texts of the request that nobody has finished yet.
    left: usize,
    /// Held for its effect: the texts are not tokenized.
    untokenized: Option<Counted>,
}

/// A text that a thread has to do: its place in the chunk, its place among the distinct texts, its fingerprint.
type DistinctText = (usize, usize, Fingerprint);

impl Prepare {
    pub(super) fn new(
        request: &TextRequest,
        results: &Arc<ResultCache>,
        (promise, untokenized): (Promise<Computed>, Counted),
        ready: mpsc::Sender<Message>,
    ) -> Self {
        let left = request.texts.len();
        let tokenized = Tokenized { texts: Vec::new(), positions: vec![0; left] };
        let known = HashMap::new();
        Self {
            model: request.model.clone(),
            output: request.output,
            results: Arc::clone(results),
            progress: Mutex::new(Progress { known, tokenized, left, untokenized: Some(untokenized) }),
            promise: SharedPromise::new(promise),
            ready,
        }
    }

    fn prepare(&self, first: usize, texts: &[String]) -> Result<(), EngineError> {
        let fingerprints: Vec<_> =
            texts.iter().map(|text| self.results.fingerprint(&self.model, self.output, text)).collect();
        let claims = self.progress.lock().claim(first, &fingerprints);
        let prepared = claims
            .into_iter()
            .map(|(text, distinct, fingerprint)| Ok((distinct, self.text(&texts[text], fingerprint)?)))
            .collect::<Result<Vec<_>, EngineError>>()?;
        let done = self.progress.lock().put(prepared, texts.len());
        if let Some((tokenized, untokenized)) = done {
            self.enqueue(tokenized);
            drop(untokenized);
        }
        Ok(())
    }

    fn text(&self, text: &str, fingerprint: Fingerprint) -> Result<PreparedText, EngineError> {
        if let Some(answer) = self.results.get(&fingerprint) {
            return Ok(PreparedText::Cached(answer));
        }
        let windows = guarded(|| self.model.windows(text))?;
        if windows.is_empty() {
            return Ok(PreparedText::Blank);
        }
        let is_unread = !guarded(|| self.model.can_read(text, &windows))?;
        Ok(PreparedText::New(NewText { fingerprint, windows, is_unread }))
    }

    fn enqueue(&self, tokenized: Tokenized) {
        let Some(promise) = self.promise.take() else { return };
        let results = Arc::clone(&self.results);
        let mut job = InferenceJob::new((self.model.clone(), self.output), tokenized, results, promise);
        if !job.answer_if_done() {
            // Fails only when the scheduler is being dropped; the request is then answered by dropping it.
            let _ = self.ready.send(Message::Job(job));
        }
    }
}

impl ChunkedRequest for Prepare {
    fn work(&self, first: usize, texts: Vec<String>) {
        if let Err(error) = self.prepare(first, &texts)
            && let Some(promise) = self.promise.take()
        {
            promise.keep(Err(error));
        }
    }

    fn is_over(&self) -> bool {
        self.promise.is_over()
    }
}

impl Progress {
    /// Notes where the texts from `first` on find their answers; whoever calls this does those that nobody else has
    /// claimed.
    fn claim(&mut self, first: usize, fingerprints: &[Fingerprint]) -> Vec<DistinctText> {
        let mut claims = Vec::new();
        for (index, &fingerprint) in fingerprints.iter().enumerate() {
            let distinct = match self.known.entry(fingerprint) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    let distinct = *new.insert(self.tokenized.texts.len());
                    self.tokenized.texts.push(PreparedText::Blank);
                    claims.push((index, distinct, fingerprint));
                    distinct
                }
            };
            self.tokenized.positions[first + index] = distinct;
        }
        claims
    }

    /// Puts claimed texts in their places, of a chunk of so many texts; returns all texts after the last chunk.
    fn put(
        &mut self,
        prepared: Vec<(usize, PreparedText)>,
        chunk: usize,
    ) -> Option<(Tokenized, Option<Counted>)> {
        for (distinct, text) in prepared {
            self.tokenized.texts[distinct] = text;
        }
        self.left -= chunk;
        (self.left == 0).then(|| (take(&mut self.tokenized), self.untokenized.take()))
    }
}
