//! What trees say of a series from where its forecasts begin, with what is known ahead of it.
//!
//! It must not know how much that counts. Invariant: there is nothing of a series that trees don't forecast.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use ecommerce_ml_protocol::{EngineError, Rows, ValueType};

use crate::arguments::text;
use crate::global::known::{Known, Values};
use crate::global::layout::{ColumnScheme, Layout};
use crate::history::History;
use crate::model::ForecastModel;
use crate::refused;

/// What is known of columns in some periods.
pub type Periods = BTreeMap<i64, Values>;

/// The next values of a series, `[horizon]`, from the end of the training or from that of what is known now.
pub fn ahead(
    model: &ForecastModel,
    place: usize,
    now: Option<&History>,
    known: &Periods,
    horizon: usize,
) -> Vec<f64> {
    let Some(global) = model.global.as_ref().filter(|_| model.forecaster.weight(place) > 0.0) else {
        return Vec::new();
    };
    let Some(tail) = global.tails.get(place) else { return Vec::new() };
    let mut tail = Cow::Borrowed(tail);
    let mut end = model.end;
    if let Some(now) = now {
        end = end.max(now.end);
        if let Some(series) = &now.series {
            tail = Cow::Owned(tail.continued(series, model.gaps, now.end));
        }
    }
    if !known.is_empty() {
        tail = Cow::Owned(tail.with(known));
    }
    let behind = usize::try_from(end.saturating_sub(tail.end())).unwrap_or(0);
    let (past, at) = tail.past();
    let mut values = global.trees.forecasts(past, &[at], behind.saturating_add(horizon)).concat();
    values.drain(..behind.min(values.len()));
    values
}

/// What is known of columns, from argument `known` as [`ecommerce_ml_protocol::Table::Forecast`] has it.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for what is no such thing.
pub fn known(model: &ForecastModel, arguments: &Rows, row: usize) -> Result<Periods, EngineError> {
    let Some(json) = text(arguments, "known", row) else { return Ok(Periods::new()) };
    let Some(layout) = model.global.as_ref().map(|global| &global.trees.layout) else {
        return Ok(Periods::new());
    };
    let wrong = || refused("\"known\" must be moments, each with a value for each column");
    let rows: Vec<Vec<serde_json::Value>> = serde_json::from_str(&json).map_err(|_| wrong())?;
    let mut periods = Periods::new();
    for row in rows {
        let (moment, cells) = row.split_first().ok_or_else(wrong)?;
        let moment = moment.as_i64().ok_or_else(wrong)?;
        let values = values(layout, cells).ok_or_else(wrong)?;
        let known = periods.entry(model.calendar.index(moment)).or_insert_with(|| values.clone());
        // What comes later in the text replaces what was, except by nothing.
        known
            .iter_mut()
            .zip(values)
            .filter(|(_, value)| !value.is_nan())
            .for_each(|(known, value)| *known = value);
    }
    Ok(periods)
}

/// What is known of the columns of other series in some periods, as this model has them.
pub fn recoded(
    model: &ForecastModel,
    (schemes, known): (&[ColumnScheme], &Known),
    periods: Range<i64>,
) -> Periods {
    let Some(layout) = model.global.as_ref().map(|global| &global.trees.layout) else {
        return Periods::new();
    };
    let column = |own: &ColumnScheme| {
        let place = schemes.iter().position(|other| other.field == own.field);
        place.and_then(|place| Some((place, schemes.get(place)?)))
    };
    let columns: Vec<Option<(usize, &ColumnScheme)>> = layout.columns.iter().map(column).collect();
    let value = |own: &ColumnScheme, column: &Option<(usize, &ColumnScheme)>, period: i64| {
        let Some((place, other)) = column else { return f32::NAN };
        let value = known.value(*place, period);
        if own.field.value_type == ValueType::Text { own.recode(other, value) } else { value }
    };
    let of_period = |period: i64| {
        let values = layout.columns.iter().zip(&columns).map(|(own, column)| value(own, column, period));
        (period, values.collect())
    };
    periods.map(of_period).collect()
}

fn values(layout: &Layout, cells: &[serde_json::Value]) -> Option<Values> {
    (cells.len() == layout.columns.len()).then_some(())?;
    layout.columns.iter().zip(cells).map(|(scheme, cell)| value(scheme, cell)).collect()
}

/// A value as trees have it; NaN of NULL and of a text that the training had not or seldom.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn value(scheme: &ColumnScheme, cell: &serde_json::Value) -> Option<f32> {
    if cell.is_null() {
        return Some(f32::NAN);
    }
    match scheme.field.value_type {
        ValueType::Text => {
            let place =
                scheme.categories.binary_search_by(|one| one.as_str().cmp(cell.as_str().unwrap_or_default()));
            cell.as_str().map(|_| place.map_or(f32::NAN, |place| place as f32))
        }
        _ => cell.as_f64().map(|number| number as f32).filter(|number| number.is_finite()),
    }
}
