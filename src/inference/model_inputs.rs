//! What a model reads.
//!
//! Invariant: a model is asked for nothing before it is known to read what it is given.

use std::rc::Rc;

use ecommerce_ml_protocol::{Field, Output, Reads, Table, Task};

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

/// What a model reads of a row that is asked for this: its columns, or the arguments of a table.
///
/// # Errors
/// Those of [`columns_of`] and [`require_table`].
pub fn arguments_of(model: &Resolved, output: Output) -> Result<Rc<[Field]>, Error> {
    let Output::Table(table) = output else { return columns_of(model) };
    require_table(model, table)?;
    let field = |&(name, value_type): &(&str, _)| Field { name: name.to_owned(), value_type };
    Ok(table.arguments().iter().map(field).collect())
}

/// Refuses a model that doesn't answer a table.
///
/// # Errors
/// [`Error::NoSuchTable`].
pub fn require_table(model: &Resolved, table: Table) -> Result<(), Error> {
    if model.signature.answers_table(table) {
        return Ok(());
    }
    Err(Error::NoSuchTable { model: model.name.clone(), table: table.as_str(), call: call(model) })
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
fn call(model: &Resolved) -> &'static str {
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
