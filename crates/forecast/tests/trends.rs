//! What trends must be like whatever the numbers: scale, shift, chance, seasons, numbers at the edges.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use ecommerce_ml_forecast::Invalid;
use ecommerce_ml_forecast::trend::{MOST_PERIODS, Series, Trend};
use ecommerce_ml_metrics::discovery::benjamini_hochberg;

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

fn times(values: &[f64]) -> Vec<i64> {
    (0..i64::try_from(values.len()).unwrap()).collect()
}

fn trend(values: &[f64], season: usize) -> Option<Trend> {
    Series::new(&times(values), values).unwrap().trend(season, 0.95).unwrap()
}

#[test]
fn scale_and_shift() {
    for season in [1, 7] {
        let values: Vec<f64> =
            Random(1).numbers(60).iter().enumerate().map(|(t, x)| x * 8.0 + t as f64 / 32.0).collect();
        let plain = trend(&values, season).unwrap();
        let scaled: Vec<f64> = values.iter().map(|value| value * 1024.0).collect();
        let found = trend(&scaled, season).unwrap();
        assert_eq!(
            (found.p_value, found.slope, found.lower),
            (plain.p_value, plain.slope * 1024.0, plain.lower * 1024.0)
        );
        let shifted: Vec<f64> = values.iter().map(|value| value + 64.0).collect();
        let found = trend(&shifted, season).unwrap();
        assert_eq!(found.score, plain.score);
        assert!((found.slope - plain.slope).abs() < 1e-12);
        let turned: Vec<f64> = values.iter().map(|value| -value).collect();
        let found = trend(&turned, season).unwrap();
        assert_eq!((found.score, found.slope), (-plain.score, -plain.slope));
        let later: Vec<i64> = times(&values).iter().map(|time| time + 700).collect();
        assert_eq!(Series::new(&later, &values).unwrap().trend(season, 0.95).unwrap(), Some(plain));
    }
}

/// Of 200 trials with 50 series each, none of which has a trend, at most 5 % and a little more may find one; where a tenth do have
/// one, they are found, and at most 5 % of what is found is chance.
#[test]
fn false_discoveries_are_as_rare_as_promised() {
    let (mut with_any, mut found, mut wrong) = (0, 0, 0.0);
    for seed in 0..200 {
        let mut random = Random(seed);
        let p_value = |values: Vec<f64>| trend(&values, 1).unwrap().p_value;
        let mut p_values: Vec<f64> = (0..45).map(|_| p_value(random.numbers(30))).collect();
        with_any += usize::from(benjamini_hochberg(&p_values).iter().any(|q| *q <= 0.05));
        let rising = |values: Vec<f64>| values.iter().enumerate().map(|(t, x)| x + t as f64 * 0.04).collect();
        p_values.extend((0..5).map(|_| p_value(rising(random.numbers(30)))));
        let q_values = benjamini_hochberg(&p_values);
        let (none, real) = q_values.split_at(45);
        let count = |some: &[f64]| some.iter().filter(|q| **q <= 0.05).count();
        found += count(real);
        wrong += count(none) as f64 / (count(none) + count(real)).max(1) as f64;
    }
    assert!(with_any <= 20, "{with_any} of 200");
    assert!(found > 950, "{found} of 1000");
    assert!(wrong / 200.0 < 0.07, "{wrong}");
}

#[test]
fn a_season_is_no_trend() {
    // Five and a quarter seasons, the last of which ends high; and the same with a trend.
    let wave = |t: i64| 10.0 * (std::f64::consts::TAU * t as f64 / 12.0).sin();
    let mut random = Random(3);
    let seasonal: Vec<f64> = (0..63).map(|t| wave(t) + random.next()).collect();
    let series = times(&seasonal);
    assert_eq!(Series::new(&series, &seasonal).unwrap().season(12), Ok(12));
    assert!(trend(&seasonal, 12).unwrap().p_value > 0.05);
    let rising: Vec<f64> = (0..63).map(|t| wave(t) + 0.1 * t as f64 + random.next()).collect();
    let found = trend(&rising, Series::new(&series, &rising).unwrap().season(12).unwrap()).unwrap();
    assert!(found.season == 12 && found.p_value < 0.01 && (found.slope - 0.1).abs() < 0.05, "{found:?}");
    let none = random.numbers(63);
    assert_eq!(Series::new(&series, &none).unwrap().season(12), Ok(1));
    // Too short to tell, constant, far apart.
    assert_eq!(Series::new(&series[..30], &seasonal[..30]).unwrap().season(12), Ok(1));
    assert_eq!(Series::new(&series, &[1.0; 63]).unwrap().season(12), Ok(1));
    assert_eq!(Series::new(&[0, 1, i64::MAX], &[1.0, 2.0, 3.0]).unwrap().season(12), Ok(1));
}

#[test]
fn serial_correlation_is_not_taken_for_certainty() {
    let (mut rare, mut naive) = (0, 0);
    for seed in 0..200 {
        let mut random = Random(seed);
        let mut value = 0.0;
        let walk: Vec<f64> = (0..60)
            .map(|_| {
                value = 0.6 * value + random.next() - 0.5;
                value
            })
            .collect();
        let found = trend(&walk, 1).unwrap();
        rare += usize::from(found.p_value < 0.05);
        let independent = 60.0 * 59.0 * 125.0 / 18.0;
        naive += usize::from(found.score.abs() as f64 > 1.96 * f64::sqrt(independent));
    }
    assert!(rare * 3 < naive * 2, "{rare} of 200, {naive} without the correction");
}

#[test]
fn edges() {
    assert_eq!(trend(&[], 1), None);
    assert_eq!(trend(&[1.0, 2.0, 3.0], 1), None);
    assert_eq!(trend(&[1.0, 2.0, 3.0, 4.0], 12), None, "no two of one season");
    let constant = trend(&[5.0; 20], 1).unwrap();
    assert_eq!((constant.slope, constant.lower, constant.upper, constant.p_value), (0.0, 0.0, 0.0, 1.0));
    let zeros = trend(&[0.0, -0.0, 0.0, -0.0], 1).unwrap();
    assert_eq!((zeros.score, zeros.p_value), (0, 1.0));
    let huge = trend(&[1e300, 2e300, 3e300, 4e300, 5e300], 1).unwrap();
    assert_eq!(huge.slope, 1e300);
    let series = times(&[0.0; 4]);
    let extreme = [f64::MAX, f64::MIN, f64::MAX, f64::MIN];
    assert_eq!(Series::new(&series, &extreme).unwrap().trend(1, 0.95), Err(Invalid::OutOfRange));
    assert!(Series::new(&series, &[0.0, f64::NAN, 1.0, 2.0]).is_err());
    assert!(Series::new(&[0, 1, 1, 2], &[0.0; 4]).is_err());
    assert!(Series::new(&[0], &[0.0; 2]).is_err());
    let long = vec![0.0; MOST_PERIODS + 1];
    assert!(Series::new(&times(&long), &long).unwrap().trend(1, 0.95).is_err());
    assert!(Series::new(&series, &[0.0; 4]).unwrap().trend(1, 1.0).is_err());
}
