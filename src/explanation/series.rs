//! The periods of series that are least like what was expected of them.
//!
//! It must not know how they are found. Invariant: no more is kept than is returned, and what one question brings.

use std::rc::Rc;

use ecommerce_ml_protocol::{Field, Table};
use pgrx::JsonB;
use serde_json::Value;

use super::anomalies::{Anomaly, Expectation};
use crate::catalog::resolve::Resolved;
use crate::error::Error;
use crate::inference::{TableRow, tables};
use crate::planning::forecasts::moment;
use crate::planning::history::{History, SeriesColumns, Source, arguments, fields, shown};
use crate::relation::Relation;

/// So many periods of all series with the highest scores, those first; then by keys and time.
///
/// # Errors
/// Those of [`SeriesColumns::of`], of [`Source::for_each`] and of [`tables`].
pub fn find(model: &Rc<Resolved>, relation: &Relation, budget: i32) -> Result<Vec<Anomaly>, Error> {
    let fields = fields(model);
    let columns = SeriesColumns::of(model, relation, (None, None))?;
    let source = Source::new(model, relation, &columns)?;
    let Some(latest) = source.latest()? else { return Ok(Vec::new()) };
    let most = usize::try_from(budget).unwrap_or(0);
    let mut found: Vec<Anomaly> = Vec::new();
    source.for_each(|histories| {
        let numbers = [("count", Some(f64::from(budget)))];
        let answers =
            tables(model, Table::SeriesAnomalies, arguments(&fields, &histories, latest, &numbers))?;
        for (history, answer) in histories.iter().zip(&answers) {
            for row in TableRow::all(answer) {
                found.push(anomaly(&fields, history, row).ok_or(UNEXPECTED)?);
            }
        }
        // Stable: series come by their keys, and each by scores and time.
        found.sort_by(|one, other| other.score.total_cmp(&one.score));
        found.truncate(most);
        Ok(())
    })?;
    Ok(found)
}

const UNEXPECTED: Error = Error::Unexpected("a period without time or score");

fn anomaly(fields: &[Field], history: &History, row: TableRow<'_>) -> Option<Anomaly> {
    let reason: Value = serde_json::from_str(row.text("reason")?).ok()?;
    Some(Anomaly {
        keys: JsonB(shown(fields, &history.keys)),
        time: Some(moment(row.timestamp("time")?)),
        expectation: Some(Expectation {
            observed: row.number("observed")?,
            expected: row.number("expected")?,
            lower: row.number("lower")?,
            upper: row.number("upper")?,
        }),
        score: row.number("score")?,
        reason: JsonB(reason),
    })
}
