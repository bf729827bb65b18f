//! Whether the rows of a relation, and what a model says of them, are still what they were.
//!
//! # Layout
//! - [`reading`]: rows of a condition.
//! - [`predictions`]: inputs through a model, into a sample.
//!
//! It must not know how samples are compared: that is `ecommerce_ml_drift`'s. Invariant: a relation is read by statements of the
//! calling role, so privileges and row security hold; a bounded number of rows is asked of the model, whatever the relation has.

mod predictions;
mod reading;

pub use predictions::{Predictions, Target};

use std::rc::Rc;

use ecommerce_ml_drift::reference::FORMAT;
use ecommerce_ml_drift::{Measure, Reference, compare};
use ecommerce_ml_protocol::is_blank;

use crate::catalog::resolve::{Resolved, resolve};
use crate::catalog::versions;
use crate::error::Error;
use crate::evaluation::{NamedColumns, inputs_of};
use crate::relation::{Column, Relation};

/// The probability of a false alarm, unless a call names one.
pub const ALPHA: f64 = 0.001;

/// What is asked.
pub struct Question<'a> {
    pub model: &'a str,
    pub relation: &'a Relation,
    /// Text, features and label.
    pub named: &'a NamedColumns,
    /// Which rows to compare with; none: those that the version was measured on when it was trained.
    pub baseline: Option<&'a str>,
    /// Which rows are looked at; none: all.
    pub current: Option<&'a str>,
    /// The probability that any measure is taken for drift where there is none.
    pub alpha: f64,
    /// Rows of either group that are read, at most.
    pub sample_rows: usize,
}

/// What is read of a relation.
struct Columns {
    inputs: Vec<Column>,
    label: Option<Column>,
}

/// Compares rows with others, or with what the version knows of its training.
///
/// # Errors
/// [`Error::ArgumentValue`], [`Error::NoReference`], those of [`resolve`], [`inputs_of`] and the engine; the server's own for
/// conditions, and for a relation that the role may not read.
pub fn measure(question: &Question<'_>) -> Result<Vec<Measure>, Error> {
    let Question { relation, named, baseline, current, alpha, .. } = *question;
    if !(alpha > 0.0 && alpha < 1.0) {
        return Err(Error::ArgumentValue { argument: "alpha", expected: "between 0 and 1, both excluded" });
    }
    require_condition("baseline", baseline)?;
    require_condition("current", current)?;
    let model = resolve(question.model)?;
    let label = named.label.as_ref().map(|name| relation.column_named(name)).transpose()?;
    let columns = Columns { inputs: inputs_of(&model, relation, named)?, label };
    let sample = |condition| reading::sample(&model, relation, &columns, condition, question.sample_rows);
    let reference = match baseline {
        Some(condition) => sample(Some(condition))?.summarise(),
        None => stored(&model)?,
    };
    Ok(compare(&reference, &sample(current)?, alpha))
}

fn require_condition(argument: &'static str, condition: Option<&str>) -> Result<(), Error> {
    match condition {
        Some(condition) if is_blank(condition) => {
            Err(Error::ArgumentValue { argument, expected: "a condition, not a blank string" })
        }
        _ => Ok(()),
    }
}

/// What a version knows of its training.
///
/// # Errors
/// [`Error::NoReference`].
pub fn stored(model: &Rc<Resolved>) -> Result<Reference, Error> {
    let stored = versions::reference(&model.name, model.version)?;
    let known = stored.and_then(|reference| serde_json::from_value::<Reference>(reference).ok());
    let known = known.filter(|reference| reference.format == FORMAT);
    known.ok_or_else(|| Error::NoReference { model: model.name.clone(), version: model.version })
}
