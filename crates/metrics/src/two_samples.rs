//! Whether two samples differ by more than chance: means and shares.
//!
//! It must not know what was measured. Invariant: swapping the samples turns signs and changes no probability.

use crate::drivers::Sums;
use crate::gamma::ln_gamma;
use crate::normal;
use crate::student;

/// Values that each sample has to have: with fewer, values of five stars are no normal distribution's, nor is their mean.
pub const LEAST_VALUES: u64 = 5;

/// What each cell of a table of two by two has to be expected to have, for a normal distribution to be near enough.
const LEAST_EXPECTED: f64 = 5.0;

/// How much a mean differs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanDifference {
    /// Of the mean of the test sample and that of the control.
    pub difference: f64,
    /// The interval that holds it with the level asked for.
    pub lower: f64,
    /// Its upper end.
    pub upper: f64,
    /// Two-sided probability of such a difference by chance.
    pub p_value: f64,
}

/// How much a share differs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShareDifference {
    /// Of the share in the test sample and that in the control.
    pub difference: f64,
    /// Two-sided probability of such a difference by chance.
    pub p_value: f64,
    /// By which test.
    pub test: ShareTest,
}

/// Tests of shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareTest {
    /// The score test with the pooled share, where each cell is expected to have five.
    TwoProportions,
    /// Fisher's exact test, where one is not.
    Fisher,
}

impl ShareTest {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TwoProportions => "two-proportion z-test",
            Self::Fisher => "Fisher's exact test",
        }
    }
}

/// Welch's t-test (1947), whose samples may differ in variance too; `None` of fewer than [`LEAST_VALUES`] values in a sample, or if
/// neither varies.
#[allow(clippy::cast_precision_loss)]
pub fn welch(test: Sums, control: Sums, level: f64) -> Option<MeanDifference> {
    let sample = |sums: Sums| {
        let rows = sums.rows as f64;
        let mean = sums.sum / rows;
        // What rounding leaves of values that are all the same is no variance.
        let deviations = sums.squares - mean * sums.sum;
        let varies = deviations > sums.squares * f64::EPSILON * rows.sqrt();
        let variance = if varies { deviations / (rows - 1.0) } else { 0.0 };
        (sums.rows >= LEAST_VALUES).then_some((mean, variance / rows, rows))
    };
    let ((mean, variance, rows), (other_mean, other_variance, other_rows)) =
        (sample(test)?, sample(control)?);
    let sum = variance + other_variance;
    if !(sum > 0.0 && sum.is_finite()) {
        return None;
    }
    let parts = variance * variance / (rows - 1.0) + other_variance * other_variance / (other_rows - 1.0);
    let degrees = sum * sum / parts;
    let (difference, error) = (mean - other_mean, sum.sqrt());
    let margin = student::upper_quantile((1.0 - level) / 2.0, degrees) * error;
    Some(MeanDifference {
        difference,
        lower: difference - margin,
        upper: difference + margin,
        p_value: student::two_sided(difference / error, degrees),
    })
}

/// Whether a share differs, of counts among so many: (`hits`, `of`) of the test sample, and of the control. `None` of an empty sample,
/// or if nothing or everything is a hit.
#[allow(clippy::cast_precision_loss)]
pub fn shares(test: (u64, u64), control: (u64, u64)) -> Option<ShareDifference> {
    let ((hits, of), (other_hits, other_of)) = (test, control);
    let (all_hits, all) = (hits + other_hits, of + other_of);
    if of == 0 || other_of == 0 || all_hits == 0 || all_hits >= all {
        return None;
    }
    let difference = hits as f64 / of as f64 - other_hits as f64 / other_of as f64;
    let share = all_hits as f64 / all as f64;
    let expected = share.min(1.0 - share) * of.min(other_of) as f64;
    if expected < LEAST_EXPECTED {
        return Some(ShareDifference { difference, p_value: fisher(test, control), test: ShareTest::Fisher });
    }
    let error = (share * (1.0 - share) * (1.0 / of as f64 + 1.0 / other_of as f64)).sqrt();
    let p_value = normal::two_sided(difference / error);
    Some(ShareDifference { difference, p_value, test: ShareTest::TwoProportions })
}

/// The probability of all tables with these margins that are no likelier than this one.
#[allow(clippy::cast_precision_loss)]
fn fisher((hits, of): (u64, u64), (other_hits, other_of): (u64, u64)) -> f64 {
    let all_hits = hits + other_hits;
    let ln_choose =
        |n: u64, k: u64| ln_gamma(n as f64 + 1.0) - ln_gamma(k as f64 + 1.0) - ln_gamma((n - k) as f64 + 1.0);
    let ln_all = ln_choose(of + other_of, all_hits);
    let ln_probability = |k: u64| ln_choose(of, k) + ln_choose(other_of, all_hits - k) - ln_all;
    let own = ln_probability(hits);
    // As R does it: equal but for rounding counts as equal.
    let tables = all_hits.saturating_sub(other_of)..=all_hits.min(of);
    let sum: f64 = tables.map(ln_probability).filter(|other| *other <= own + 1e-7).map(f64::exp).sum();
    sum.min(1.0)
}
