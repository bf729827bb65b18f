//! Inputs through a model, into a sample.
//!
//! It must not know where inputs come from. Invariant: no more than two batches of inputs are held, and the texts whose embeddings are
//! compared.

use std::rc::Rc;

use ecommerce_ml_drift::sample::likeliest;
use ecommerce_ml_drift::{Sample, energy, pieces};
use ecommerce_ml_protocol::{Input, Output, Prediction, Task};

use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::inference::RequestStream;

/// What a label says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// The class; none that the model has.
    Class(Option<usize>),
    Number(f64),
}

/// Inputs on their way.
pub struct Predictions<'a> {
    model: &'a Rc<Resolved>,
    sample: Sample,
    in_flight: Option<(RequestStream, Vec<Option<Target>>)>,
    /// Those whose embeddings are compared.
    described: Vec<String>,
    expected: usize,
    texts: usize,
}

impl<'a> Predictions<'a> {
    /// For about so many inputs.
    pub fn new(model: &'a Rc<Resolved>, expected: usize) -> Self {
        Self {
            model,
            sample: Sample::new(model.columns.is_none()),
            in_flight: None,
            described: Vec::new(),
            expected,
            texts: 0,
        }
    }

    /// Counts a row that has nothing to read.
    pub fn add_blank(&mut self) {
        if self.predicts() {
            self.sample.add_prediction(None);
        }
    }

    /// Sends inputs, each with what it should be answered with, then waits for those that were sent before.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn add(&mut self, input: Input, targets: Vec<Option<Target>>) -> Result<(), Error> {
        if input.is_empty() {
            return Ok(());
        }
        match &input {
            Input::Texts(texts) => self.describe_some(texts),
            Input::Rows(rows) => self.sample.add_columns(rows),
        }
        if !self.predicts() {
            return Ok(());
        }
        let stream = RequestStream::submit(Output::Prediction, self.model, input)?;
        let before = self.in_flight.replace((stream, targets));
        self.take(before)
    }

    fn predicts(&self) -> bool {
        matches!(self.model.signature.task(), Task::Classification | Task::Regression)
    }

    fn describe_some(&mut self, texts: &[String]) {
        for text in texts {
            if energy::is_chosen(self.texts, self.expected) && self.described.len() < energy::MOST {
                self.described.push(text.clone());
            }
            self.texts += 1;
        }
    }

    fn take(&mut self, sent: Option<(RequestStream, Vec<Option<Target>>)>) -> Result<(), Error> {
        let Some((stream, targets)) = sent else { return Ok(()) };
        let answers = stream.finish()?;
        for (row, target) in targets.into_iter().enumerate() {
            let prediction = answers.prediction(row)?;
            self.sample.add_prediction(prediction);
            match (target, prediction) {
                (Some(Target::Number(actual)), Some(Prediction::Number(value))) => {
                    self.sample.add_error(value - actual);
                }
                (Some(Target::Class(class)), Some(Prediction::Class { probabilities, .. })) => {
                    // A class that the model doesn't have is one that it can't get right.
                    self.sample.add_answer(class.is_some() && class == likeliest(probabilities));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Waits for all, and has some of the texts embedded and cut into pieces.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn finish(mut self) -> Result<Sample, Error> {
        let last = self.in_flight.take();
        self.take(last)?;
        let described = std::mem::take(&mut self.described);
        if described.is_empty() {
            return Ok(self.sample);
        }
        let ask =
            |output| RequestStream::submit(output, self.model, Input::Texts(described.clone()))?.finish();
        let (embeddings, tokens) = (ask(Output::Embedding)?, ask(Output::TokenPieces)?);
        for row in 0..described.len() {
            if let Some(embedding) = embeddings.embedding(row)? {
                self.sample.add_embedding(&embedding);
            }
            if let Some(found) = tokens.token_pieces(row)? {
                let (unknown, all) = pieces::count(&found);
                self.sample.add_pieces(unknown, all);
            }
        }
        Ok(self.sample)
    }
}
