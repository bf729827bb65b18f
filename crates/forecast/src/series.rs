//! Regular series from rows of a key, a time and a quantity.
//!
//! Times are instants in microseconds since 1970 in UTC, each with the offset of the caller's time zone at that instant. Days, and what
//! is longer, are those of the local calendar, so a day of 23 or 25 hours is one day; hours are those of UTC, so none is missing and
//! none is twice as long when clocks change. It must not know what a key is or which time zone that is. Invariant: the same rows give
//! the same bits in whatever order they come.

use serde::{Deserialize, Serialize};

use crate::calendar::Period;
use crate::{Invalid, finite, require};

/// Most periods from the first row of a series to its end.
pub const MOST_PERIODS: i64 = 100_000;
/// Most periods of all series together: they take 8 bytes each.
pub const MOST_VALUES: usize = 250_000_000;

/// No period of a moment that fits into 64 bits has a larger number.
const MOST_INDEX: i64 = 1 << 32;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// What happened once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// The series that it belongs to, as the caller numbers them.
    pub key: u32,
    /// Microseconds since 1970-01-01 in UTC.
    pub time: i64,
    /// Seconds by which local time is ahead of UTC then.
    pub offset: i32,
    /// How much.
    pub quantity: f64,
}

impl Row {
    fn local(&self) -> i64 {
        self.time.saturating_add(i64::from(self.offset) * SECOND)
    }

    fn day(&self) -> i64 {
        self.local().div_euclid(DAY)
    }
}

/// What a period without rows is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gaps {
    /// Nothing happened: 0, also after a series' last row.
    Zero,
    /// It isn't known what happened. A series ends with its last row.
    Missing,
}

/// How rows become series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The length of a period; found from the times if none is given.
    pub period: Option<Period>,
    /// What a period without rows is.
    pub gaps: Gaps,
    /// Whether to leave out a first and a last period of which only a part is there ([`Period::whole`]).
    pub whole_periods: bool,
}

/// One series: a value for each period from `first` on.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// As its rows have it.
    pub key: u32,
    /// The number of its first period.
    pub first: i64,
    /// `[time]`; what is missing is interpolated.
    pub values: Vec<f64>,
    /// Places in `values` that are interpolated, ascending.
    pub missing: Vec<u32>,
}

/// Numbered periods, and when they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// The length of a period.
    pub period: Period,
    /// Seconds by which hours begin earlier than those of UTC.
    past_hour: i64,
}

/// Series with one calendar.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Of their periods.
    pub calendar: Calendar,
    /// One a key that has rows in whole periods, by their keys.
    pub series: Vec<Series>,
    /// The number of the first period that no row tells of: forecasts begin here.
    pub end: i64,
    /// Rows left out with the periods of which only a part is there.
    pub left_out: usize,
    /// Whether no period has rows of two days, so that none can be there in part.
    pub one_day_each: bool,
}

impl Panel {
    /// The series of rows in any order; rows of one key in one period are summed.
    ///
    /// # Errors
    /// [`Invalid::Argument`] without rows, for a quantity that is no finite number, and for a time that makes a series too long;
    /// [`Invalid::OutOfRange`] for a sum larger than any number.
    pub fn new(rows: &[Row], options: Options) -> Result<Self, Invalid> {
        require("rows", !rows.is_empty(), "at least one")?;
        require("quantity", rows.iter().all(|row| row.quantity.is_finite()), "finite numbers")?;
        let mut days: Vec<i64> = rows.iter().map(Row::day).collect();
        days.sort_unstable();
        days.dedup();
        let period = options.period.unwrap_or_else(|| detect(rows, &days));
        let past_hour = rows.iter().map(|row| i64::from(row.offset).rem_euclid(3600)).min().unwrap_or(0);
        let index = |row: &Row| match period {
            Period::Hour => (row.time.saturating_add(past_hour * SECOND)).div_euclid(HOUR),
            _ => period.index(row.day()),
        };
        let (from, to) = match period {
            Period::Hour => (i64::MIN, i64::MAX),
            _ if options.whole_periods => period.whole(&days).unwrap_or((i64::MIN, i64::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        let mut placed: Vec<(u32, i64, f64)> = rows
            .iter()
            .map(|row| (row.key, index(row), row.quantity))
            .filter(|(_, at, _)| (from..=to).contains(at))
            .collect();
        require("rows", !placed.is_empty(), "in at least one period that is whole")?;
        let left_out = rows.len() - placed.len();
        // Also by quantity, since a sum depends on its order.
        placed.sort_unstable_by(|one, other| {
            (one.0, one.1).cmp(&(other.0, other.1)).then(one.2.total_cmp(&other.2))
        });
        let end = placed.iter().map(|(_, at, _)| at + 1).max().unwrap_or_default();
        let series = regular(&placed, options.gaps, end)?;
        let one_day_each = days.windows(2).all(|pair| period.index(pair[0]) != period.index(pair[1]));
        Ok(Self { calendar: Calendar { period, past_hour }, series, end, left_out, one_day_each })
    }
}

impl Calendar {
    /// The number of the period of a moment, which is given as [`start`](Self::start) gives it.
    pub fn index(&self, time: i64) -> i64 {
        match self.period {
            Period::Hour => time.saturating_add(self.past_hour * SECOND).div_euclid(HOUR),
            _ => self.period.index(time.div_euclid(DAY)),
        }
    }

    /// The number of the first period that isn't there, where this moment is the last that something is known of. With `whole` a last
    /// period of which more than a quarter is to come isn't there.
    pub fn end(&self, latest: i64, whole: bool) -> i64 {
        let (last, day) = (self.index(latest), latest.div_euclid(DAY));
        let (from, to) = (self.period.first_day(last), self.period.first_day(last + 1));
        let is_part = whole && self.period != Period::Hour && (to - 1 - day) * 4 > to - from;
        if is_part { last } else { last + 1 }
    }

    /// The series of moments and quantities in any order, up to the period `end` (excluded); none of none.
    ///
    /// # Errors
    /// As [`Panel::new`].
    pub fn series(&self, rows: &[(i64, f64)], gaps: Gaps, end: i64) -> Result<Option<Series>, Invalid> {
        require("quantity", rows.iter().all(|(_, quantity)| quantity.is_finite()), "finite numbers")?;
        let placed = rows.iter().map(|(time, quantity)| (0, self.index(*time), *quantity));
        let mut placed: Vec<(u32, i64, f64)> = placed.filter(|(_, at, _)| *at < end).collect();
        placed.sort_unstable_by(|one, other| one.1.cmp(&other.1).then(one.2.total_cmp(&other.2)));
        Ok(regular(&placed, gaps, end)?.pop())
    }

    /// When a period begins, in microseconds since 1970: in UTC for hours, in local time for what is longer.
    pub fn start(&self, index: i64) -> i64 {
        match self.period {
            Period::Hour => index.saturating_mul(HOUR).saturating_sub(self.past_hour * SECOND),
            // Days of times that there are can be multiplied; those of a damaged file need not.
            _ => self.period.first_day(index.clamp(-MOST_INDEX, MOST_INDEX)).saturating_mul(DAY),
        }
    }
}

/// Hours if all times are full hours of more than one time of day; else the longest period of which no two days share one.
fn detect(rows: &[Row], days: &[i64]) -> Period {
    let hours = rows.iter().all(|row| row.local().rem_euclid(HOUR) == 0);
    let mut times_of_day: Vec<i64> = rows.iter().map(|row| row.local().rem_euclid(DAY)).collect();
    times_of_day.sort_unstable();
    times_of_day.dedup();
    if hours && times_of_day.len() > 2 {
        return Period::Hour;
    }
    let longer = [Period::Year, Period::Quarter, Period::Month, Period::Week];
    let alone = |period: &Period| days.windows(2).all(|pair| period.index(pair[0]) != period.index(pair[1]));
    match days.len() {
        1 => Period::Day,
        _ => longer.into_iter().find(alone).unwrap_or(Period::Day),
    }
}

/// The series of sorted keys, periods and quantities.
fn regular(placed: &[(u32, i64, f64)], gaps: Gaps, end: i64) -> Result<Vec<Series>, Invalid> {
    let last = |rows: &[(u32, i64, f64)]| match gaps {
        Gaps::Zero => end,
        Gaps::Missing => rows.last().map_or(end, |(_, at, _)| at + 1),
    };
    let (mut all, mut total) = (Vec::new(), 0_usize);
    for rows in placed.chunk_by(|one, other| one.0 == other.0) {
        let Some((key, first, _)) = rows.first().copied() else { continue };
        let periods = last(rows).saturating_sub(first);
        require("time", periods <= MOST_PERIODS, "within 100000 periods of all others")?;
        let length = usize::try_from(periods).unwrap_or_default();
        total = total.saturating_add(length);
        require("time", total <= MOST_VALUES, "within 250000000 periods of all series together")?;
        let mut sums: Vec<Option<f64>> = vec![None; length];
        for (_, at, quantity) in rows {
            let place = usize::try_from(at - first).ok().and_then(|place| sums.get_mut(place));
            if let Some(sum) = place {
                *sum = Some(finite(sum.unwrap_or(0.0) + quantity)?);
            }
        }
        let (values, missing) = match gaps {
            Gaps::Zero => (sums.into_iter().map(Option::unwrap_or_default).collect(), Vec::new()),
            Gaps::Missing => interpolate(&sums),
        };
        all.push(Series { key, first, values, missing });
    }
    Ok(all)
}

/// Straight lines between what is known; which places were filled.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn interpolate(values: &[Option<f64>]) -> (Vec<f64>, Vec<u32>) {
    let known: Vec<(usize, f64)> =
        values.iter().enumerate().filter_map(|(at, value)| value.map(|value| (at, value))).collect();
    let mut dense: Vec<f64> = values.iter().map(|value| value.unwrap_or_default()).collect();
    for pair in known.windows(2) {
        let ((from, before), (to, after)) = (pair[0], pair[1]);
        for (step, place) in dense[from + 1..to].iter_mut().enumerate() {
            let part = (step + 1) as f64 / (to - from) as f64;
            // Not from the difference, which may be larger than any number.
            *place = before * (1.0 - part) + after * part;
        }
    }
    let missing = (0..values.len()).filter(|at| values[*at].is_none()).map(|at| at as u32).collect();
    (dense, missing)
}
