//! A tokenized request on its way through the model, and what comes out.
//!
//! It must not know batches of other requests.
//! Invariant: a window is either waiting, or its row is there, or the job has been answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ecommerce_ml_protocol::{EngineError, ErrorKind};

use super::{ReplyTo, SMALL_WINDOWS};
use crate::model::{Output, Window};
use crate::served::Served;

/// Texts that shall go through a model.
pub struct Work {
    /// By which model.
    pub model: Arc<dyn Served>,
    /// Each is answered at its place; equal ones are computed once.
    pub texts: Vec<String>,
    /// What to compute.
    pub output: Output,
}

/// One distinct text with what the model made of it.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// None for a blank text.
    pub(super) windows: Vec<Window>,
    /// The model's row for each window; empty until it has been computed.
    pub(super) rows: Vec<Vec<f32>>,
}

/// All texts of a request after the model.
#[derive(Debug)]
pub struct Finished {
    /// The distinct texts.
    texts: Vec<Text>,
    /// For each text of the request, which of the distinct ones it is.
    positions: Vec<usize>,
}

impl Finished {
    pub(super) fn new(texts: Vec<Text>, positions: Vec<usize>) -> Self {
        Self { texts, positions }
    }

    /// An answer for each text of the request from its windows and their rows; `None` for a blank text.
    pub fn rows<T: Clone>(&self, combine: impl Fn(&[Window], &[Vec<f32>]) -> T) -> Vec<Option<T>> {
        let answer = |text: &Text| (!text.windows.is_empty()).then(|| combine(&text.windows, &text.rows));
        let answers: Vec<Option<T>> = self.texts.iter().map(answer).collect();
        self.positions.iter().map(|&position| answers[position].clone()).collect()
    }

    /// Tokens that went through the model, special tokens included.
    pub fn tokens(&self) -> u64 {
        let windows = self.texts.iter().flat_map(|text| &text.windows);
        windows.map(|window| window.ids.len() as u64).sum()
    }

    /// Texts that were answered without running the model: blank ones and repetitions.
    pub fn cached(&self) -> u64 {
        let computed = self.texts.iter().filter(|text| !text.windows.is_empty()).count();
        (self.positions.len() - computed) as u64
    }
}

/// Adds texts to a total for as long as it exists.
#[derive(Debug)]
pub(super) struct Counted {
    texts: u64,
    total: Arc<AtomicU64>,
}

impl Counted {
    pub(super) fn new(texts: usize, total: &Arc<AtomicU64>) -> Self {
        total.fetch_add(texts as u64, Ordering::Relaxed);
        Self { texts: texts as u64, total: Arc::clone(total) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.total.fetch_sub(self.texts, Ordering::Relaxed);
    }
}

/// Where a window lies in its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) text: usize,
    pub(super) window: usize,
    /// Tokens of the window.
    pub(super) length: usize,
}

/// A tokenized request.
pub(super) struct Job {
    pub(super) model: Arc<dyn Served>,
    pub(super) output: Output,
    texts: Vec<Text>,
    positions: Vec<usize>,
    /// Windows that have not gone through the model, longest first: neighbours make good batches.
    waiting: Vec<Place>,
    /// `None` once answered.
    reply: Option<ReplyTo<Finished>>,
    /// Held for its effect: the texts are queued. `None` once answered.
    queued: Option<Counted>,
}

impl Job {
    /// A job for texts of which at least one has windows.
    pub(super) fn new(
        (model, output): (Arc<dyn Served>, Output),
        Finished { mut texts, positions }: Finished,
        queued: Counted,
        reply: ReplyTo<Finished>,
    ) -> Self {
        let mut waiting = Vec::new();
        for (index, text) in texts.iter_mut().enumerate() {
            text.rows = vec![Vec::new(); text.windows.len()];
            let place = |(window, w): (usize, &Window)| Place { text: index, window, length: w.ids.len() };
            waiting.extend(text.windows.iter().enumerate().map(place));
        }
        waiting.sort_by_key(|place| std::cmp::Reverse(place.length));
        Self { model, output, texts, positions, waiting, reply: Some(reply), queued: Some(queued) }
    }

    /// Whether it overtakes bulk requests.
    pub(super) fn is_small(&self) -> bool {
        self.waiting.len() <= SMALL_WINDOWS
    }

    /// Whether both can share a batch.
    pub(super) fn goes_with(&self, other: &Job) -> bool {
        Arc::ptr_eq(&self.model, &other.model) && self.output == other.output
    }

    /// Whether it has been answered, or nobody waits for the answer.
    pub(super) fn is_over(&self) -> bool {
        self.reply.as_ref().is_none_or(ReplyTo::is_closed)
    }

    /// Windows that have not gone through the model, longest first.
    pub(super) fn waiting(&self) -> &[Place] {
        &self.waiting
    }

    /// The window at a place of this job.
    pub(super) fn window(&self, place: Place) -> &Window {
        &self.texts[place.text].windows[place.window]
    }

    /// Takes the model's rows for some of the waiting windows, in the order in which they waited, and answers if
    /// these were the last.
    pub(super) fn receive(&mut self, rows: impl Iterator<Item = (Place, Vec<f32>)>) {
        let mut rows = rows.peekable();
        let texts = &mut self.texts;
        self.waiting.retain(|waiting| {
            let row = rows.next_if(|(place, _)| place == waiting);
            row.map(|(place, row)| texts[place.text].rows[place.window] = row).is_none()
        });
        if self.waiting.is_empty() {
            let texts = std::mem::take(&mut self.texts);
            let positions = std::mem::take(&mut self.positions);
            self.answer(Ok(Finished { texts, positions }));
        }
    }

    /// Gives up.
    pub(super) fn fail(&mut self, error: EngineError) {
        self.answer(Err(error));
    }

    fn answer(&mut self, outcome: Result<Finished, EngineError>) {
        // Before the answer, so that whoever has it finds the texts counted no more.
        self.queued = None;
        // Nobody may be waiting any more; then the answer is dropped.
        if let Some(reply) = self.reply.take() {
            let _ = reply.send(outcome);
        }
    }
}

/// The error for a model that returns too few or too many rows.
pub(super) fn row_count_mismatch(windows: usize, rows: usize) -> EngineError {
    EngineError::new(ErrorKind::Internal, format!("model returned {rows} rows for {windows} windows"))
}
