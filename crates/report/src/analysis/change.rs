//! Numbers now and before, tested, with all tests of a family and all families accounted for.
//!
//! Four families are tested: all reviews, products, topics and words. Within one the rate of false discoveries is held (Benjamini and
//! Hochberg, 1995), and q values are multiplied by four (Bonferroni). Invariant: a change without a test is never significant.

use ecommerce_ml_metrics::discovery::benjamini_hochberg_of;
use ecommerce_ml_metrics::drivers::Sums;
use ecommerce_ml_metrics::two_samples;

use crate::report::{Change, TrendRow};

/// Families of tests.
pub const FAMILIES: u64 = 4;

/// Of the interval of a difference of means.
const LEVEL: f64 = 0.95;

/// Welch's test.
pub const WELCH: &str = "Welch's t-test";

/// A mean now and before.
#[allow(clippy::cast_precision_loss)]
pub fn of_means(current: Sums, before: Sums) -> Change {
    let mean = |sums: Sums| (sums.rows > 0).then(|| sums.sum / sums.rows as f64);
    let found = two_samples::welch(current, before, LEVEL);
    let (now, then) = (mean(current), mean(before));
    Change {
        current: now,
        before: then,
        n_current: current.rows,
        n_before: before.rows,
        difference: now.zip(then).map(|(now, then)| now - then),
        lower: found.map(|found| found.lower),
        upper: found.map(|found| found.upper),
        test: found.map(|_| WELCH),
        p_value: found.map(|found| found.p_value),
        q_value: None,
        significant: false,
    }
}

/// A share now and before, of hits among so many.
#[allow(clippy::cast_precision_loss)]
pub fn of_shares(current: (u64, u64), before: (u64, u64)) -> Change {
    let share = |(hits, of): (u64, u64)| (of > 0).then(|| hits as f64 / of as f64);
    let found = two_samples::shares(current, before);
    let (now, then) = (share(current), share(before));
    Change {
        current: now,
        before: then,
        n_current: current.1,
        n_before: before.1,
        difference: now.zip(then).map(|(now, then)| now - then),
        test: found.map(|found| found.test.name()),
        p_value: found.map(|found| found.p_value),
        ..Change::default()
    }
}

/// Adds a value to sums.
pub fn add(sums: &mut Sums, value: f64) {
    sums.rows += 1;
    sums.sum += value;
    sums.squares += value * value;
}

/// Gives the changes of a family their q values; how many were tested.
pub fn adjust(mut family: Vec<&mut Change>, alpha: f64) -> u64 {
    let p_values: Vec<Option<f64>> = family.iter().map(|change| change.p_value).collect();
    for (change, q_value) in family.iter_mut().zip(q_values(&p_values)) {
        change.q_value = q_value;
        change.significant = q_value.is_some_and(|q| q <= alpha);
    }
    p_values.iter().flatten().count() as u64
}

/// The same for the family of all reviews, one of which is a trend.
pub fn adjust_whole(stars: &mut Change, negative: &mut Change, trend: Option<&mut TrendRow>, alpha: f64) {
    let p_values = [stars.p_value, negative.p_value, trend.as_ref().map(|trend| trend.p_value)];
    let mut found = q_values(&p_values).into_iter();
    for change in [stars, negative] {
        change.q_value = found.next().flatten();
        change.significant = change.q_value.is_some_and(|q| q <= alpha);
    }
    if let Some((trend, q_value)) = trend.zip(found.next().flatten()) {
        trend.q_value = q_value;
        trend.significant = q_value <= alpha;
    }
}

#[allow(clippy::cast_precision_loss)]
fn q_values(p_values: &[Option<f64>]) -> Vec<Option<f64>> {
    let all = benjamini_hochberg_of(p_values);
    all.into_iter().map(|q| q.map(|q| (q * FAMILIES as f64).min(1.0))).collect()
}
