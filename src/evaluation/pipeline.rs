//! Texts through a model while the next are read.
//!
//! Invariant: no more than two batches of texts are held: one that the engine works on, and one that is being collected.

use std::rc::Rc;

use ecommerce_ml_protocol::{Input, Output, Prediction};

use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::guc;
use crate::inference::{RequestStream, check_length};

/// Most bytes of text in a batch; a single longer text goes with what was collected before.
const BATCH_BYTES: usize = 4 << 20;

/// Rows on their way through a model: texts, and what else a row has.
pub struct Pipeline<'a, T> {
    model: &'a Rc<Resolved>,
    texts: Vec<String>,
    rest: Vec<T>,
    bytes: usize,
    waiting: Option<(RequestStream, Vec<T>)>,
}

impl<'a, T> Pipeline<'a, T> {
    /// An empty one.
    pub fn new(model: &'a Rc<Resolved>) -> Self {
        Self { model, texts: Vec::new(), rest: Vec::new(), bytes: 0, waiting: None }
    }

    /// Takes a row in; `take` gets earlier rows with their predictions, none for a blank text.
    ///
    /// # Errors
    /// [`Error::TextTooLong`], those of the engine, and those of `take`.
    pub fn push(
        &mut self,
        text: String,
        rest: T,
        take: &mut impl FnMut(T, Option<Prediction<'_>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        check_length(&text)?;
        self.bytes += text.len();
        self.texts.push(text);
        self.rest.push(rest);
        if self.texts.len() >= guc::batch_size() || self.bytes >= BATCH_BYTES {
            self.turn(take)?;
        }
        Ok(())
    }

    /// Waits for all rows that are on their way.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(
        mut self,
        take: &mut impl FnMut(T, Option<Prediction<'_>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.turn(take)?;
        self.turn(take)
    }

    /// Sends what was collected, then waits for what was sent before.
    fn turn(
        &mut self,
        take: &mut impl FnMut(T, Option<Prediction<'_>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (texts, rest) = (std::mem::take(&mut self.texts), std::mem::take(&mut self.rest));
        self.bytes = 0;
        let sent = if texts.is_empty() {
            None
        } else {
            Some((RequestStream::submit(Output::Prediction, self.model, Input::Texts(texts))?, rest))
        };
        let Some((asked, rest)) = std::mem::replace(&mut self.waiting, sent) else { return Ok(()) };
        let answers = asked.finish()?;
        rest.into_iter().enumerate().try_for_each(|(text, rest)| take(rest, answers.prediction(text)?))
    }
}
