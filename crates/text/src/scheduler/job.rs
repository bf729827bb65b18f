//! A tokenized request on its way through the model, and what comes out.
//!
//! It must not know batches of other requests.
//! Invariant: a window is either waiting, or in a batch that has begun, or its row is there, or the job has been answered.

use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ecommerce_ml_predictor::ModelHandle;
use ecommerce_ml_protocol::{EngineError, ErrorKind};
use ecommerce_ml_text_model::{ForwardOutput, TextModel, Window, WindowRow};

use super::SMALL_WINDOWS;
use super::promise::Promise;
use crate::results::{CachedAnswer, Fingerprint, ResultCache};

/// Texts that shall go through a model.
pub struct TextRequest {
    /// By which model.
    pub model: ModelHandle<dyn TextModel>,
    /// Each is answered at its place; equal ones are computed once.
    pub texts: Vec<String>,
    /// What to compute.
    pub output: ForwardOutput,
}

/// One distinct text of a request before the model.
#[derive(Debug)]
pub(super) enum PreparedText {
    /// There is nothing to read.
    Blank,
    /// It was answered lately.
    Cached(CachedAnswer),
    /// It has to go through the model.
    New(NewText),
}

/// A text that has to go through the model.
#[derive(Debug)]
pub(super) struct NewText {
    pub(super) fingerprint: Fingerprint,
    /// At least one.
    pub(super) windows: Vec<Window>,
    /// Whether the model was never taught to read such a text.
    pub(super) is_unread: bool,
}

/// All texts of a request before the model.
#[derive(Debug, Default)]
pub(super) struct Tokenized {
    /// The distinct texts.
    pub(super) texts: Vec<PreparedText>,
    /// For each text of the request, which of the distinct ones it is.
    pub(super) positions: Vec<usize>,
}

/// All texts of a request after the model.
#[derive(Debug)]
pub struct Computed {
    /// What the model made of the distinct texts.
    answers: Vec<Answer>,
    /// For each text of the request, which of the distinct ones it is.
    positions: Vec<usize>,
    tokens: u64,
}

/// What the model made of a text.
#[derive(Debug, Default)]
struct Answer {
    /// No rows for a blank text.
    kept: CachedAnswer,
    /// Whether it comes from the result cache.
    cached: bool,
}

impl Computed {
    /// An answer for each text of the request from the rows of its windows; `None` for a blank text.
    pub fn rows<T: Clone>(&self, combine: impl Fn(&[WindowRow]) -> T) -> Vec<Option<T>> {
        let answer = |answer: &Answer| (!answer.kept.rows.is_empty()).then(|| combine(&answer.kept.rows));
        let answers: Vec<Option<T>> = self.answers.iter().map(answer).collect();
        self.positions.iter().map(|&position| answers[position].clone()).collect()
    }

    /// Places of the texts that the model was never taught to read, ascending.
    pub fn unread(&self) -> Vec<u32> {
        let texts = (0..).zip(&self.positions);
        texts.filter(|&(_, &position)| self.answers[position].kept.is_unread).map(|(text, _)| text).collect()
    }

    /// Tokens that went through the model, special tokens included.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Texts that were answered from the result cache.
    pub fn cached(&self) -> u64 {
        self.positions.iter().filter(|&&position| self.answers[position].cached).count() as u64
    }
}

/// A distinct text on its way through the model.
struct InFlightText {
    /// Which of the distinct texts it is.
    text: usize,
    fingerprint: Fingerprint,
    windows: Vec<Window>,
    is_unread: bool,
    /// The model's row for each window; empty until it has been computed.
    values: Vec<Vec<f32>>,
    /// Windows that have no row yet.
    missing: usize,
}

impl InFlightText {
    fn new(text: usize, NewText { fingerprint, windows, is_unread }: NewText) -> Self {
        let count = windows.len();
        Self { text, fingerprint, windows, is_unread, values: vec![Vec::new(); count], missing: count }
    }

    /// Takes the row of a window; all of the answer, if it was the last.
    fn receive(&mut self, window: usize, values: Vec<f32>) -> Option<CachedAnswer> {
        self.values[window] = values;
        self.missing -= 1;
        (self.missing == 0).then(|| {
            let rows = self.windows.iter().zip(self.values.drain(..));
            let rows = rows.map(|(window, values)| WindowRow::new(window, values)).collect();
            CachedAnswer { rows, is_unread: self.is_unread }
        })
    }
}

/// Where a window lies in its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WindowSlot {
    /// Which of the texts that go through the model.
    text: usize,
    window: usize,
    /// Tokens of the window.
    pub(super) length: usize,
}

/// A tokenized request.
pub(super) struct InferenceJob {
    number: u64,
    pub(super) model: ModelHandle<dyn TextModel>,
    pub(super) output: ForwardOutput,
    in_flight: Vec<InFlightText>,
    /// Windows that are in no batch yet, longest first: neighbours make good batches.
    waiting: Vec<WindowSlot>,
    /// Windows that have no row yet.
    missing: usize,
    /// What it will answer, filled in while it computes.
    computed: Computed,
    /// Where its answers are kept for others.
    results: Arc<ResultCache>,
    /// `None` once answered.
    promise: Option<Promise<Computed>>,
}

impl InferenceJob {
    pub(super) fn new(
        (model, output): (ModelHandle<dyn TextModel>, ForwardOutput),
        Tokenized { texts, positions }: Tokenized,
        results: Arc<ResultCache>,
        promise: Promise<Computed>,
    ) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let (mut answers, mut in_flight) = (Vec::with_capacity(texts.len()), Vec::new());
        for (index, text) in texts.into_iter().enumerate() {
            answers.push(match text {
                PreparedText::Blank => Answer::default(),
                PreparedText::Cached(kept) => Answer { kept, cached: true },
                PreparedText::New(text) => {
                    in_flight.push(InFlightText::new(index, text));
                    Answer::default()
                }
            });
        }
        let waiting = slots(&in_flight);
        let tokens = waiting.iter().map(|slot| slot.length as u64).sum();
        let computed = Computed { answers, positions, tokens };
        let (number, missing) = (NUMBERS.fetch_add(1, Ordering::Relaxed), waiting.len());
        Self { number, model, output, in_flight, waiting, missing, computed, results, promise: Some(promise) }
    }

    /// Tells it from all other jobs.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether it overtakes bulk requests.
    pub(super) fn is_small(&self) -> bool {
        self.waiting.len() <= SMALL_WINDOWS
    }

    /// Whether both can share a batch.
    pub(super) fn goes_with(&self, other: &InferenceJob) -> bool {
        self.model.number() == other.model.number() && self.output == other.output
    }

    /// Whether it has been answered, or nobody waits for the answer.
    pub(super) fn is_over(&self) -> bool {
        self.promise.as_ref().is_none_or(Promise::is_over)
    }

    /// Windows that are in no batch yet, longest first.
    pub(super) fn waiting(&self) -> &[WindowSlot] {
        &self.waiting
    }

    /// The window at a slot of this job.
    pub(super) fn window(&self, slot: WindowSlot) -> &Window {
        &self.in_flight[slot.text].windows[slot.window]
    }

    /// Notes that some of the waiting windows are in a batch, which are told in the order in which they waited.
    pub(super) fn take(&mut self, slots: impl Iterator<Item = WindowSlot>) {
        let mut slots = slots.peekable();
        self.waiting.retain(|waiting| slots.next_if_eq(waiting).is_none());
    }

    /// Takes the model's rows for windows of a batch, and answers if these were the last.
    /// Rows of `[outputs]`, or of `[hidden]`.
    pub(super) fn receive(&mut self, rows: Vec<(WindowSlot, Vec<f32>)>) {
        rows.into_iter().for_each(|(slot, values)| self.put(slot, values));
        self.answer_if_done();
    }

    fn put(&mut self, slot: WindowSlot, values: Vec<f32>) {
        self.missing -= 1;
        let in_flight_text = &mut self.in_flight[slot.text];
        if let Some(answer) = in_flight_text.receive(slot.window, values) {
            in_flight_text.windows = Vec::new();
            self.results.insert(in_flight_text.fingerprint, &answer);
            self.computed.answers[in_flight_text.text].kept = answer;
        }
    }

    /// Answers if nothing is left to compute; whether that was so.
    pub(super) fn answer_if_done(&mut self) -> bool {
        let done = self.missing == 0;
        if done {
            let answers = take(&mut self.computed.answers);
            let positions = take(&mut self.computed.positions);
            self.answer(Ok(Computed { answers, positions, tokens: self.computed.tokens }));
        }
        done
    }

    /// Gives up.
    pub(super) fn fail(&mut self, error: EngineError) {
        self.answer(Err(error));
    }

    fn answer(&mut self, outcome: Result<Computed, EngineError>) {
        if let Some(promise) = self.promise.take() {
            promise.keep(outcome);
        }
    }
}

/// All windows, longest first.
fn slots(in_flight: &[InFlightText]) -> Vec<WindowSlot> {
    let of = |(index, text): (usize, &InFlightText)| {
        let lengths = text.windows.iter().map(|window| window.ids.len()).enumerate();
        lengths.map(|(window, length)| WindowSlot { text: index, window, length }).collect::<Vec<_>>()
    };
    let mut slots: Vec<WindowSlot> = in_flight.iter().enumerate().flat_map(of).collect();
    slots.sort_by_key(|slot| std::cmp::Reverse(slot.length));
    slots
}

/// The error for a model that returns too few or too many rows.
pub(super) fn row_count_mismatch(windows: usize, rows: usize) -> EngineError {
    EngineError::new(ErrorKind::Internal, format!("model returned {rows} rows for {windows} windows"))
}
