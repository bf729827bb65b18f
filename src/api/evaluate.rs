//! Metrics of models and of predictions.

use std::ffi::CStr;

use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{Array, name, pg_extern, pg_sys};

use super::columns::named_columns;
use crate::evaluation;
use crate::relation::Relation;

/// What a model's predictions for rows are worth, given a column of labels. Without a model there is nothing to say; without a relation only of
/// forecasts, which were measured when the model was trained.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn evaluate_model(
    model: Option<&str>,
    relation: Option<pg_sys::Oid>,
    text_column: Option<&CStr>,
    label_column: Option<&CStr>,
    feature_columns: Option<Array<'_, &CStr>>,
    key_columns: Option<Array<'_, &CStr>>,
    time_column: Option<&CStr>,
) -> Result<
    TableIterator<'static, (name!(metric, String), name!(class, Option<String>), name!(value, f64))>,
    ErrorReport,
> {
    let columns = named_columns(text_column, label_column, feature_columns, key_columns, time_column)?;
    let Some(model) = model else { return Ok(TableIterator::empty()) };
    let Some(relation) = relation else { return Ok(TableIterator::new(evaluation::held_out(model)?)) };
    Ok(TableIterator::new(evaluation::measure(model, Relation::open(relation)?, &columns)?))
}

/// How often a model takes which class for which.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn confusion_matrix(
    model: Option<&str>,
    relation: Option<pg_sys::Oid>,
    text_column: Option<&CStr>,
    label_column: Option<&CStr>,
    feature_columns: Option<Array<'_, &CStr>>,
    key_columns: Option<Array<'_, &CStr>>,
    time_column: Option<&CStr>,
) -> Result<
    TableIterator<'static, (name!(actual, String), name!(predicted, String), name!(count, i64))>,
    ErrorReport,
> {
    let columns = named_columns(text_column, label_column, feature_columns, key_columns, time_column)?;
    let Some((model, relation)) = model.zip(relation) else { return Ok(TableIterator::empty()) };
    Ok(TableIterator::new(evaluation::confusion(model, Relation::open(relation)?, &columns)?))
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
