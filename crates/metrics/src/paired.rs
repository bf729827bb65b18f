//! Whether two models differ, told from the same rows: by right and wrong, or by how far each is off.
//!
//! It must not know which model is which. Invariant: the same rows give the same probability on every machine, and swapping
//! the models changes nothing.

use crate::binomial::lower_tail;

/// Resamples of a bootstrap, and the least of them where there are very many rows.
const RESAMPLES: usize = 9_999;
const LEAST_RESAMPLES: usize = 999;

/// Draws of a bootstrap beyond which resamples become fewer.
const DRAWS: usize = 1 << 28;

/// What numbers up to 1 that are all the same may seem to vary by.
const ROUNDING: f64 = 1e-28;

/// McNemar's exact test: the probability that two models that are equally often right differ at least as much as here,
/// where `wins` are the rows that only one of them gets right, and `losses` those that only the other does.
///
/// Each such row falls to either side with probability 1/2, so this is the two-sided binomial test, not the chi-squared
/// approximation (McNemar 1947; Dietterich, "Approximate statistical tests for comparing supervised classification
/// learning algorithms", 1998). Rows that both get right or wrong say nothing. 1 if there are no others.
#[allow(clippy::cast_precision_loss)]
pub fn mcnemar(wins: u64, losses: u64) -> f64 {
    // The two tails then make up the whole.
    if wins.abs_diff(losses) <= 1 {
        return 1.0;
    }
    let (few, many) = (wins.min(losses) as f64, wins.max(losses) as f64);
    (2.0 * lower_tail(few, few + many)).min(1.0)
}

/// A bootstrap of paired differences, one a row: the probability that differences whose true mean is 0 have a mean at least
/// as far from it as these, in standard errors.
///
/// The differences are shifted so that their mean is 0, and t = mean / standard error is computed of 9,999 resamples of
/// them and compared with that of the differences themselves, both signs counted (Efron and Tibshirani, "An introduction
/// to the bootstrap", 1993, algorithm 16.2). Of b resamples as far off, the probability is (b + 1) / 10,000 (Davison and
/// Hinkley, "Bootstrap methods and their application", 1997, equation 4.11). With more than 26,846 rows there are fewer
/// resamples, down to 999, so that it takes seconds and not minutes. It is never below 2^(1 - rows), because signs
/// alone agree that often.
///
/// 1 if there are fewer than two differences, or if one isn't finite.
#[allow(clippy::cast_precision_loss)]
pub fn bootstrap(differences: &[f64], seed: u64) -> f64 {
    let rows = differences.len();
    let largest = differences.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    if rows < 2 || largest == 0.0 || !differences.iter().all(|value| value.is_finite()) {
        return 1.0;
    }
    // Scaled, so that squares neither overflow nor vanish.
    let mut centred: Vec<f64> = differences.iter().map(|value| value / largest).collect();
    let mean = centred.iter().sum::<f64>() / rows as f64;
    centred.iter_mut().for_each(|value| *value -= mean);
    let spread = variance(&centred);

    let resamples = (DRAWS / rows).clamp(LEAST_RESAMPLES, RESAMPLES);
    let mut random = SplitMix64 { state: seed };
    let as_far = (0..resamples).filter(|_| {
        let (drawn_mean, drawn_spread) = resample(&centred, &mut random);
        // |drawn t| >= |t|, without the quotient: resamples of one row alone have no spread.
        drawn_mean * drawn_mean * spread >= mean * mean * drawn_spread
    });
    let as_far = if spread > ROUNDING { as_far.count() } else { 0 };
    let least = 0.5_f64.powi(i32::try_from(rows - 1).unwrap_or(i32::MAX));
    least.max((as_far + 1) as f64 / (resamples + 1) as f64)
}

/// Mean and variance of as many values as there are, each any of them.
#[allow(clippy::cast_precision_loss)]
fn resample(values: &[f64], random: &mut SplitMix64) -> (f64, f64) {
    let (mut sum, mut squares) = (0.0, 0.0);
    for _ in values {
        let value = values[random.below(values.len())];
        sum += value;
        squares += value * value;
    }
    let (mean, rows) = (sum / values.len() as f64, values.len() as f64);
    (mean, (squares / rows - mean * mean).max(0.0))
}

#[allow(clippy::cast_precision_loss)]
fn variance(centred: &[f64]) -> f64 {
    centred.iter().map(|value| value * value).sum::<f64>() / centred.len() as f64
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A number below `limit` (Lemire, "Fast random integer generation in an interval", 2019, without rejection).
    #[allow(clippy::cast_possible_truncation)]
    fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * limit as u128) >> 64) as usize
    }
}
