//! Many texts, cut into requests of bounded size, two of them in flight.
//!
//! Invariant: answers come in the order of the texts, and memory for requests and replies is bounded by two requests
//! beside the texts and answers themselves.

use std::collections::VecDeque;

use ecommerce_ml_protocol::{MAX_TEXT_BYTES, ReplyBody, RequestBody};

use crate::client::{self, Ticket};
use crate::error::Error;

/// Most bytes of text in one request; a single longer text goes alone.
const REQUEST_BYTES: usize = 4 << 20;
/// The engine works on one request while the next waits for it.
const IN_FLIGHT: usize = 2;

/// Copies a text of the server's.
///
/// # Errors
/// [`Error::TextTooLong`], before anything is copied.
pub fn copied(text: &str) -> Result<String, Error> {
    if text.len() > MAX_TEXT_BYTES { Err(Error::TextTooLong(text.len())) } else { Ok(text.to_owned()) }
}

/// Asks for all texts, at most `limit` in a request. `request` makes a request of some of them, `take` receives its answer.
///
/// # Errors
/// As [`Ticket::finish`] and `take`.
pub fn ask_all(
    texts: Vec<String>,
    limit: usize,
    request: impl Fn(Vec<String>) -> RequestBody,
    mut take: impl FnMut(ReplyBody) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut in_flight: VecDeque<Ticket> = VecDeque::new();
    let mut texts = texts.into_iter().peekable();
    while texts.peek().is_some() {
        if in_flight.len() == IN_FLIGHT {
            finish_first(&mut in_flight, &mut take)?;
        }
        in_flight.push_back(client::submit(request(next_request(&mut texts, limit)))?);
    }
    while !in_flight.is_empty() {
        finish_first(&mut in_flight, &mut take)?;
    }
    Ok(())
}

fn finish_first(
    in_flight: &mut VecDeque<Ticket>,
    take: &mut impl FnMut(ReplyBody) -> Result<(), Error>,
) -> Result<(), Error> {
    match in_flight.pop_front() {
        Some(ticket) => take(ticket.finish()?),
        None => Ok(()),
    }
}

fn next_request(texts: &mut std::iter::Peekable<std::vec::IntoIter<String>>, limit: usize) -> Vec<String> {
    let (mut bytes, mut taken) = (0, Vec::new());
    while let Some(text) =
        texts.next_if(|text| taken.is_empty() || (taken.len() < limit && bytes + text.len() <= REQUEST_BYTES))
    {
        bytes += text.len();
        taken.push(text);
    }
    taken
}
