//! What a model reads.
//!
//! Invariant: a model is asked for nothing before it is known to read what it is given.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use ecommerce_ml_protocol::{Field, ModelSource, Reads};

use crate::catalog::resolve::Resolved;
use crate::columns::error::listed;
use crate::error::Error;

thread_local! {
    /// The columns that models read, none of models that read texts. Versions never change.
    static KNOWN: RefCell<HashMap<ModelSource, Option<Rc<[Field]>>>> = RefCell::default();
}

/// The columns that a model reads.
///
/// # Errors
/// [`Error::ReadsText`].
pub fn columns_of(model: &Rc<Resolved>) -> Result<Rc<[Field]>, Error> {
    fields(model).ok_or_else(|| Error::ReadsText { model: model.name.clone() })
}

/// Refuses a model that reads columns.
///
/// # Errors
/// [`Error::ReadsColumns`].
pub fn require_text(model: &Rc<Resolved>) -> Result<(), Error> {
    match fields(model) {
        None => Ok(()),
        Some(fields) => Err(Error::ReadsColumns { model: model.name.clone(), reads: listed(&fields) }),
    }
}

/// The columns that a model reads, unless it reads a text.
fn fields(model: &Rc<Resolved>) -> Option<Rc<[Field]>> {
    let source = &model.reference.source;
    if let Some(known) = KNOWN.with_borrow(|known| known.get(source).cloned()) {
        return known;
    }
    let fields = match &model.signature.reads {
        Reads::Text => None,
        Reads::Columns(fields) => Some(Rc::from(&fields[..])),
    };
    KNOWN.with_borrow_mut(|known| known.insert(source.clone(), fields.clone()));
    fields
}
