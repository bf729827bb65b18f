//! Regular periods from days.
//!
//! Days are counted from 1970-01-01 of the Gregorian calendar. It must not know time zones: who has instants makes days of them.
//! Invariant: periods are numbered without gaps, so two neighbours differ by 1 whatever their lengths.

use serde::{Deserialize, Serialize};

/// A kind of period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// Hours, which are numbered by who makes them: they are no days.
    Hour,
    /// Days.
    Day,
    /// Weeks that begin on Monday.
    Week,
    /// Months.
    Month,
    /// Quarters.
    Quarter,
    /// Years.
    Year,
}

/// Most periods that [`Period::detect`] divides days into, where there is a longer one.
const MOST_PERIODS: i64 = 200;

/// Periods of days, from the shortest to the longest.
const OF_DAYS: [Period; 5] = [Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year];

impl Period {
    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];
        all.into_iter().find(|period| period.name() == name)
    }

    /// Its name, which SQL's `date_trunc` knows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// After how many periods a season may come again; 1 if there is none.
    pub fn season(self) -> usize {
        match self {
            Self::Hour => 24,
            Self::Day => 7,
            Self::Week => 52,
            Self::Month => 12,
            Self::Quarter => 4,
            Self::Year => 1,
        }
    }

    /// The number of the period of a day.
    pub fn index(self, day: i64) -> i64 {
        match self {
            Self::Hour | Self::Day => day,
            // 1970-01-01 was a Thursday.
            Self::Week => (day + 3).div_euclid(7),
            Self::Month => month(day),
            Self::Quarter => month(day).div_euclid(3),
            Self::Year => month(day).div_euclid(12),
        }
    }

    /// The first day of a period.
    pub fn first_day(self, index: i64) -> i64 {
        match self {
            Self::Hour | Self::Day => index,
            Self::Week => index * 7 - 3,
            Self::Month => first_of_month(index),
            Self::Quarter => first_of_month(index * 3),
            Self::Year => first_of_month(index * 12),
        }
    }

    /// The periods of a series on these different days in ascending order: the longest of which no two days share one; where days
    /// are as close as days can be, the shortest that makes no more than 200 of the whole time.
    pub fn detect(days: &[i64]) -> Self {
        let (Some(first), Some(last)) = (days.first(), days.last()) else { return Self::Day };
        let alone =
            |period: &Self| days.windows(2).all(|pair| period.index(pair[0]) != period.index(pair[1]));
        match OF_DAYS.into_iter().rev().find(alone) {
            Some(period) if period != Self::Day => period,
            _ => {
                let few = |period: &Self| period.index(*last) - period.index(*first) < MOST_PERIODS;
                OF_DAYS.into_iter().find(few).unwrap_or(Self::Year)
            }
        }
    }

    /// The first and the last whole period of these different days in ascending order. One at an end is not whole if there are
    /// none of its days in more than a quarter of it, towards that end, and others have several days.
    pub fn whole(self, days: &[i64]) -> Option<(i64, i64)> {
        let (first, last) = (*days.first()?, *days.last()?);
        let (from, to) = (self.index(first), self.index(last));
        let single = days.windows(2).all(|pair| self.index(pair[0]) != self.index(pair[1]));
        if single || from == to || self == Self::Hour {
            return Some((from, to));
        }
        let length = |index: i64| self.first_day(index + 1) - self.first_day(index);
        let late = (first - self.first_day(from)) * 4 > length(from);
        let early = (self.first_day(to + 1) - 1 - last) * 4 > length(to);
        Some((from + i64::from(late), to - i64::from(early)))
    }
}

/// Days of 400 years, after which the calendar repeats.
const CYCLE: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01: years that begin in March have the leap day at their end.
const SHIFT: i64 = 719_468;

/// Months from January 1970 to that of a day.
fn month(day: i64) -> i64 {
    let (cycle, in_cycle) = ((day + SHIFT).div_euclid(CYCLE), (day + SHIFT).rem_euclid(CYCLE));
    // The last day of 4, 100 and 400 years would begin another year.
    let year = (in_cycle - in_cycle / 1460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
    let in_year = in_cycle - (365 * year + year / 4 - year / 100);
    // From March on, five months have 153 days.
    let from_march = (5 * in_year + 2) / 153;
    (cycle * 400 + year - 1970) * 12 + from_march + 2
}

/// The first day of a month, counted as [`month`] does.
fn first_of_month(month: i64) -> i64 {
    let from_march = month - 2 + 1970 * 12;
    let (years, month) = (from_march.div_euclid(12), from_march.rem_euclid(12));
    let (cycle, year) = (years.div_euclid(400), years.rem_euclid(400));
    cycle * CYCLE + 365 * year + year / 4 - year / 100 + (153 * month + 2) / 5 - SHIFT
}
