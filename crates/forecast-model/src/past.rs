//! What came of series: beside what was forecast, and where it is unlike what was expected.
//!
//! It must not know who asks. Invariant: a table for each row of arguments, without rows for a series that the model doesn't have.

use ecommerce_ml_forecast::accuracy::Forecast;
use ecommerce_ml_forecast::anomalies::Anomaly;
use ecommerce_ml_forecast::forecaster::MOST_HORIZON;
use ecommerce_ml_forecast::series::{Gaps, Series};
use ecommerce_ml_protocol::{Column, EngineError, Rows, Values};
use serde_json::json;

use crate::arguments::{LEVEL, number};
use crate::history::{History, history};
use crate::model::ForecastModel;
use crate::outlook::{Periods, ahead, known};
use crate::sums::{agreed, moved};
use crate::{invalid, refused};

/// Periods of a series, unless a question says otherwise.
const COUNT: f64 = 100.0;

/// The answers to [`ecommerce_ml_protocol::Table::ForecastErrors`].
///
/// # Errors
/// As [`history`], and [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for a level that can't be.
pub fn errors(model: &ForecastModel, arguments: &Rows) -> Result<Vec<Rows>, EngineError> {
    // Series end together, so what agrees is the same for all.
    let mut all: Option<Vec<Vec<f64>>> = None;
    let mut of_row = |row: usize| {
        let level = number(arguments, "level", row).unwrap_or(LEVEL);
        let now = required(model, arguments, row)?;
        let periods = periods_of(model, &now);
        if model.reconciled && all.as_ref().is_none_or(|all| all.first().map_or(0, Vec::len) != periods) {
            all = Some(agreed(model, periods)?);
        }
        errors_of(model, &now, (&known(model, arguments, row)?, all.as_deref().unwrap_or_default()), level)
    };
    (0..arguments.count as usize).map(&mut of_row).collect()
}

/// Periods since the training, at least one.
fn periods_of(model: &ForecastModel, now: &History) -> usize {
    usize::try_from(now.end.saturating_sub(model.end)).unwrap_or(0).clamp(1, MOST_HORIZON)
}

fn errors_of(
    model: &ForecastModel,
    now: &History,
    (known, agreed): (&Periods, &[Vec<f64>]),
    level: f64,
) -> Result<Rows, EngineError> {
    let periods = usize::try_from(now.end.saturating_sub(model.end)).unwrap_or(0).min(MOST_HORIZON);
    // What is wrong with a level is told even where there is nothing to answer.
    let place = now.place.unwrap_or(0);
    let shared = ahead(model, place, None, known, periods.max(1));
    let forecasts = model.forecaster.forecast_beside(place, periods.max(1), level, &shared);
    let mut forecasts = forecasts.map_err(invalid)?;
    if let Some(agreed) = agreed.get(place) {
        let moved = |(forecast, value): (Forecast, &f64)| moved(forecast, *value, model.least());
        forecasts = forecasts.into_iter().zip(agreed).map(moved).collect();
    }
    let naive = model.forecaster.naive(place, periods);
    let scale = now.place.and_then(|place| model.forecaster.scale(place));
    let (mut times, mut numbers) = (Vec::new(), vec![Vec::new(); 7]);
    for ((forecast, naive), period) in forecasts.iter().zip(&naive).zip(model.end..) {
        let observed = observed(now.series.as_ref(), period, model.gaps);
        let Some(observed) = observed.filter(|_| now.place.is_some()) else { continue };
        times.push(Some(model.calendar.start(period)));
        let row = [
            Some(observed),
            Some(forecast.value),
            Some(forecast.lower),
            Some(forecast.upper),
            Some(*naive),
            scale.map(|scale| scale.absolute),
            scale.map(|scale| scale.squared),
        ];
        numbers.iter_mut().zip(row).for_each(|(column, number)| column.push(number));
    }
    let names = ["observed", "value", "lower", "upper", "naive", "absolute_scale", "squared_scale"];
    Ok(table(times, names.into_iter().zip(numbers)))
}

/// What came in a period; none if nobody knows.
fn observed(series: Option<&Series>, period: i64, gaps: Gaps) -> Option<f64> {
    let known = series.and_then(|series| {
        let at = usize::try_from(period.checked_sub(series.first)?).ok()?;
        let is_filled = u32::try_from(at).is_ok_and(|at| series.missing.binary_search(&at).is_ok());
        series.values.get(at).copied().filter(|_| !is_filled)
    });
    known.or((gaps == Gaps::Zero).then_some(0.0))
}

/// The answers to [`ecommerce_ml_protocol::Table::SeriesAnomalies`].
///
/// # Errors
/// As [`history`].
pub fn anomalies(model: &ForecastModel, arguments: &Rows) -> Result<Vec<Rows>, EngineError> {
    let of_row = |row: usize| {
        let now = required(model, arguments, row)?;
        let count = number(arguments, "count", row).unwrap_or(COUNT);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let count = count.clamp(0.0, 1e9) as usize;
        let found = match (now.place, &now.series) {
            (Some(place), Some(series)) => model.forecaster.anomalies(place, model.end, series, count),
            _ => Vec::new(),
        };
        Ok(table_of(model, &found))
    };
    (0..arguments.count as usize).map(of_row).collect()
}

fn table_of(model: &ForecastModel, found: &[Anomaly]) -> Rows {
    let times = found.iter().map(|one| Some(model.calendar.start(one.period))).collect();
    let numbers = |of: fn(&Anomaly) -> f64| found.iter().map(|one| Some(of(one))).collect();
    let numbers = [
        ("observed", numbers(|one| one.observed)),
        ("expected", numbers(|one| one.expected)),
        ("lower", numbers(|one| one.lower)),
        ("upper", numbers(|one| one.upper)),
        ("score", numbers(|one| one.score)),
    ];
    let mut table = table(times, numbers.into_iter());
    let reason = |one: &Anomaly| {
        let reasons = one.reasons.iter();
        let reasons = reasons.map(|one| json!({"component": one.component.name(), "share": one.share}));
        json!(reasons.collect::<Vec<_>>()).to_string()
    };
    let values = Values::Text {
        dictionary: found.iter().map(reason).collect(),
        codes: (0..table.count).map(Some).collect(),
    };
    table.columns.push(Column { name: "reason".to_owned(), values });
    table
}

fn required(model: &ForecastModel, arguments: &Rows, row: usize) -> Result<History, EngineError> {
    history(model, arguments, row)?.ok_or_else(|| refused("the history of a series is missing"))
}

fn table<'a>(times: Vec<Option<i64>>, numbers: impl Iterator<Item = (&'a str, Vec<Option<f64>>)>) -> Rows {
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
    let mut columns = vec![Column { name: "time".to_owned(), values: Values::Timestamp(times) }];
    columns.extend(
        numbers.map(|(name, values)| Column { name: name.to_owned(), values: Values::Number(values) }),
    );
    Rows { count, columns }
}
