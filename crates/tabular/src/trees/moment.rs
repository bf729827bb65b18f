//! A moment as numbers that trees can split at.
//!
//! It must not know time zones: all is in UTC, as the moments themselves are. Invariant: the parts of a moment are those of the
//! Gregorian calendar.

/// What each is, as the names of features have it; days since the first moment have no word of their own.
pub(crate) const MOMENT_FEATURES: [&str; 5] = ["", "hour", "weekday", "day", "month"];

const MICROS_OF_DAY: i64 = 86_400_000_000;
const MICROS_OF_HOUR: i64 = 3_600_000_000;

/// The numbers of a moment, in microseconds since 1970.
pub(crate) fn moment_features(micros: i64, first: i64) -> [f32; 5] {
    let days = micros.div_euclid(MICROS_OF_DAY);
    let hour = micros.rem_euclid(MICROS_OF_DAY) / MICROS_OF_HOUR;
    let (month, day) = month_and_day(days);
    // The first of January 1970 was a Thursday.
    let weekday = (days + 3).rem_euclid(7);
    let since = (micros as f64 - first as f64) / MICROS_OF_DAY as f64;
    [since as f32, hour as f32, weekday as f32, day as f32, month as f32]
}

/// Month and day of the month of a day since 1970, counted from 1: years are taken to begin in March, so that the leap day is their
/// last, and months are as long as lines of slope 30.6 say.
fn month_and_day(days: i64) -> (i64, i64) {
    let since_march_0 = days + 719_468;
    let of_era = since_march_0.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    (if month < 10 { month + 3 } else { month - 9 }, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        // Every day of four centuries, counted along.
        let (mut year, mut month, mut day) = (1970_i64, 1, 1);
        for days in 0..146_097 {
            assert_eq!(month_and_day(days), (month, day), "day {days}");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 => 28 + i64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!(month_and_day(-1), (12, 31));
    }

    #[test]
    fn a_moment_has_five_parts() {
        // Saturday, 28 November 2026, 15:30.
        let micros = (20_785 * 24 + 15) * MICROS_OF_HOUR + MICROS_OF_HOUR / 2;
        let first = micros - 36 * MICROS_OF_HOUR;
        assert_eq!(moment_features(micros, first), [1.5, 15.0, 5.0, 28.0, 11.0]);
        assert_eq!(moment_features(-1, 0)[1..], [23.0, 2.0, 31.0, 12.0]);
    }
}
