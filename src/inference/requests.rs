//! Many inputs, cut into requests of bounded size, two of them in flight.
//!
//! Invariant: memory for requests and replies is bounded by two requests beside the inputs and answers themselves.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::rc::Rc;
use std::vec::IntoIter;

use ecommerce_ml_protocol::{Input, Output, RequestBody, Rows};

use super::answers::Answers;
use crate::catalog::resolve::Resolved;
use crate::client::{self, PendingResponse};
use crate::error::Error;
use crate::guc;

/// Most bytes of text in one request; a single longer text goes alone.
const REQUEST_BYTES: usize = 4 << 20;
/// Most texts to embed in one request, so that the widest embeddings fit into a reply.
const MAX_EMBEDDINGS: usize = 256;
/// Most texts to explain in one request: each takes as long as dozens of predictions, and a request is asked again as a whole.
const MAX_EXPLANATIONS: usize = 64;
/// The engine works on one request while the next waits for it.
const IN_FLIGHT: usize = 2;

/// Inputs that the engine works on while the caller does something else. Dropping it cancels what isn't answered.
pub struct RequestStream {
    output: Output,
    model: Rc<Resolved>,
    unsent: Unsent,
    in_flight: VecDeque<PendingResponse>,
    answers: Answers,
}

/// What has not been sent.
enum Unsent {
    Texts(Peekable<IntoIter<String>>),
    /// Those who collect rows keep them few.
    Rows(Option<Rows>),
}

impl RequestStream {
    /// Sends the first requests, as far as that goes without waiting for answers.
    ///
    /// # Errors
    /// Those of starting an engine.
    pub fn submit(output: Output, model: &Rc<Resolved>, input: Input) -> Result<Self, Error> {
        let answers = Answers::empty(model);
        let unsent = match input {
            Input::Texts(texts) => Unsent::Texts(texts.into_iter().peekable()),
            Input::Rows(rows) => Unsent::Rows(Some(rows).filter(|rows| rows.count > 0)),
        };
        let mut stream =
            Self { output, model: Rc::clone(model), unsent, in_flight: VecDeque::new(), answers };
        stream.fill()?;
        client::push()?;
        Ok(stream)
    }

    /// Waits for all answers.
    ///
    /// # Errors
    /// As [`PendingResponse::finish`].
    pub fn finish(mut self) -> Result<Answers, Error> {
        while let Some(response) = self.in_flight.pop_front() {
            for outcome in response.finish()? {
                self.answers.append(outcome)?;
            }
            self.fill()?;
        }
        Ok(self.answers)
    }

    fn fill(&mut self) -> Result<(), Error> {
        while self.in_flight.len() < IN_FLIGHT {
            let next = match &mut self.unsent {
                Unsent::Texts(texts) => next_texts(texts, max_texts(self.output)).map(Input::Texts),
                Unsent::Rows(rows) => rows.take().map(Input::Rows),
            };
            let Some(input) = next else { break };
            let model = match self.output {
                Output::Contributions { .. } => self.model.reference.to_explain(),
                _ => self.model.reference.clone(),
            };
            let request = RequestBody::Predict { model, input, output: self.output };
            self.in_flight.push_back(client::submit(request)?);
        }
        Ok(())
    }
}

/// The texts of the next request, `most` of them at most; nothing if none is left.
fn next_texts(unsent: &mut Peekable<IntoIter<String>>, most: usize) -> Option<Vec<String>> {
    let (mut bytes, mut taken) = (0, Vec::new());
    while let Some(text) =
        unsent.next_if(|text| taken.is_empty() || (taken.len() < most && bytes + text.len() <= REQUEST_BYTES))
    {
        bytes += text.len();
        taken.push(text);
    }
    (!taken.is_empty()).then_some(taken)
}

fn max_texts(output: Output) -> usize {
    match output {
        Output::Embedding => guc::batch_size().min(MAX_EMBEDDINGS),
        Output::Contributions { .. } => guc::batch_size().min(MAX_EXPLANATIONS),
        _ => guc::batch_size(),
    }
}
