//! Values that are unlike what was expected: few on clean series, those that were planted, with the part that was changed; and methods that
//! go on with later values.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use ecommerce_ml_forecast::anomalies::{Anomaly, Component};
use ecommerce_ml_forecast::components::Components;
use ecommerce_ml_forecast::forecaster::{Forecaster, Options};
use ecommerce_ml_forecast::history::Now;
use ecommerce_ml_forecast::series::{Gaps, Series};

const DAYS: usize = 140;
const OPTIONS: Options = Options { season: 7, horizon: 14, threads: 2 };
const WEEK: [f64; 7] = [-5.0, -4.0, -3.0, -2.0, 2.0, 14.0, -2.0];

/// About normal noise with a deviation of 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        let uniform = |state: &mut u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*state >> 33) as f64 / (1_u64 << 31) as f64
        };
        (0..12).map(|_| uniform(&mut self.0)).sum::<f64>() - 6.0
    }
}

/// Sales of days, more on some days of the week and more and more, with noise.
fn sales(product: u64) -> Series {
    let mut noise = Noise(product * 7919 + 3);
    let value = |day: usize| 60.0 + 0.1 * day as f64 + WEEK[day % 7] + 2.0 * noise.next();
    Series { key: product as u32, first: 100, values: (0..DAYS).map(value).collect(), missing: Vec::new() }
}

fn all_sales() -> Vec<Series> {
    (0..40).map(sales).collect()
}

fn end() -> i64 {
    100 + DAYS as i64
}

fn anomalies(forecaster: &Forecaster, place: usize, now: &Series) -> Vec<Anomaly> {
    forecaster.anomalies(place, end(), now, 1000)
}

#[test]
fn clean_series_raise_few_alarms() {
    let (mut all, mut alarms, mut newer, mut newer_alarms) = (0, 0, 0, 0);
    let sales = all_sales();
    // Fitted to the first half, so that the other is new.
    let half = |one: &Series| Series { values: one.values[..DAYS / 2].to_vec(), ..one.clone() };
    let halves: Vec<Series> = sales.iter().map(half).collect();
    let until = 100 + (DAYS / 2) as i64;
    let forecaster = Forecaster::fit(&halves, until, OPTIONS).unwrap();
    for (place, one) in sales.iter().enumerate() {
        for anomaly in forecaster.anomalies(place, until, one, 1000) {
            let (alarm, is_new) = (usize::from(anomaly.score > 1.0), usize::from(anomaly.period >= until));
            all += 1;
            alarms += alarm;
            newer += is_new;
            newer_alarms += alarm * is_new;
            let inside = (anomaly.lower..=anomaly.upper).contains(&anomaly.observed);
            assert_eq!(inside, anomaly.score <= 1.0, "{anomaly:?}");
        }
    }
    assert!(all >= 40 * (DAYS - 20) && newer == 40 * DAYS / 2, "{all} {newer}");
    let rate = |alarms: usize, all: usize| alarms as f64 / all as f64;
    assert!(rate(alarms, all) < 0.02, "{alarms} of {all}");
    assert!(rate(newer_alarms, newer) < 0.02, "{newer_alarms} of {newer}");
}

#[test]
fn what_was_planted_is_found_with_its_part() {
    let forecaster = Forecaster::fit(&all_sales(), end(), OPTIONS).unwrap();
    let at = 110;
    type Change = fn(usize, usize) -> f64;
    let planted: [(Component, Change); 4] = [
        (Component::Outlier, |day, at| if day == at { 40.0 } else { 0.0 }),
        (Component::Level, |day, at| if day >= at { -25.0 } else { 0.0 }),
        (Component::Trend, |day, at| if day >= at { 6.0 * (day - at + 1) as f64 } else { 0.0 }),
        (Component::Season, |day, at| if day >= at { -2.0 * WEEK[day % 7] } else { 0.0 }),
    ];
    for (component, change) in planted {
        let mut right = 0;
        for place in 0..40 {
            let mut one = sales(place as u64);
            one.values.iter_mut().enumerate().for_each(|(day, value)| *value += change(day, at));
            let found = anomalies(&forecaster, place, &one);
            let near = |anomaly: &&Anomaly| (100 + at as i64..100 + at as i64 + 7).contains(&anomaly.period);
            let first = found.iter().filter(|one| one.score > 1.0).filter(near).min_by_key(|one| one.period);
            let named = first.and_then(|one| one.reasons.first()).map(|reason| reason.component);
            right += usize::from(named == Some(component));
            // After a single outlier all is as it was before.
            if component == Component::Outlier {
                assert_eq!(found[0].period, 100 + at as i64);
                let later = found.iter().filter(|one| one.period > 100 + at as i64 && one.score > 1.0);
                assert!(later.count() <= 3);
            }
        }
        assert!(right >= 36, "{component:?}: {right} of 40");
    }
}

#[test]
fn series_of_any_kind_have_finite_scores() {
    for values in [
        vec![3.0],
        vec![0.0; 50],
        vec![7.0; 50],
        (0..50).map(|at| if at == 30 { 9.0 } else { 0.0 }).collect(),
        (0..50).map(|at| -f64::from(at) * 1e300 / 50.0).collect(),
        (0..50).map(|at| f64::from(at % 7) * 1e-300).collect(),
    ] {
        let one = Series { key: 0, first: 5, values, missing: vec![] };
        let end = 5 + one.values.len() as i64;
        let forecaster = Forecaster::fit(std::slice::from_ref(&one), end, OPTIONS).unwrap();
        let mut later = one.clone();
        later.values.extend([0.0, 5.0, -1e300, 1e300, f64::MAX]);
        for now in [&one, &later] {
            for found in forecaster.anomalies(0, end, now, 1000) {
                let numbers = [found.expected, found.lower, found.upper, found.score];
                assert!(numbers.iter().all(|number| number.is_finite()), "{found:?}");
                assert!(found.lower <= found.upper && found.score >= 0.0);
                assert!(found.reasons.iter().all(|reason| (0.0..=1.0).contains(&reason.share)));
            }
        }
    }
}

#[test]
fn missing_values_are_none_that_differ() {
    let forecaster = Forecaster::fit(&all_sales(), end(), OPTIONS).unwrap();
    let mut one = sales(3);
    one.values[120] += 500.0;
    one.missing = vec![120];
    assert!(anomalies(&forecaster, 3, &one).iter().all(|found| found.period != 220 && found.score < 2.0));
    assert!(forecaster.anomalies(99, end(), &one, 10).is_empty());
    assert_eq!(forecaster.anomalies(3, end(), &one, 10).len(), 10);
}

/// Where a series begins elsewhere than it did, each day still has its season.
#[test]
fn seasons_are_found_again_from_any_first_period() {
    let forecaster = Forecaster::fit(&all_sales(), end(), OPTIONS).unwrap();
    let whole = anomalies(&forecaster, 5, &sales(5));
    for cut in [1, 30, 65] {
        let mut one = sales(5);
        one.values.drain(..cut);
        one.first += cut as i64;
        for found in anomalies(&forecaster, 5, &one).iter().filter(|found| found.period >= end() - 20) {
            let other = whole.iter().find(|other| other.period == found.period).unwrap();
            assert!((other.expected - found.expected).abs() < 1.5, "{cut}: {found:?} {other:?}");
        }
    }
}

#[test]
fn forecasts_go_on_from_later_values() {
    let sales = all_sales();
    let until = 100 + 100_i64;
    let cut = |one: &Series| Series { values: one.values[..100].to_vec(), ..one.clone() };
    let earlier: Vec<Series> = sales.iter().map(cut).collect();
    let forecaster = Forecaster::fit(&earlier, until, OPTIONS).unwrap();
    let continued = |series: &Series, end: i64| {
        let now = Now { series, gaps: Gaps::Zero, end };
        forecaster.continued(4, until, now).unwrap().forecast(0, 14, 0.8).unwrap()
    };
    // Nothing new; and only what is new.
    let before = forecaster.forecast(4, 14, 0.8).unwrap();
    assert_eq!(continued(&earlier[4], until), before);
    let later = continued(&sales[4], end());
    let newer = Series { first: until, values: sales[4].values[100..].to_vec(), ..sales[4].clone() };
    assert_eq!(continued(&newer, end()), later);
    // They know the day of the week, and how much more is sold now.
    let near = |(step, one): (usize, &ecommerce_ml_forecast::accuracy::Forecast)| {
        let day = DAYS + step;
        (one.value - 60.0 - 0.1 * day as f64 - WEEK[day % 7]).abs() < 4.0
    };
    assert!(later.iter().enumerate().all(near), "{later:?}");
    // A series that ended, where gaps are missing, goes on a week later.
    let now = Now { series: &sales[4], gaps: Gaps::Missing, end: end() + 7 };
    let ahead = forecaster.continued(4, until, now).unwrap().forecast(0, 7, 0.8).unwrap();
    let values = |all: &[ecommerce_ml_forecast::accuracy::Forecast]| {
        all.iter().map(|one| one.value).collect::<Vec<_>>()
    };
    assert_eq!(values(&ahead), values(&later)[7..]);
    assert!(forecaster.continued(40, until, now).is_none());
}

#[test]
fn a_series_has_parts() {
    let of = |value: fn(usize, f64) -> f64| {
        let mut noise = Noise(11);
        let values: Vec<f64> = (0..DAYS).map(|day| value(day, noise.next())).collect();
        Components::of(&values, 7).unwrap()
    };
    let season = of(|day, noise| 100.0 + 10.0 * WEEK[day % 7] + noise);
    let trend = of(|day, noise| day as f64 + noise);
    let noise = of(|_, noise| 100.0 + noise);
    assert!(
        season.season > 0.95 && trend.trend > 0.95 && noise.remainder > 0.7,
        "{season:?} {trend:?} {noise:?}"
    );
    for one in [season, trend, noise, Components::mean([season, trend].into_iter()).unwrap()] {
        assert!((one.trend + one.season + one.remainder - 1.0).abs() < 1e-12, "{one:?}");
    }
    assert!(Components::of(&[3.0; 40], 7).is_none() && Components::of(&[1.0, 2.0], 1).is_none());
    assert!(Components::of(&[-1e300, 1e300].repeat(20), 7).is_some());
    assert!(Components::mean(std::iter::empty()).is_none());
}
