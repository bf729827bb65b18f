//! Which period is reported on, and which is the one before.
//!
//! Invariant: all dates come from the rows; what day it is today is not asked here.

use ecommerce_ml_forecast::calendar::Period;
use serde::Serialize;

use crate::numbers;

/// Most periods of a report that chooses their kind itself.
const MOST_PERIODS: i64 = 36;

/// Kinds of periods, from the shortest to the longest.
const KINDS: [Period; 5] = [Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year];

/// Days in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    /// As people call it.
    pub label: String,
    /// Its first day, as `YYYY-MM-DD`.
    pub from: String,
    /// Its last day.
    pub to: String,
}

/// The periods of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spans {
    /// What kind they are of; none if all rows are one.
    pub kind: Option<Period>,
    /// The first whole one, by its number.
    pub first: i64,
    /// The one that is reported on: the last whole one.
    pub current: i64,
}

impl Spans {
    /// All rows in one.
    pub const ALL: Self = Self { kind: None, first: 0, current: 0 };

    /// Those of these days, which ascend: of the kind that is wanted, or the shortest that makes no more than 36 of them.
    pub fn of(days: &[i64], wanted: Option<Period>) -> Option<Self> {
        let (first, last) = (*days.first()?, *days.last()?);
        let few = |kind: &Period| kind.index(last).saturating_sub(kind.index(first)) < MOST_PERIODS;
        let kind = wanted.unwrap_or_else(|| KINDS.into_iter().find(few).unwrap_or(Period::Year));
        let (first, current) = kind.whole(days)?;
        // Two halves of periods have no whole one: then the later one is reported on.
        let (first, current) = if first > current { (current, current) } else { (first, current) };
        // Nor is one without rows reported on, as where a date of long ago makes the periods long.
        let has_rows = days.iter().any(|day| kind.index(*day) == current);
        Some(Self { kind: Some(kind), first, current: if has_rows { current } else { kind.index(last) } })
    }

    /// The one before, if there is one.
    pub fn before(self) -> Option<i64> {
        (self.current > self.first).then(|| self.current - 1)
    }

    /// The period of a day.
    pub fn index(self, day: i64) -> i64 {
        self.kind.map_or(0, |kind| kind.index(day))
    }

    /// Whether a period is a whole one.
    pub fn contains(self, index: i64) -> bool {
        (self.first..=self.current).contains(&index)
    }

    /// The first and the last day of a period; none if all rows are one.
    pub fn days(self, index: i64) -> Option<(i64, i64)> {
        self.kind.map(|kind| (kind.first_day(index), kind.first_day(index.saturating_add(1)) - 1))
    }

    /// What a period is called, and its days.
    pub fn span(self, index: i64) -> Span {
        let Some((kind, (from, to))) = self.kind.zip(self.days(index)) else {
            return Span { label: "all reviews".to_owned(), from: String::new(), to: String::new() };
        };
        Span { label: numbers::period(kind, from), from: numbers::date(from), to: numbers::date(to) }
    }

    /// What one is called.
    pub fn unit(self) -> Option<&'static str> {
        self.kind.map(Period::name)
    }
}
