//! Whether rows, and what a model says of them, are still what they were.

use std::ffi::CStr;

use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{Array, name, pg_extern, pg_sys};

use super::arguments::size;
use super::columns::named_columns;
use crate::drift::{self, ALPHA, Question};
use crate::relation::Relation;

/// Rows of either group that are read, unless a call says so.
const SAMPLE_ROWS: i32 = 10_000;

/// Compares rows with those of another condition, or with those that the model was measured on. Without a model or a relation there
/// is nothing to say.
#[pg_extern]
#[allow(clippy::type_complexity, clippy::too_many_arguments)]
fn measure_drift(
    model: Option<&str>,
    relation: Option<pg_sys::Oid>,
    text_column: Option<&CStr>,
    feature_columns: Option<Array<'_, &CStr>>,
    baseline: Option<&str>,
    current: Option<&str>,
    label_column: Option<&CStr>,
    alpha: Option<f64>,
    sample_rows: Option<i32>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(measure, String),
            name!(value, Option<f64>),
            name!(threshold, Option<f64>),
            name!(drifted, Option<bool>),
            name!(feature, Option<String>),
            name!(baseline_value, Option<f64>),
            name!(current_value, Option<f64>),
            name!(lower, Option<f64>),
            name!(upper, Option<f64>),
            name!(p_value, Option<f64>),
            name!(baseline_rows, i64),
            name!(current_rows, i64),
        ),
    >,
    ErrorReport,
> {
    let named = named_columns(text_column, label_column, feature_columns, None, None)?;
    let Some((model, relation)) = model.zip(relation) else { return Ok(TableIterator::empty()) };
    let found = drift::measure(&Question {
        model,
        relation: &Relation::open(relation)?,
        named: &named,
        baseline,
        current,
        alpha: alpha.unwrap_or(ALPHA),
        sample_rows: size("sample_rows", sample_rows.unwrap_or(SAMPLE_ROWS))?,
    })?;
    let count = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
    Ok(TableIterator::new(found.into_iter().map(move |one| {
        let [lower, upper] = one.interval.map_or([None; 2], |bounds| bounds.map(Some));
        (
            one.name.to_owned(),
            one.value,
            one.threshold,
            one.drifted,
            one.feature,
            one.baseline,
            one.current,
            lower,
            upper,
            one.p_value,
            count(one.rows[0]),
            count(one.rows[1]),
        )
    })))
}
