//! Series from rows, and forecasts of whatever rows there are.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use ecommerce_ml_forecast::Invalid;
use ecommerce_ml_forecast::calendar::Period;
use ecommerce_ml_forecast::forecaster::{Forecaster, MOST_HORIZON, Options};
use ecommerce_ml_forecast::held_out::evaluate;
use ecommerce_ml_forecast::selection::select;
use ecommerce_ml_forecast::series::{Gaps, Options as Regular, Panel, Row, Series};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

const REGULAR: Regular = Regular { period: None, gaps: Gaps::Zero, whole_periods: true };

/// Numbers from 0 to 1 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn numbers(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.next()).collect()
    }
}

fn row(key: u32, time: i64, quantity: f64) -> Row {
    Row { key, time, offset: 0, quantity }
}

fn series(values: &[f64]) -> Series {
    Series { key: 0, first: 0, values: values.to_vec(), missing: Vec::new() }
}

fn options(season: usize, horizon: usize) -> Options {
    Options { season, horizon, threads: 1 }
}

fn forecast(values: &[f64], season: usize, horizon: usize) -> Vec<f64> {
    let fitted = Forecaster::fit(&[series(values)], 0, options(season, horizon)).unwrap();
    let forecasts = fitted.forecast(0, horizon, 0.8).unwrap();
    assert_eq!(forecasts.len(), horizon);
    for forecast in &forecasts {
        assert!(forecast.lower <= forecast.value && forecast.value <= forecast.upper, "{forecast:?}");
        assert!(forecast.lower.is_finite() && forecast.upper.is_finite(), "{forecast:?}");
    }
    forecasts.iter().map(|forecast| forecast.value).collect()
}

#[test]
fn gaps_duplicates_and_partial_periods() {
    // Weeks begin on Monday, 1970-01-05 is the first.
    let week = |number: i64| (4 + 7 * number) * DAY;
    let mut rows =
        vec![row(7, week(0), 1.0), row(7, week(0) + 5 * HOUR, 2.5), row(7, week(3) + 3 * DAY, 4.0)];
    let weekly = Regular { period: Some(Period::Week), ..REGULAR };
    let panel = Panel::new(&rows, Regular { whole_periods: false, ..weekly }).unwrap();
    assert_eq!(panel.series[0].values, [3.5, 0.0, 0.0, 4.0]);
    assert_eq!(
        (panel.calendar.start(panel.series[0].first), panel.calendar.start(panel.end)),
        (week(0), week(4))
    );
    let missing = Regular { gaps: Gaps::Missing, whole_periods: false, ..weekly };
    let panel = Panel::new(&rows, missing).unwrap();
    assert_eq!(panel.series[0].values.len(), 4);
    assert_eq!(panel.series[0].missing, [1, 2]);
    assert!((panel.series[0].values[1] - (3.5 + 0.5 / 3.0)).abs() < 1e-12);
    // Another series lasts longer: what was not sold is 0, what is missing isn't there.
    rows.extend([
        row(9, week(2), 0.5),
        row(9, week(2) + DAY, 0.5),
        row(9, week(5) + 6 * DAY, 1.0),
        row(9, week(6), 9.0),
    ]);
    let panel = Panel::new(&rows, weekly).unwrap();
    assert_eq!(panel.left_out, 1, "the last week has a Monday only");
    assert_eq!(
        panel.series.iter().map(|one| (one.key, one.values.len())).collect::<Vec<_>>(),
        [(7, 6), (9, 4)]
    );
    let panel = Panel::new(&rows, missing).unwrap();
    assert_eq!((panel.series[0].values.len(), panel.series[1].values.len()), (4, 5));
    // The shorter one is forecast from the same period on.
    let fitted = Forecaster::fit(&panel.series, panel.end, options(1, 2)).unwrap();
    assert_eq!(fitted.forecast(0, 2, 0.8).unwrap().len(), 2);
}

#[test]
fn the_order_of_rows_and_threads_don_t_matter() {
    let mut random = Random(1);
    let mut rows: Vec<Row> = (0..4000)
        .map(|at| row(at % 40, i64::from(at / 40) * DAY + i64::from(at % 3) * HOUR, random.next() * 0.1))
        .collect();
    rows.extend(rows.clone().iter().map(|one| Row { quantity: one.quantity + 0.7, ..*one }));
    let panel = Panel::new(&rows, REGULAR).unwrap();
    rows.reverse();
    assert_eq!(Panel::new(&rows, REGULAR).unwrap(), panel);
    let fitted = Forecaster::fit(&panel.series, panel.end, options(7, 14)).unwrap();
    for threads in [2, 3, 8] {
        let other = Forecaster::fit(&panel.series, panel.end, Options { threads, ..options(7, 14) }).unwrap();
        assert_eq!(other, fitted);
    }
}

#[test]
fn periods_are_found() {
    let of = |times: &[i64]| {
        let rows: Vec<Row> = times.iter().map(|time| row(0, *time, 1.0)).collect();
        Panel::new(&rows, REGULAR).unwrap().calendar.period
    };
    let days = |some: &[i64]| some.iter().map(|day| day * DAY).collect::<Vec<i64>>();
    assert_eq!(of(&days(&[0, 1, 2, 5])), Period::Day);
    assert_eq!(of(&days(&[2, 9, 16, 30])), Period::Week);
    assert_eq!(of(&days(&[30, 58, 89, 119])), Period::Month);
    assert_eq!(of(&days(&[89, 180, 272, 364])), Period::Quarter);
    assert_eq!(of(&days(&[0, 365, 730])), Period::Year);
    assert_eq!(of(&[0, HOUR, 2 * HOUR, 5 * HOUR]), Period::Hour);
    assert_eq!(of(&[100, HOUR + 7, 2 * DAY + 5]), Period::Day, "orders at any time");
    assert_eq!(of(&[0]), Period::Day);
}

/// Clocks go forward in Berlin on 1970-03-29 (as they would by today's rules), at 1 in UTC.
#[test]
fn days_of_23_hours_are_days() {
    let change = 87 * DAY + HOUR;
    let offset = |time: i64| if time < change { 3600 } else { 7200 };
    let at = |time: i64| Row { key: 0, time, offset: offset(time), quantity: 1.0 };
    // Each hour of four days in local time, 95 hours.
    let from = 86 * DAY - HOUR;
    let rows: Vec<Row> = (0..95).map(|hour| at(from + hour * HOUR)).collect();
    let hourly = Panel::new(&rows, REGULAR).unwrap();
    assert_eq!(
        (hourly.calendar.period, hourly.series[0].values.as_slice()),
        (Period::Hour, [1.0; 95].as_slice())
    );
    assert_eq!(hourly.calendar.start(hourly.series[0].first), from);
    let daily = Panel::new(&rows, Regular { period: Some(Period::Day), ..REGULAR }).unwrap();
    assert_eq!(daily.series[0].values, [24.0, 23.0, 24.0, 24.0]);
    assert_eq!(daily.calendar.start(daily.series[0].first), 86 * DAY, "midnight in local time");
    // In India hours begin at half past those of UTC.
    let rows: Vec<Row> =
        (0..30).map(|hour| Row { offset: 19_800, ..row(0, hour * HOUR - HOUR / 2, 1.0) }).collect();
    let hourly = Panel::new(&rows, REGULAR).unwrap();
    assert_eq!(
        (hourly.calendar.period, hourly.calendar.start(hourly.series[0].first)),
        (Period::Hour, -HOUR / 2)
    );
}

#[test]
fn what_can_t_be_a_series_is_refused() {
    let refused = |rows: &[Row], options| Panel::new(rows, options).unwrap_err();
    assert!(matches!(refused(&[], REGULAR), Invalid::Argument { name: "rows", .. }));
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(refused(&[row(0, 0, bad)], REGULAR), Invalid::Argument { name: "quantity", .. }));
    }
    assert_eq!(refused(&[row(0, 0, f64::MAX), row(0, 1, f64::MAX)], REGULAR), Invalid::OutOfRange);
    let far = [row(0, 0, 1.0), row(0, 400_000 * DAY, 1.0)];
    let daily = Regular { period: Some(Period::Day), ..REGULAR };
    assert!(matches!(refused(&far, daily), Invalid::Argument { name: "time", .. }));
    for time in [i64::MIN, i64::MAX] {
        assert!(Panel::new(&[row(0, 0, 1.0), row(0, time, 1.0)], daily).is_err());
        assert!(Panel::new(&[row(0, time, 1.0)], Regular { period: Some(Period::Hour), ..REGULAR }).is_ok());
    }
    // A gap of years is as many zeros.
    let panel = Panel::new(&[row(0, 0, 1.0), row(0, 3650 * DAY, 1.0)], daily).unwrap();
    assert_eq!(panel.series[0].values.len(), 3651);
    let fitted = Forecaster::fit(&panel.series, panel.end, options(7, 7)).unwrap();
    assert!(fitted.forecast(0, 7, 0.8).unwrap().iter().all(|one| one.value >= 0.0 && one.value <= 1.0));
}

#[test]
fn odd_series_are_forecast() {
    assert_eq!(forecast(&[3.0], 12, 4), [3.0; 4]);
    assert_eq!(forecast(&[3.0, 3.0], 1, 2), [3.0; 2]);
    assert_eq!(forecast(&[0.0; 50], 7, 3), [0.0; 3]);
    assert_eq!(forecast(&[-4.5; 50], 7, 3), [-4.5; 3]);
    for value in forecast(&[1.0, 2.0, 4.0], 1, 20) {
        assert!((0.0..=34.0).contains(&value));
    }
    let mut random = Random(3);
    for size in [1e-300, 1e-100, 1.0, 1e100, 1e300, 1.7e308] {
        let values: Vec<f64> = random.numbers(60).iter().map(|value| (value - 0.5) * size).collect();
        assert!(forecast(&values, 7, 1000).iter().all(|value| value.abs() <= 11.0 * size), "{size}");
        let counts: Vec<f64> =
            random.numbers(60).iter().map(|value| if *value > 0.8 { size } else { 0.0 }).collect();
        assert!(forecast(&counts, 7, 10).iter().all(|value| (0.0..=size).contains(value)), "{size}");
    }
    // A single outlier, a step, a subnormal number.
    let mut outlier = vec![5.0; 40];
    outlier[20] = 1e300;
    assert!(forecast(&outlier, 1, 5).iter().all(|value| (0.0..=1.1e301).contains(value)));
    assert!(
        forecast(&[5e-324, 1e-323, 5e-324, 0.0, 5e-324], 1, 5)
            .iter()
            .all(|value| (0.0..=1e-320).contains(value))
    );
}

#[test]
fn horizons_and_levels() {
    let one = [series(&[1.0, 2.0, 3.0, 2.0])];
    for horizon in [0, MOST_HORIZON + 1, 10_000, usize::MAX] {
        assert!(matches!(
            Forecaster::fit(&one, 0, options(1, horizon)),
            Err(Invalid::Argument { name: "horizon", .. })
        ));
    }
    let fitted = Forecaster::fit(&one, 0, options(1, 1)).unwrap();
    assert!(fitted.forecast(0, 0, 0.8).is_err() && fitted.forecast(0, 10_000, 0.8).is_err());
    for level in [0.0, -1.0, 1.0, 1.5, f64::NAN] {
        assert!(matches!(fitted.forecast(0, 1, level), Err(Invalid::Argument { name: "level", .. })));
    }
    assert!(fitted.forecast(1, 1, 0.8).unwrap().is_empty());
    assert!(select(&[], &[], ecommerce_ml_forecast::selection::Options { season: 1, horizon: 1 }).is_err());
    assert!(
        select(&[f64::NAN], &[], ecommerce_ml_forecast::selection::Options { season: 1, horizon: 1 })
            .is_err()
    );
    assert!(Forecaster::fit(&[], 0, options(1, 1)).is_err());
    assert!(evaluate(&[series(&[1.0, 2.0])], options(1, 1), 0.8).is_err(), "too short to hold anything out");
}

#[test]
fn scaling_scales_and_a_higher_level_is_wider() {
    let mut random = Random(5);
    let values: Vec<f64> = random
        .numbers(72)
        .iter()
        .enumerate()
        .map(|(t, x)| 10.0 + x * 4.0 + (t % 12) as f64 + t as f64 / 8.0)
        .collect();
    let plain = forecast(&values, 12, 12);
    let scaled: Vec<f64> = values.iter().map(|value| value * 1024.0).collect();
    assert_eq!(forecast(&scaled, 12, 12), plain.iter().map(|value| value * 1024.0).collect::<Vec<_>>());
    let fitted = Forecaster::fit(&[series(&values)], 0, options(12, 12)).unwrap();
    let widths = |level| {
        fitted.forecast(0, 24, level).unwrap().iter().map(|one| one.upper - one.lower).collect::<Vec<_>>()
    };
    for pair in [0.01, 0.3, 0.5, 0.8, 0.9, 0.95, 0.99].windows(2) {
        assert!(widths(pair[0]).iter().zip(widths(pair[1])).all(|(narrow, wide)| *narrow <= wide));
    }
    assert!(widths(0.8).iter().all(|width| *width > 0.0));
}

#[test]
fn a_season_with_a_trend_is_forecast_better_than_by_the_last_season() {
    let mut random = Random(7);
    let mut one = |_| {
        let values: Vec<f64> = (0..84)
            .map(|t| {
                (50.0 + f64::from(t)) * (1.0 + 0.3 * (f64::from(t) * std::f64::consts::TAU / 12.0).sin())
                    + random.next() * 6.0
            })
            .collect();
        series(&values)
    };
    let all: Vec<Series> = (0..60).map(&mut one).collect();
    let found = evaluate(&all, options(12, 12), 0.8).unwrap();
    assert_eq!(found.series, 60);
    assert!(found.own.mase().unwrap() < 0.5 * found.naive.mase().unwrap(), "{found:?}");
    assert!((0.7..=0.92).contains(&found.own.coverage().unwrap()), "{found:?}");
}

/// White noise can't be forecast: the chosen methods lose nothing to the naive, and intervals hold what they promise.
#[test]
fn noise_is_covered() {
    let mut random = Random(11);
    let all: Vec<Series> = (0..300).map(|_| series(&random.numbers(60))).collect();
    for level in [0.5, 0.8, 0.95] {
        let found = evaluate(&all, options(1, 6), level).unwrap();
        assert!((found.own.coverage().unwrap() - level).abs() < 0.04, "{level}: {:?}", found.own.coverage());
        assert!(found.own.mase() < found.naive.mase());
    }
}
