//! What made predictions: of a text, of a row, of many texts.
//!
//! # Layout
//! - [`input`]: one text or row.
//! - [`model`]: what a model as a whole goes by, and how far off it may be.
//! - [`anomalies`]: the rows of a relation that are unlike the others; [`series`]: the periods of its series.
//! - [`key_phrases`]: the phrases that drive what a model says of the texts of a relation.
//!
//! It must not know how contributions are computed. Invariant: a relation is read by a statement of the calling role, so privileges
//! and row security hold.

pub mod anomalies;
pub mod input;
pub mod key_phrases;
pub mod model;
pub mod series;

use ecommerce_ml_protocol::LabelScheme;

use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::inference::{require_input, require_text};

/// What is explained of a model that says several things: the class of this label, by its place.
///
/// # Errors
/// [`Error::NoMeaning`] if it predicts nothing, or no classes; [`Error::NoSuchLabel`].
fn class_of(model: &Resolved, label: Option<&str>) -> Result<Option<u32>, Error> {
    let labels = &model.signature.labels;
    let qualified = || format!("{}@{}", model.name, model.version);
    require_input(model)?;
    if model.signature.task() == ecommerce_ml_protocol::Task::Embedding {
        let wanted = "prediction to explain: it only embeds";
        return Err(Error::NoMeaning { model: qualified(), wanted, labels: Vec::new() });
    }
    let Some(label) = label else { return Ok(None) };
    if labels.is_empty() {
        let wanted = "classes: leave the label out, and its value is explained";
        return Err(Error::NoMeaning { model: qualified(), wanted, labels: Vec::new() });
    }
    let found = labels.iter().position(|own| own == label).and_then(|class| u32::try_from(class).ok());
    let unknown = || Error::NoSuchLabel {
        model: model.name.clone(),
        label: label.chars().take(MAX_SHOWN_CHARS).collect(),
        labels: labels.clone(),
    };
    found.map(Some).ok_or_else(unknown)
}

/// What the labels of a model that reads texts mean, which have to mean sentiment.
///
/// # Errors
/// [`Error::ReadsColumns`], [`Error::NoMeaning`].
pub fn sentiment_scheme(model: &Resolved) -> Result<LabelScheme, Error> {
    require_text(model)?;
    class_of(model, None)?;
    let scheme = LabelScheme::of(&model.signature.labels);
    if scheme.has_sentiment() {
        return Ok(scheme);
    }
    let (model, labels) = (format!("{}@{}", model.name, model.version), model.signature.labels.clone());
    Err(Error::NoMeaning { model, wanted: "labels that mean sentiment", labels })
}

/// Characters of a label that an error shows.
const MAX_SHOWN_CHARS: usize = 100;
