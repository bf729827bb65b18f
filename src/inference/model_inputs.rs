//! What a model reads.
//!
//! Invariant: a model is asked for nothing before it is known to read what it is given.

use std::rc::Rc;

use ecommerce_ml_protocol::{Field, Reads, Task};

use crate::catalog::resolve::Resolved;
use crate::columns::error::listed;
use crate::error::Error;

/// The columns that a model reads.
///
/// # Errors
/// [`Error::ReadsText`], [`Error::AnswersTable`].
pub fn columns_of(model: &Resolved) -> Result<Rc<[Field]>, Error> {
    require_input(model)?;
    let refused = || Error::ReadsText { model: model.name.clone(), call: call(model) };
    model.columns.clone().ok_or_else(refused)
}

/// Refuses a model that reads columns.
///
/// # Errors
/// [`Error::ReadsColumns`], [`Error::AnswersTable`].
pub fn require_text(model: &Resolved) -> Result<(), Error> {
    require_input(model)?;
    match &model.columns {
        None => Ok(()),
        Some(fields) => {
            Err(Error::ReadsColumns { model: model.name.clone(), reads: listed(fields), call: call(model) })
        }
    }
}

/// Refuses a model that is only asked for tables.
///
/// # Errors
/// [`Error::AnswersTable`].
pub fn require_input(model: &Resolved) -> Result<(), Error> {
    match model.signature.reads {
        Reads::Keys(_) => Err(Error::AnswersTable { model: model.name.clone(), call: call(model) }),
        Reads::Text | Reads::Columns(_) => Ok(()),
    }
}

/// The function that a model is for.
pub(super) fn call(model: &Resolved) -> &'static str {
    match model.signature.task() {
        Task::Classification => "predict_class",
        Task::Regression | Task::Anomaly => "predict_value",
        Task::Embedding => "embed",
        Task::Forecast => "forecast",
        Task::Recommendation => "recommend",
        Task::Lifetime => "predict_lifetime",
        Task::Elasticity => "price_response",
    }
}
