//! Many texts, cut into requests of bounded size, two of them in flight.
//!
//! Invariant: memory for requests and replies is bounded by two requests beside the texts and answers themselves.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::rc::Rc;
use std::vec::IntoIter;

use super::answers::Answers;
use super::pass::Pass;
use crate::catalog::resolve::Resolved;
use crate::client::{self, Ticket};
use crate::error::Error;

/// Most bytes of text in one request; a single longer text goes alone.
const REQUEST_BYTES: usize = 4 << 20;
/// The engine works on one request while the next waits for it.
const IN_FLIGHT: usize = 2;

/// Texts that the engine works on while the caller does something else. Dropping it cancels what isn't answered.
pub struct Asked {
    pass: Pass,
    model: Rc<Resolved>,
    rest: Peekable<IntoIter<String>>,
    in_flight: VecDeque<Ticket>,
    answers: Answers,
}

impl Asked {
    /// Sends the first requests, as far as that goes without waiting for answers.
    ///
    /// # Errors
    /// Those of starting an engine.
    pub fn submit(pass: Pass, model: &Rc<Resolved>, texts: Vec<String>) -> Result<Self, Error> {
        let answers = Answers::none_yet(pass, model);
        let rest = texts.into_iter().peekable();
        let mut asked = Self { pass, model: Rc::clone(model), rest, in_flight: VecDeque::new(), answers };
        asked.fill()?;
        client::push()?;
        Ok(asked)
    }

    /// Waits for all answers.
    ///
    /// # Errors
    /// As [`Ticket::finish`].
    pub fn finish(mut self) -> Result<Answers, Error> {
        while let Some(ticket) = self.in_flight.pop_front() {
            for piece in ticket.finish()? {
                self.answers.take_in(piece)?;
            }
            self.fill()?;
        }
        Ok(self.answers)
    }

    fn fill(&mut self) -> Result<(), Error> {
        while self.in_flight.len() < IN_FLIGHT && self.rest.peek().is_some() {
            let texts = self.next_texts();
            self.in_flight.push_back(client::submit(self.pass.request(&self.model.reference, texts))?);
        }
        Ok(())
    }

    fn next_texts(&mut self) -> Vec<String> {
        let most = self.pass.most_texts();
        let (mut bytes, mut taken) = (0, Vec::new());
        while let Some(text) = self
            .rest
            .next_if(|text| taken.is_empty() || (taken.len() < most && bytes + text.len() <= REQUEST_BYTES))
        {
            bytes += text.len();
            taken.push(text);
        }
        taken
    }
}
