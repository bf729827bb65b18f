//! Metrics of models and of predictions.

use std::ffi::CStr;

use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{name, pg_extern, pg_sys};

use crate::evaluation;
use crate::relation::Relation;

/// What a model's predictions for a column of texts are worth, given a column of labels.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn evaluate_model(
    model: &str,
    relation: pg_sys::Oid,
    text_column: &CStr,
    label_column: &CStr,
) -> Result<
    TableIterator<'static, (name!(metric, String), name!(class, Option<String>), name!(value, f64))>,
    ErrorReport,
> {
    let relation = Relation::open(relation)?;
    Ok(TableIterator::new(evaluation::measure(model, relation, text_column, label_column)?))
}

/// How often a model takes which class for which.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn confusion_matrix(
    model: &str,
    relation: pg_sys::Oid,
    text_column: &CStr,
    label_column: &CStr,
) -> Result<
    TableIterator<'static, (name!(actual, String), name!(predicted, String), name!(count, i64))>,
    ErrorReport,
> {
    let relation = Relation::open(relation)?;
    Ok(TableIterator::new(evaluation::confusion(model, relation, text_column, label_column)?))
}

/// What predictions that a table holds are worth.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn evaluate_predictions(
    relation: pg_sys::Oid,
    predicted: &CStr,
    actual: &CStr,
) -> Result<
    TableIterator<'static, (name!(metric, String), name!(class, Option<String>), name!(value, f64))>,
    ErrorReport,
> {
    let relation = Relation::open(relation)?;
    Ok(TableIterator::new(evaluation::compare(&relation, predicted, actual)?))
}
