//! Texts in, answers out: what SQL functions, aggregates and the executor node share.
//!
//! # Layout
//! - [`pass`]: what a text can go through, and the request for it.
//! - [`answers`]: what came back, and what each SQL function reads off it.
//! - [`asked`]: many texts, cut into requests of bounded size, two of them in flight.
//! - [`memo`]: the latest answer to a single text.
//! - [`room`]: whether the answers to many texts fit into one value.
//!
//! It must not know where the texts come from. Invariant: answers are in the order of the texts they were asked for.

mod answers;
mod asked;
mod memo;
mod pass;
mod room;

use std::rc::Rc;

use ecommerce_ml_protocol::MAX_TEXT_BYTES;

pub use answers::{Answers, Output};
pub use asked::Asked;
pub use pass::Pass;
pub use room::check_room;

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

/// Sends texts through a model and waits. A single text may be answered from the [`memo`].
///
/// # Errors
/// As [`Asked::finish`].
pub fn answer(pass: Pass, model: &Rc<Resolved>, mut texts: Vec<String>) -> Result<Rc<Answers>, Error> {
    if texts.len() != 1 {
        return Ok(Rc::new(Asked::submit(pass, model, texts)?.finish()?));
    }
    let source = &model.reference.source;
    if let Some(answers) = memo::recall(pass, source, &texts[0]) {
        return Ok(answers);
    }
    let answers = Rc::new(Asked::submit(pass, model, texts.clone())?.finish()?);
    if let Some(text) = texts.pop().filter(|_| answers.are_complete()) {
        memo::remember(pass, text, Rc::clone(&answers));
    }
    Ok(answers)
}
