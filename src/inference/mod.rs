//! Inputs in, answers out: what SQL functions, aggregates and the executor node share.
//!
//! # Layout
//! - [`model_inputs`]: what a model reads.
//! - [`answers`]: what came back, and what each SQL function reads off it.
//! - [`recommendation`]: those for one customer as a text, which a call hands to another.
//! - [`requests`]: many inputs, cut into requests of bounded size, two of them in flight.
//! - [`unread`]: texts that a model can't read.
//! - [`memo`]: the latest answer to a single input.
//! - [`result_size`]: whether the answers to many texts fit into one value.
//!
//! It must not know where the inputs come from. Invariant: answers are in the order of the inputs they were asked for.

mod answers;
mod memo;
mod model_inputs;
mod recommendation;
mod requests;
mod result_size;
mod tables;
mod unread;

use std::rc::Rc;

use ecommerce_ml_protocol::{Input, MAX_TEXT_BYTES, Output};

pub use answers::{Answers, ModelFunction};
/// What is given to a function, as SQL has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    Text,
    /// A row of any composite type.
    Record,
    /// An object of jsonb.
    Json,
}

pub use model_inputs::{arguments_of, columns_of, require_input, require_text};
pub use recommendation::Recommendation;
pub use requests::RequestStream;
pub use result_size::check_result_size;
pub use tables::{TableRow, tables};
pub use unread::guess_counts;

use crate::catalog::resolve::{Resolved, resolve};
use crate::error::Error;
use crate::executor::running;

/// The model to use, by its name or the default of the statement that calls.
///
/// # Errors
/// As [`resolve`].
pub fn model_of(name: Option<&str>) -> Result<Rc<Resolved>, Error> {
    match name {
        Some(name) => resolve(name),
        None => resolve(&running::default_model()),
    }
}

/// Refuses a text that no request can carry.
///
/// # Errors
/// [`Error::TextTooLong`].
pub fn check_length(text: &str) -> Result<(), Error> {
    if text.len() > MAX_TEXT_BYTES { Err(Error::TextTooLong(text.len())) } else { Ok(()) }
}

/// Asks a model about inputs of a kind that it reads, and waits. A single one may be answered from the [`memo`].
///
/// # Errors
/// As [`RequestStream::finish`].
pub fn answer(output: Output, model: &Rc<Resolved>, input: Input) -> Result<Rc<Answers>, Error> {
    if input.len() != 1 {
        return Ok(Rc::new(RequestStream::submit(output, model, input)?.finish()?));
    }
    let source = &model.reference.source;
    if let Some(answers) = memo::lookup(output, source, &input) {
        return Ok(answers);
    }
    let answers = Rc::new(RequestStream::submit(output, model, input.clone())?.finish()?);
    if answers.are_complete() {
        memo::store(output, input, Rc::clone(&answers));
    }
    Ok(answers)
}
