//! The latest prediction of one text.
//!
//! `SELECT predict_sentiment(body), predict_rating(body)` asks twice in a row for the same text; the second answer
//! is taken from here, so a row costs one forward pass however many of its parts are selected. One entry is enough for
//! that, and can't grow. Invariant: versions never change, so what is kept can't be out of date.

use std::cell::RefCell;
use std::rc::Rc;

use ecommerce_ml_protocol::{ModelSource, Prediction};

/// An answer of the engine to one text.
#[derive(Clone)]
pub struct Known {
    pub labels: Rc<[String]>,
    /// `None` for a blank text.
    pub prediction: Option<Prediction>,
}

struct Entry {
    source: ModelSource,
    text: String,
    known: Known,
}

thread_local! {
    static LATEST: RefCell<Option<Entry>> = const { RefCell::new(None) };
}

/// The answer, if the latest one was to this text by this model.
pub fn recall(source: &ModelSource, text: &str) -> Option<Known> {
    LATEST.with_borrow(|latest| {
        let entry = latest.as_ref().filter(|entry| entry.text == text && entry.source == *source)?;
        Some(entry.known.clone())
    })
}

/// Keeps an answer in place of the one before.
pub fn remember(source: &ModelSource, text: String, known: Known) {
    LATEST.set(Some(Entry { source: source.clone(), text, known }));
}
