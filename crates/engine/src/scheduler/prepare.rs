//! What the tokenizing threads do: texts to tokens, texts to windows.
//!
//! Invariant: a step ends after about [`STEP_BYTES`] of text, but a text is never divided.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, mpsc};
use std::vec;

use ecommerce_ml_protocol::{EngineError, TokenDetail, Tokens};

use super::job::{Counted, Finished, Job, Text, Work};
use super::pool::Step;
use super::{ReplyTo, SMALL_WINDOWS};
use crate::model::Output;
use crate::served::{Served, guarded};

/// Text that one step works through: some ten milliseconds.
const STEP_BYTES: usize = 32 << 10;

/// A request of no more text than this, in no more than [`SMALL_WINDOWS`] texts, takes the short lane.
const SMALL_BYTES: usize = 16 << 10;

/// Whether a request is small, as far as one can tell before tokenizing it.
pub(super) fn is_small(texts: &[String]) -> bool {
    texts.len() <= SMALL_WINDOWS && texts.iter().map(String::len).sum::<usize>() <= SMALL_BYTES
}

/// Turns the texts of a request into windows, and hands them to the compute thread.
pub(super) struct Prepare {
    model: Arc<dyn Served>,
    output: Output,
    texts: vec::IntoIter<String>,
    /// The distinct texts so far, and which one each is.
    seen: HashMap<String, usize>,
    windows: Vec<Text>,
    positions: Vec<usize>,
    queued: Counted,
    reply: ReplyTo<Finished>,
    ready: mpsc::Sender<Job>,
    /// Held for its effect: the texts are not tokenized.
    _untokenized: Counted,
}

impl Prepare {
    pub(super) fn new(
        work: Work,
        (queued, untokenized): (Counted, Counted),
        reply: ReplyTo<Finished>,
        ready: mpsc::Sender<Job>,
    ) -> Self {
        Self {
            model: work.model,
            output: work.output,
            positions: Vec::with_capacity(work.texts.len()),
            texts: work.texts.into_iter(),
            seen: HashMap::new(),
            windows: Vec::new(),
            queued,
            reply,
            ready,
            _untokenized: untokenized,
        }
    }

    /// Works on the next texts; whether there are more.
    fn some_texts(&mut self) -> Result<bool, EngineError> {
        let mut bytes = 0;
        while bytes < STEP_BYTES {
            let Some(text) = self.texts.next() else { return Ok(false) };
            bytes += text.len() + 1;
            self.text(text)?;
        }
        Ok(true)
    }

    fn text(&mut self, text: String) -> Result<(), EngineError> {
        let next = self.windows.len();
        let position = match self.seen.entry(text) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let windows = guarded(|| self.model.windows(new.key()))?;
                self.windows.push(Text { windows, rows: Vec::new() });
                *new.insert(next)
            }
        };
        self.positions.push(position);
        Ok(())
    }

    fn hand_over(self) {
        let finished = Finished::new(self.windows, self.positions);
        if finished.tokens() == 0 {
            drop(self.queued);
            let _ = self.reply.send(Ok(finished));
        } else {
            // Fails only when the scheduler is being dropped; the request is then answered by dropping it.
            let _ = self.ready.send(Job::new((self.model, self.output), finished, self.queued, self.reply));
        }
    }
}

impl Step for Prepare {
    fn advance(mut self: Box<Self>) -> Option<Box<dyn Step>> {
        if self.reply.is_closed() {
            return None;
        }
        match self.some_texts() {
            Ok(true) => return Some(self),
            Ok(false) => self.hand_over(),
            Err(error) => {
                drop(self.queued);
                let _ = self.reply.send(Err(error));
            }
        }
        None
    }
}

/// Turns the texts of a request into tokens.
pub(super) struct Tokenize {
    model: Arc<dyn Served>,
    detail: TokenDetail,
    texts: vec::IntoIter<String>,
    rows: Vec<Tokens>,
    reply: ReplyTo<Vec<Tokens>>,
}

impl Tokenize {
    pub(super) fn new(
        model: Arc<dyn Served>,
        texts: Vec<String>,
        detail: TokenDetail,
        reply: ReplyTo<Vec<Tokens>>,
    ) -> Self {
        Self { model, detail, rows: Vec::with_capacity(texts.len()), texts: texts.into_iter(), reply }
    }

    /// Works on the next texts; whether there are more.
    fn some_texts(&mut self) -> Result<bool, EngineError> {
        let mut bytes = 0;
        while bytes < STEP_BYTES {
            let Some(text) = self.texts.next() else { return Ok(false) };
            bytes += text.len() + 1;
            self.rows.push(guarded(|| self.model.tokenize(&text, self.detail))?);
        }
        Ok(true)
    }
}

impl Step for Tokenize {
    fn advance(mut self: Box<Self>) -> Option<Box<dyn Step>> {
        if self.reply.is_closed() {
            return None;
        }
        match self.some_texts() {
            Ok(true) => return Some(self),
            Ok(false) => drop(self.reply.send(Ok(self.rows))),
            Err(error) => drop(self.reply.send(Err(error))),
        }
        None
    }
}
