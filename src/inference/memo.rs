//! The latest answer to a single text.
//!
//! `SELECT predict_sentiment(body), predict_rating(body)`, evaluated row by row, asks twice in a row for the same text;
//! the second answer is taken from here, so a row costs one forward pass however many of its parts are selected. One
//! entry is enough for that, and can't grow. Invariant: versions never change, so what is kept can't be out of date.

use std::cell::RefCell;
use std::rc::Rc;

use ecommerce_ml_protocol::{ModelSource, Output};

use super::answers::Answers;

struct Entry {
    output: Output,
    text: String,
    answers: Rc<Answers>,
}

thread_local! {
    static LATEST: RefCell<Option<Entry>> = const { RefCell::new(None) };
}

/// The answer, if the latest one was to this text by this model, whatever name the model goes by.
pub fn recall(output: Output, source: &ModelSource, text: &str) -> Option<Rc<Answers>> {
    LATEST.with_borrow(|latest| {
        let entry = latest.as_ref()?;
        let same =
            entry.output == output && entry.text == text && entry.answers.model().reference.source == *source;
        same.then(|| Rc::clone(&entry.answers))
    })
}

/// Keeps an answer in place of the one before.
pub fn remember(output: Output, text: String, answers: Rc<Answers>) {
    LATEST.set(Some(Entry { output, text, answers }));
}
