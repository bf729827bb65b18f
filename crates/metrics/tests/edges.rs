//! Rows that are few, odd or many.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use ecommerce_ml_metrics::paired::{bootstrap, mcnemar};
use ecommerce_ml_metrics::{Calibration, Confusion, Curve, Refused, Regression, Scored};

#[test]
fn nothing_has_no_value() {
    let scored = Scored::new(3);
    let confusion = scored.confusion();
    assert_eq!((confusion.total(), confusion.accuracy()), (0, None));
    assert_eq!((confusion.macro_average(), confusion.weighted_average()), (None, None));
    assert_eq!(confusion.occurring().count(), 0);
    assert_eq!((scored.log_loss(), scored.calibration_error()), (None, None));
    assert_eq!((scored.roc_auc(0), scored.roc_auc(7), scored.macro_roc_auc()), (None, None, None));
    let nothing = Regression::default();
    assert_eq!((nothing.mae(), nothing.rmse(), nothing.r2(), nothing.pearson()), (None, None, None, None));
    assert_eq!(Scored::new(0).macro_roc_auc(), None);
}

#[test]
fn what_is_not_finite_is_refused_and_not_counted() {
    let mut scored = Scored::new(2);
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(scored.add(0, &[0.5, odd]), Err(Refused::NotFinite));
        assert_eq!(Curve::new(10).add(odd, true), Err(Refused::NotFinite));
    }
    assert_eq!(scored.confusion().total(), 0);
    assert_eq!(Calibration::default().add(f64::NAN, true), Err(Refused::NotFinite));
    let mut regression = Regression::default();
    assert_eq!(regression.add(f64::NAN, 1.0), Err(Refused::NotFinite));
    assert_eq!(regression.add(1.0, f64::INFINITY), Err(Refused::NotFinite));
    assert_eq!(regression.rows(), 0);
}

#[test]
fn rows_must_fit_the_classes() {
    let mut scored = Scored::new(2);
    assert_eq!(scored.add(2, &[0.5, 0.5]), Err(Refused::NoSuchClass));
    assert_eq!(scored.add(0, &[1.0]), Err(Refused::NoSuchClass));
    let mut confusion = Confusion::new(2);
    assert_eq!(confusion.add(0, 2, 1), Err(Refused::NoSuchClass));
    assert_eq!((confusion.total(), confusion.count(5, 0)), (0, 0));
}

#[test]
fn the_last_of_equal_probabilities_is_predicted() {
    let mut scored = Scored::new(3);
    scored.add(1, &[0.4, 0.4, 0.2]).unwrap();
    assert_eq!(scored.confusion().count(1, 1), 1);
}

#[test]
fn sums_that_overflow_have_no_value() {
    let mut regression = Regression::default();
    regression.add(1e300, -1e300).unwrap();
    regression.add(-1e300, 1e300).unwrap();
    assert_eq!((regression.mae(), regression.rmse()), (Some(2e300), None));
}

/// A sequence that doesn't repeat within a test: the state of a 64-bit congruential generator (Knuth's MMIX).
fn noise(state: &mut u64) -> f32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 40) as f32 / (1u64 << 24) as f32
}

#[test]
fn many_different_scores_cost_bounded_memory_and_little_precision() {
    let (mut exact, mut bounded) = (Curve::new(1 << 20), Curve::new(1 << 10));
    let mut state = 7;
    for _ in 0..100_000 {
        let score = noise(&mut state);
        let of_class = noise(&mut state) < score;
        exact.add(score, of_class).unwrap();
        bounded.add(score, of_class).unwrap();
    }
    assert!(!exact.is_coarse() && bounded.is_coarse());
    let gap = exact.area().unwrap() - bounded.area().unwrap();
    assert!(gap.abs() < 1e-4, "{gap}");
}

#[test]
fn scores_of_either_sign_are_in_order() {
    let mut curve = Curve::new(10);
    for (score, of_class) in [(-2.0, false), (-1.0, true), (-0.0, false), (0.0, true), (3.0, true)] {
        curve.add(score, of_class).unwrap();
    }
    // Of six pairs four are in order, one is a tie, one is not.
    assert_eq!(curve.area(), Some(4.5 / 6.0));
}

#[test]
fn models_that_swap_places_differ_as_much() {
    for (wins, losses) in [(0, 9), (17, 40), (1000, 1101), (u64::MAX, u64::MAX)] {
        assert_eq!(mcnemar(wins, losses).to_bits(), mcnemar(losses, wins).to_bits());
    }
    let differences: Vec<f64> = (0..50).map(|row| f64::from(row % 7) - 2.5).collect();
    let swapped: Vec<f64> = differences.iter().map(|value| -value).collect();
    assert_eq!(bootstrap(&differences, 1).to_bits(), bootstrap(&swapped, 1).to_bits());
}

#[test]
fn more_wins_are_less_likely_to_be_chance() {
    for losses in [0, 1, 15, 16, 100, 5000] {
        let probabilities: Vec<f64> = (losses..losses + 400).map(|wins| mcnemar(wins, losses)).collect();
        assert!(probabilities.windows(2).all(|pair| pair[1] <= pair[0] && pair[1] > 0.0), "{losses}");
    }
    // Some 1e-400 is no number any more.
    assert_eq!(mcnemar(0, 2000), 0.0);
}

#[test]
fn few_or_odd_differences_prove_nothing() {
    for differences in [&[][..], &[3.0], &[0.0; 9], &[1.0, f64::NAN], &[1.0, f64::INFINITY]] {
        assert_eq!(bootstrap(differences, 1), 1.0);
    }
    assert_eq!([bootstrap(&[2.0, 2.0], 1), bootstrap(&[0.1; 4], 1)], [0.5, 0.125]);
    assert_eq!(bootstrap(&[0.1; 100], 1), 1e-4);
}

#[test]
fn bootstraps_never_change() {
    let differences: Vec<f64> = (0..30).map(|row| f64::from(row % 7) - 2.5).collect();
    assert_eq!([bootstrap(&differences, 1), bootstrap(&differences, 2)], [0.3741, 0.3799]);
}
