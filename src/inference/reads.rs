//! What a model reads.
//!
//! Invariant: a model is asked for nothing before it is known to read what it is given.

use std::rc::Rc;

use ecommerce_ml_protocol::Field;

use crate::catalog::resolve::Resolved;
use crate::columns::error::listed;
use crate::error::Error;

/// The columns that a model reads.
///
/// # Errors
/// [`Error::ReadsText`].
pub fn columns_of(model: &Resolved) -> Result<Rc<[Field]>, Error> {
    model.columns.clone().ok_or_else(|| Error::ReadsText { model: model.name.clone() })
}

/// Refuses a model that reads columns.
///
/// # Errors
/// [`Error::ReadsColumns`].
pub fn require_text(model: &Resolved) -> Result<(), Error> {
    match &model.columns {
        None => Ok(()),
        Some(fields) => Err(Error::ReadsColumns { model: model.name.clone(), reads: listed(fields) }),
    }
}
