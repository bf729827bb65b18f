//! What rises and what falls, of many keys.
//!
//! Invariant: one key's periods are in memory at a time, besides what is returned.

use ecommerce_ml_forecast::calendar::Period;
use ecommerce_ml_forecast::trend::{MOST_PERIODS, Series, median};
use ecommerce_ml_metrics::discovery::benjamini_hochberg_of;
use pgrx::spi::{self, SpiHeapTupleData};

use super::{as_key, bigint, count, require_rate};
use crate::error::Error;
use crate::relation::{Column, Relation};
use crate::rows;

/// Rows of a period to a value of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// A period without rows, from the first of a key to the last of all, is 0.
    Sum,
    /// A period without rows has no value.
    Mean,
}

/// What is asked.
pub struct Question<'a> {
    pub relation: &'a Relation,
    pub key: Option<&'a Column>,
    pub time: &'a Column,
    pub value: &'a Column,
    /// None: as the days suggest.
    pub period: Option<Period>,
    pub aggregate: Aggregate,
    /// None: that of the period, where a series shows it; 1 for none.
    pub season: Option<usize>,
    /// The rate of false discoveries; intervals have the level that is left.
    pub alpha: f64,
}

/// What there is to say of a key.
pub struct Row {
    pub key: Option<String>,
    /// Rows.
    pub observations: i64,
    /// Periods with a value.
    pub periods: i64,
    pub period: &'static str,
    pub season: Option<i32>,
    pub median: f64,
    /// Slope a period, with its interval.
    pub slope: Option<[f64; 3]>,
    pub p_value: Option<f64>,
    pub q_value: Option<f64>,
    pub direction: Option<&'static str>,
}

/// The trends of all keys, the surest first.
///
/// # Errors
/// [`Error::ArgumentValue`], [`Error::ColumnType`], [`Error::ValueNotFinite`], [`Error::TooManyParts`] for a series of more periods
/// than can be compared, [`Error::Overflow`].
pub fn find(question: &Question<'_>) -> Result<Vec<Row>, Error> {
    require_rate("alpha", question.alpha)?;
    question.time.require_time()?;
    question.value.as_number()?;
    let Some((period, whole)) = calendar(question)? else { return Ok(Vec::new()) };
    let mut keys = Keys { question, period, whole, key: None, found: Vec::new() };
    rows::for_each(&series_query(question, period)?, &[], read_point, |point| keys.take(point))?;
    keys.end_key()?;
    let mut found = keys.found;
    let p_values: Vec<Option<f64>> = found.iter().map(|row| row.p_value).collect();
    for (row, q_value) in found.iter_mut().zip(benjamini_hochberg_of(&p_values)) {
        row.q_value = q_value;
        row.direction = q_value.map(|q| direction(q <= question.alpha, row.slope));
    }
    let order = |row: &Row| row.p_value.unwrap_or(2.0);
    found.sort_by(|one, other| order(one).total_cmp(&order(other)).then_with(|| one.key.cmp(&other.key)));
    Ok(found)
}

fn direction(sure: bool, slope: Option<[f64; 3]>) -> &'static str {
    match slope {
        Some([slope, ..]) if sure && slope > 0.0 => "up",
        Some([slope, ..]) if sure && slope < 0.0 => "down",
        _ => "none",
    }
}

/// The rows that have all that it takes.
fn complete(question: &Question<'_>) -> String {
    let (time, value) = (question.time.as_it_is(), question.value.as_it_is());
    format!(
        "FROM {} AS t WHERE pg_catalog.isfinite({time}) AND {value} IS NOT NULL",
        question.relation.from()
    )
}

/// The kind of periods, and the first and the last of them.
type Calendar = (Period, (i64, i64));

/// The kind of periods, and the first and the last whole one; `None` of no rows.
fn calendar(question: &Question<'_>) -> Result<Option<Calendar>, Error> {
    let mut days = Vec::new();
    let day = match question.period {
        Some(Period::Hour) => start(question.time, Period::Hour),
        _ => start(question.time, Period::Day),
    };
    let query = format!("SELECT {day} {} GROUP BY 1 ORDER BY 1", complete(question));
    let read = |row: &SpiHeapTupleData<'_>| row.get::<i64>(1);
    rows::for_each(&query, &[], read, |day| {
        days.extend(day);
        Ok(())
    })?;
    let period = question.period.unwrap_or_else(|| Period::detect(&days));
    Ok(period.whole(&days).map(|whole| (period, whole)))
}

/// The number of the hour, or of the day when a period begins, in the session's time zone.
fn start(time: &Column, period: Period) -> String {
    let time = time.as_it_is();
    match period {
        // Instants, so that an hour that comes twice when clocks go back is two.
        Period::Hour => format!(
            "pg_catalog.floor(pg_catalog.date_part('epoch', {time}::pg_catalog.timestamptz) OPERATOR(pg_catalog./) 3600)::pg_catalog.int8"
        ),
        Period::Day => {
            format!(
                "({time}::pg_catalog.date OPERATOR(pg_catalog.-) '1970-01-01'::pg_catalog.date)::pg_catalog.int8"
            )
        }
        _ => format!(
            "(pg_catalog.date_trunc('{}', {time}::pg_catalog.date::pg_catalog.timestamp)::pg_catalog.date \
             OPERATOR(pg_catalog.-) '1970-01-01'::pg_catalog.date)::pg_catalog.int8",
            period.name()
        ),
    }
}

/// Key, day or hour, value and rows of each period, in order.
fn series_query(question: &Question<'_>, period: Period) -> Result<String, Error> {
    let key = question.key.map_or_else(|| "NULL::pg_catalog.text".to_owned(), as_key);
    let value = question.value.as_number()?;
    let aggregate = match question.aggregate {
        Aggregate::Sum => "sum",
        Aggregate::Mean => "avg",
    };
    let start = start(question.time, period);
    Ok(format!(
        "SELECT ({key}), {start}, pg_catalog.{aggregate}({value}), pg_catalog.count(*) {} GROUP BY 1, 2 ORDER BY 1, 2",
        complete(question)
    ))
}

type Point = (Option<String>, i64, f64, u64);

fn read_point(row: &SpiHeapTupleData<'_>) -> spi::Result<Point> {
    let start = row.get(2)?.unwrap_or_default();
    Ok((row.get(1)?, start, row.get(3)?.unwrap_or_default(), count(row.get(4)?)))
}

/// A key that is being read, and those that were.
struct Keys<'a> {
    question: &'a Question<'a>,
    period: Period,
    whole: (i64, i64),
    key: Option<Key>,
    found: Vec<Row>,
}

struct Key {
    name: Option<String>,
    observations: u64,
    times: Vec<i64>,
    values: Vec<f64>,
}

impl Keys<'_> {
    fn take(&mut self, (name, start, value, observations): Point) -> Result<(), Error> {
        let time = self.period.index(start);
        if time < self.whole.0 || time > self.whole.1 {
            return Ok(());
        }
        if !value.is_finite() {
            return Err(Error::ValueNotFinite(self.question.value.name().to_owned()));
        }
        if self.key.as_ref().is_none_or(|key| key.name != name) {
            self.end_key()?;
            self.key = Some(Key { name, observations: 0, times: Vec::new(), values: Vec::new() });
        }
        if self.question.aggregate == Aggregate::Sum {
            self.fill_to(time)?;
        }
        let Some(key) = &mut self.key else { return Ok(()) };
        require_room(key.times.len())?;
        key.observations = key.observations.saturating_add(observations);
        key.times.push(time);
        key.values.push(value);
        Ok(())
    }

    /// Adds the periods without rows before this one.
    fn fill_to(&mut self, time: i64) -> Result<(), Error> {
        let Some(key) = &mut self.key else { return Ok(()) };
        let Some(last) = key.times.last().copied() else { return Ok(()) };
        for missing in last.saturating_add(1)..time {
            require_room(key.times.len())?;
            key.times.push(missing);
            key.values.push(0.0);
        }
        Ok(())
    }

    fn end_key(&mut self) -> Result<(), Error> {
        pgrx::check_for_interrupts!();
        if self.question.aggregate == Aggregate::Sum {
            self.fill_to(self.whole.1.saturating_add(1))?;
        }
        let Some(key) = self.key.take() else { return Ok(()) };
        let series = Series::new(&key.times, &key.values)?;
        let wanted = self.question.season.unwrap_or_else(|| self.period.season());
        let season = match self.question.season {
            None => series.season(wanted)?,
            Some(season) if key.times.len() < season.saturating_mul(2) => 1,
            Some(season) => season,
        };
        let trend = series.trend(season, 1.0 - self.question.alpha)?;
        self.found.push(Row {
            key: key.name,
            observations: bigint(key.observations),
            periods: i64::try_from(key.values.len()).unwrap_or(i64::MAX),
            period: self.period.name(),
            season: trend.filter(|trend| trend.season > 1).and_then(|trend| i32::try_from(trend.season).ok()),
            median: median(&mut key.values.clone()),
            slope: trend.map(|trend| [trend.slope, trend.lower, trend.upper]),
            p_value: trend.map(|trend| trend.p_value),
            q_value: None,
            direction: None,
        });
        Ok(())
    }
}

fn require_room(periods: usize) -> Result<(), Error> {
    if periods < MOST_PERIODS {
        return Ok(());
    }
    let hint = "Choose a longer period, as in period => 'month', or fewer rows, in a view.";
    Err(Error::TooManyParts { what: "the rows of a key", most: MOST_PERIODS, parts: "periods", hint })
}
