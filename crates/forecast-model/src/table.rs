//! The forecasts of some series, as columns.
//!
//! It must not know who asks. Invariant: rows are ordered by keys and time.

use ecommerce_ml_forecast::accuracy::Forecast;
use ecommerce_ml_forecast::history::Now;
use ecommerce_ml_protocol::{Column, EngineError, Rows, Values};

use crate::arguments::{LEVEL, number, text};
use crate::history::History;
use crate::invalid;
use crate::model::ForecastModel;
use crate::outlook::{Periods, ahead};
use crate::refused;
use crate::sums::{agreed, moved};

/// Most rows of an answer.
const MOST_ROWS: usize = 1_000_000;

/// What an answer calls its columns, and a question its arguments: no key may have such a name.
pub const RESERVED: [&str; 13] = [
    "horizon", "level", "after", "count", "time", "value", "lower", "upper", "method", "keys", "history",
    "latest", "known",
];

/// A question, as [`ecommerce_ml_protocol::Table::Forecast`] has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    horizon: usize,
    level: f64,
    after: usize,
    count: usize,
    /// `[column]`, that of the model; none for any.
    keys: Vec<Option<String>>,
}

impl Question {
    /// The questions to a model, one a row of arguments.
    ///
    /// # Errors
    /// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for an argument that can't be.
    pub fn all(model: &ForecastModel, arguments: &Rows) -> Result<Vec<Self>, EngineError> {
        (0..arguments.count as usize).map(|row| Self::of(model, arguments, row)).collect()
    }

    fn of(model: &ForecastModel, arguments: &Rows, row: usize) -> Result<Self, EngineError> {
        let whole = |name: &str, default: usize| match number(arguments, name, row) {
            None => Ok(default),
            // More than any series.
            Some(value) if value.fract() == 0.0 && (0.0..=1e15).contains(&value) =>
            {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                Ok(value as usize)
            }
            Some(value) => {
                Err(refused(format!("\"{name}\" must be a whole number of at least 0, not {value}")))
            }
        };
        let key = |column: &ecommerce_ml_protocol::Field| text(arguments, &column.name, row);
        Ok(Self {
            horizon: whole("horizon", model.horizon)?,
            level: number(arguments, "level", row).unwrap_or(LEVEL),
            after: whole("after", 0)?,
            count: whole("count", usize::MAX)?,
            keys: model.columns.iter().map(key).collect(),
        })
    }

    fn wants(&self, keys: &[String]) -> bool {
        let has =
            |(at, wanted): (usize, &Option<String>)| wanted.is_none() || wanted.as_ref() == keys.get(at);
        self.keys.iter().enumerate().all(has)
    }
}

/// The answer to a question.
///
/// # Errors
/// [`ecommerce_ml_protocol::ErrorKind::InvalidRequest`] for a horizon or a level that can't be, and for an answer of more than a million
/// rows.
pub fn forecasts(model: &ForecastModel, question: &Question, known: &Periods) -> Result<Rows, EngineError> {
    let wanted = model.keys.iter().enumerate().filter(|(_, keys)| question.wants(keys));
    let places: Vec<usize> =
        wanted.map(|(place, _)| place).skip(question.after).take(question.count).collect();
    // What is wrong with a question is told even where there is nothing to answer.
    model.forecaster.forecast(0, question.horizon, question.level).map_err(invalid)?;
    if places.len().saturating_mul(question.horizon) > MOST_ROWS {
        return Err(refused(format!("a forecast of more than {MOST_ROWS} rows at once"))
            .with_hint("Ask for fewer series at a time."));
    }
    let agreed = if model.reconciled { agreed(model, question.horizon)? } else { Vec::new() };
    let mut table = TableBuilder::new(model);
    for place in places {
        let shared = ahead(model, place, None, known, question.horizon);
        let forecasts = model.forecaster.forecast_beside(place, question.horizon, question.level, &shared);
        let mut forecasts = forecasts.map_err(invalid)?;
        if let Some(agreed) = agreed.get(place) {
            let moved = |(forecast, value): (Forecast, &f64)| moved(forecast, *value, model.least());
            forecasts = forecasts.into_iter().zip(agreed).map(moved).collect();
        }
        table.add(place, model.end, &forecasts);
    }
    Ok(table.finish())
}

/// The answer to a question of one series, from the end of what it is now; no row for a series that the model doesn't have.
///
/// # Errors
/// As [`forecasts`].
pub fn forecasts_from(
    model: &ForecastModel,
    question: &Question,
    history: &History,
    known: &Periods,
) -> Result<Rows, EngineError> {
    model.forecaster.forecast(0, question.horizon, question.level).map_err(invalid)?;
    let mut table = TableBuilder::new(model);
    if let (Some(place), Some(series)) = (history.place, &history.series) {
        let now = Now { series, gaps: model.gaps, end: history.end };
        if let Some(continued) = model.forecaster.continued(place, model.end, now) {
            let shared = ahead(model, place, Some(history), known, question.horizon);
            let forecasts = continued.forecast_beside(0, question.horizon, question.level, &shared);
            let forecasts = forecasts.map_err(invalid)?;
            table.add(place, history.end.max(model.end), &forecasts);
        }
    }
    Ok(table.finish())
}

struct TableBuilder<'a> {
    model: &'a ForecastModel,
    /// Those of the answer, and how many rows each has.
    series: Vec<(usize, usize)>,
    times: Vec<Option<i64>>,
    numbers: [Vec<Option<f64>>; 3],
}

impl<'a> TableBuilder<'a> {
    fn new(model: &'a ForecastModel) -> Self {
        Self { model, series: Vec::new(), times: Vec::new(), numbers: Default::default() }
    }

    fn add(&mut self, place: usize, end: i64, forecasts: &[Forecast]) {
        self.series.push((place, forecasts.len()));
        for (step, forecast) in (0..).zip(forecasts) {
            self.times.push(Some(self.model.calendar.start(end.saturating_add(step))));
            let numbers = [forecast.value, forecast.lower, forecast.upper];
            self.numbers.iter_mut().zip(numbers).for_each(|(column, number)| column.push(Some(number)));
        }
    }

    fn finish(self) -> Rows {
        let key =
            |at: usize| move |place: usize| self.model.keys.get(place).and_then(|keys| keys.get(at)).cloned();
        let mut columns: Vec<Column> = Vec::new();
        for (at, field) in self.model.columns.iter().enumerate() {
            columns.push(Column { name: field.name.clone(), values: repeated(&self.series, key(at)) });
        }
        let method = repeated(&self.series, |place| self.model.forecaster.method(place));
        let [value, lower, upper] = self.numbers;
        let count = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        let more = [
            ("time", Values::Timestamp(self.times)),
            ("value", Values::Number(value)),
            ("lower", Values::Number(lower)),
            ("upper", Values::Number(upper)),
            ("method", method),
        ];
        columns.extend(more.map(|(name, values)| Column { name: name.to_owned(), values }));
        Rows { count, columns }
    }
}

/// A text of each series, for each of its rows; none of a sum over all.
fn repeated(series: &[(usize, usize)], text: impl Fn(usize) -> Option<String>) -> Values {
    let (mut dictionary, mut codes) = (Vec::new(), Vec::new());
    for (place, rows) in series {
        let Some(text) = text(*place) else {
            codes.extend(std::iter::repeat_n(None, *rows));
            continue;
        };
        if dictionary.last() != Some(&text) {
            dictionary.push(text);
        }
        let code = u32::try_from(dictionary.len() - 1).ok();
        codes.extend(std::iter::repeat_n(code, *rows));
    }
    Values::Text { dictionary, codes }
}
