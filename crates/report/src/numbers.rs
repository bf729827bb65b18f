//! Numbers and dates as people read them.
//!
//! Invariant: what is rounded to zero has no sign.

use ecommerce_ml_forecast::calendar::Period;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Year, month from 1 and day of the month of a day since 1970-01-01.
fn civil(day: i64) -> (i64, i64, i64) {
    let month = Period::Month.index(day);
    (1970 + month.div_euclid(12), month.rem_euclid(12) + 1, day - Period::Month.first_day(month) + 1)
}

/// `YYYY-MM-DD`; years before 1 with a sign, as ISO 8601 has them.
pub fn date(day: i64) -> String {
    let (year, month, day) = civil(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The day since 1970-01-01 of `YYYY-MM-DD`.
pub fn day(date: &str) -> Option<i64> {
    let mut parts = date.splitn(3, '-');
    let mut next = |digits: usize| {
        let part = parts.next()?;
        let all_digits = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        all_digits.then(|| part.parse::<i64>().ok()).flatten()
    };
    let (year, month, day) = (next(4)?, next(2)?, next(2)?);
    let first = Period::Month.first_day((year - 1970) * 12 + month - 1);
    let found = first + day - 1;
    (civil(found) == (year, month, day)).then_some(found)
}

/// What a period that begins on a day is called.
pub fn period(kind: Period, first_day: i64) -> String {
    let (year, month, day) = civil(first_day);
    let name =
        usize::try_from(month - 1).ok().and_then(|month| MONTHS.get(month)).copied().unwrap_or_default();
    match kind {
        Period::Hour | Period::Day => format!("{day} {name} {year}"),
        Period::Week => format!("week of {day} {name} {year}"),
        Period::Month => format!("{name} {year}"),
        Period::Quarter => format!("Q{} {year}", (month - 1) / 3 + 1),
        Period::Year => format!("{year}"),
    }
}

/// With so many decimals.
pub fn fixed(value: f64, decimals: usize) -> String {
    let shown = format!("{value:.decimals$}");
    match shown.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|byte| matches!(byte, b'0' | b'.')) => rest.to_owned(),
        Some(rest) => format!("\u{2212}{rest}"),
        None => shown,
    }
}

/// With its sign.
pub fn signed(value: f64, decimals: usize) -> String {
    let shown = fixed(value, decimals);
    let is_zero = shown.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if value > 0.0 && !is_zero { format!("+{shown}") } else { shown }
}

/// A count, its thousands apart.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A share as a percentage.
pub fn percent(share: f64) -> String {
    format!("{} %", fixed(share * 100.0, 1))
}

/// A probability.
pub fn probability(value: f64) -> String {
    match value {
        _ if value < 0.0001 => "< 0.0001".to_owned(),
        _ if value < 0.1 => format!("= {}", fixed(value, 4)),
        _ => format!("= {}", fixed(value, 2)),
    }
}

/// A number in as few digits as tell it: for axes.
pub fn short(value: f64) -> String {
    let size = value.abs();
    let scaled = |by: f64, unit: &str| format!("{}{unit}", trimmed(&fixed(value / by, 1)));
    match size {
        _ if size >= 1e12 => format!("{value:.1e}"),
        _ if size >= 1e9 => scaled(1e9, "G"),
        _ if size >= 1e6 => scaled(1e6, "M"),
        _ if size >= 1e4 => scaled(1e3, "k"),
        _ if size >= 100.0 || size == 0.0 => fixed(value, 0),
        _ if size >= 0.01 => trimmed(&fixed(value, 2)),
        _ => format!("{value:.1e}"),
    }
}

fn trimmed(shown: &str) -> String {
    if shown.contains('.') {
        shown.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        shown.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates() {
        assert_eq!(
            (date(0).as_str(), date(-1).as_str(), date(19_782).as_str()),
            ("1970-01-01", "1969-12-31", "2024-02-29")
        );
        assert_eq!((day("2024-02-29"), day("1970-01-01")), (Some(19_782), Some(0)));
        for wrong in [
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-1-01",
            "24-01-01",
            "2024-01-01 ",
            "",
            "x",
            "2024-01-1x",
        ] {
            assert_eq!(day(wrong), None, "{wrong}");
        }
        assert_eq!(period(Period::Week, 4), "week of 5 January 1970");
        assert_eq!(
            (period(Period::Quarter, 90), period(Period::Year, 0)),
            ("Q2 1970".to_owned(), "1970".to_owned())
        );
    }

    #[test]
    fn numbers() {
        assert_eq!(
            (fixed(-0.001, 2), fixed(-1.5, 1), signed(0.25, 1)),
            ("0.00".into(), "\u{2212}1.5".into(), "+0.2".into())
        );
        assert_eq!(
            (count(0), count(999), count(1000), count(1_234_567)),
            ("0".into(), "999".into(), "1,000".into(), "1,234,567".into())
        );
        assert_eq!(
            (short(0.0), short(12_500.0), short(2.5), short(3e6)),
            ("0".into(), "12.5k".into(), "2.5".into(), "3M".into())
        );
        assert_eq!((probability(0.00001), probability(0.03)), ("< 0.0001".into(), "= 0.0300".into()));
    }
}
