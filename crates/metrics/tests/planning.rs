//! Tails and quantiles of the normal distribution, q values and tests of segments are those of tests/reference/planning.json; and
//! what of a change is explained by segments.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use ecommerce_ml_metrics::discovery::{benjamini_hochberg, benjamini_hochberg_of};
use ecommerce_ml_metrics::drivers::{Aggregate, Pair, Sums, driver, score};
use ecommerce_ml_metrics::normal;
use serde_json::Value;

fn golden(kind: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/planning.json");
    let all: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    all[kind].as_array().unwrap().clone()
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn normal_distribution() {
    for case in golden("tails") {
        let (z, expected) = (case["z"].as_f64().unwrap(), case["tail"].as_f64().unwrap());
        assert!((normal::tail(z) / expected - 1.0).abs() < 1e-12, "{case}: {:e}", normal::tail(z));
        assert_eq!(normal::cdf(-z), normal::tail(z));
    }
    for case in golden("quantiles") {
        let (p, expected) = (case["p"].as_f64().unwrap(), case["z"].as_f64().unwrap());
        assert!(
            (normal::quantile(p) - expected).abs() < 1e-12 * expected.abs().max(1.0),
            "{case}: {}",
            normal::quantile(p)
        );
    }
    assert_eq!((normal::quantile(0.0), normal::quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
    assert!(
        normal::quantile(1.5).is_nan()
            && normal::quantile(f64::NAN).is_nan()
            && normal::tail(f64::NAN).is_nan()
    );
    assert_eq!(
        (normal::tail(f64::INFINITY), normal::tail(f64::NEG_INFINITY), normal::tail(60.0)),
        (0.0, 1.0, 0.0)
    );
    let least = normal::quantile(f64::MIN_POSITIVE * f64::EPSILON);
    assert!(least < -38.0 && least.is_finite(), "{least}");
}

#[test]
fn discoveries() {
    for case in golden("discoveries") {
        let (p_values, expected) = (numbers(&case["p_values"]), numbers(&case["q_values"]));
        let q_values = benjamini_hochberg(&p_values);
        assert!(
            q_values.iter().zip(&expected).all(|(q, expected)| (q - expected).abs() < 1e-14),
            "{q_values:?}"
        );
        let backwards: Vec<f64> = p_values.iter().rev().copied().collect();
        assert!(benjamini_hochberg(&backwards).iter().rev().eq(&q_values), "the order matters");
    }
    assert_eq!(benjamini_hochberg(&[]), Vec::<f64>::new());
    assert_eq!(benjamini_hochberg(&[f64::NAN, 0.01]), [1.0, 0.02]);
    assert_eq!(
        benjamini_hochberg_of(&[None, Some(0.04), None, Some(0.02)]),
        [None, Some(0.04), None, Some(0.04)]
    );
}

fn counted(rows: u64) -> Sums {
    Sums { rows, sum: rows as f64, squares: rows as f64 }
}

fn sums(values: &[f64]) -> Sums {
    let squares = values.iter().map(|value| value * value).sum();
    Sums { rows: values.len() as u64, sum: values.iter().sum(), squares }
}

#[test]
fn counts_are_tested_as_pearson_does() {
    for case in golden("drivers") {
        let rows = |part: usize, group: usize| counted(case["table"][part][group].as_u64().unwrap());
        let pair = |part| Pair { test: rows(part, 0), control: rows(part, 1) };
        let found = score(Aggregate::Sum, pair(0), pair(1)).unwrap();
        let expected = case["p_value"].as_f64().unwrap();
        assert!((normal::two_sided(found) / expected - 1.0).abs() < 1e-9, "{case}: {found}");
        assert!((score(Aggregate::Sum, pair(1), pair(0)).unwrap() + found).abs() < 1e-9);
    }
}

#[test]
fn what_a_segment_adds() {
    let segment = Pair { test: counted(60), control: counted(20) };
    let rest = Pair { test: counted(110), control: counted(100) };
    let whole = Pair { test: counted(170), control: counted(120) };
    let found = driver(Aggregate::Sum, whole, segment, &[whole]);
    assert_eq!((found.contribution, found.expected, found.test), (40.0, Some(22.0), Some(60.0)));
    assert!((found.lift.unwrap() - 60.0 / 22.0).abs() < 1e-12 && found.p_value.unwrap() < 0.001);
    let other = driver(Aggregate::Sum, whole, rest, &[whole]);
    assert_eq!(found.contribution + other.contribution, 50.0);
    // It is nothing but a part of a wider one, all of which grew.
    let wider = Pair { test: counted(120), control: counted(40) };
    assert!(driver(Aggregate::Sum, whole, segment, &[wider]).p_value.unwrap() > 0.9);
    assert!(driver(Aggregate::Sum, whole, segment, &[whole, wider]).p_value.unwrap() > 0.9);
    assert_eq!(driver(Aggregate::Sum, whole, whole, &[]).p_value, None);
    assert_eq!(driver(Aggregate::Sum, whole, whole, &[whole]).p_value, None, "there is no rest");
}

#[test]
fn means_are_compared_by_their_differences() {
    let rate = |ones: usize, zeros: usize| sums(&[vec![1.0; ones], vec![0.0; zeros]].concat());
    let segment = Pair { test: rate(30, 70), control: rate(10, 90) };
    let rest = Pair { test: rate(100, 900), control: rate(100, 900) };
    let whole = Pair { test: rate(130, 970), control: rate(110, 990) };
    let found = driver(Aggregate::Mean, whole, segment, &[whole]);
    assert!(
        (found.test.unwrap() - 0.3).abs() < 1e-12 && (found.expected.unwrap() - 0.1).abs() < 1e-12,
        "{found:?}"
    );
    assert!((found.contribution - 20.0 / 1100.0).abs() < 1e-12 && found.p_value.unwrap() < 0.001);
    // Of values that are all the same nothing can be told.
    let same = Pair { test: sums(&[0.1; 50]), control: sums(&[0.1; 70]) };
    assert_eq!(score(Aggregate::Mean, same, same), None);
    assert!(score(Aggregate::Mean, rest, segment).unwrap() < 0.0);
}

#[test]
fn what_cannot_be_told_is_not_told() {
    let whole = Pair { test: counted(5), control: counted(1000) };
    assert_eq!(
        score(Aggregate::Sum, Pair { test: counted(0), control: counted(20) }, whole),
        None,
        "too few rows"
    );
    let (loss, gain) = (sums(&[-5.0; 50]), sums(&[1.0; 50]));
    let segment = Pair { test: gain, control: gain };
    assert_eq!(score(Aggregate::Sum, segment, Pair { test: loss, control: gain }), None, "a total below 0");
    let none = driver(Aggregate::Sum, segment, segment, &[Pair::default()]);
    assert_eq!((none.expected, none.lift, none.p_value), (None, None, None));
    let empty = driver(Aggregate::Mean, Pair::default(), Pair::default(), &[Pair::default()]);
    assert_eq!((empty.test, empty.contribution, empty.p_value), (None, 0.0, None));
}

/// Numbers from 0 to 1 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Twenty segments of skewed values, of which the test group is a half or a tenth, dealt by chance: of 200 trials at most 5 % and a
/// little more may find anything. Where one segment has twice
/// as many rows in the test group, or larger values, it is found.
#[test]
fn shuffled_rows_have_no_drivers() {
    for (aggregate, share) in
        [(Aggregate::Sum, 0.5), (Aggregate::Sum, 0.1), (Aggregate::Mean, 0.5), (Aggregate::Mean, 0.1)]
    {
        let (mut with_any, mut planted) = (0, 0);
        for seed in 0..200 {
            let mut random = Random(seed);
            let mut values = vec![[Vec::new(), Vec::new()]; 20];
            for row in 0..20_000 {
                let value = -random.next().ln();
                values[row % 20][usize::from(random.next() >= share)].push(value);
            }
            let found = |values: &[[Vec<f64>; 2]]| {
                let pair =
                    |groups: &[Vec<f64>; 2]| Pair { test: sums(&groups[0]), control: sums(&groups[1]) };
                let all = |group: usize| {
                    sums(&values.iter().flat_map(|groups| groups[group].clone()).collect::<Vec<_>>())
                };
                let whole = Pair { test: all(0), control: all(1) };
                let p_values: Vec<_> = values
                    .iter()
                    .map(|groups| driver(aggregate, whole, pair(groups), &[whole]).p_value)
                    .collect();
                benjamini_hochberg_of(&p_values)
            };
            let is = |q: &Option<f64>| q.is_some_and(|q| q <= 0.05);
            with_any += usize::from(found(&values).iter().any(is));
            let more = values[3][0].clone();
            match aggregate {
                Aggregate::Sum => values[3][0].extend(more),
                Aggregate::Mean => values[3][0].iter_mut().for_each(|value| *value += 1.0),
            }
            planted += usize::from(is(&found(&values)[3]));
        }
        assert!(with_any <= 20, "{aggregate:?} {share}: {with_any} of 200");
        assert!(planted >= 190, "{aggregate:?} {share}: {planted} of 200");
    }
}
