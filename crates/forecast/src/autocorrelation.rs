//! How a series resembles itself some periods before.
//!
//! It must not know trends. Invariant: a constant series resembles nothing: `None`, or no season.

/// Standard errors by which the correlation a season apart has to exceed 0: 5 % of series without a season do.
const SEASONAL: f64 = 1.645;

/// Seasons that a series has to have for one to be seen in it.
pub const LEAST_SEASONS: usize = 3;

/// Autocorrelations at lags 1 to `lags`, each over the variance of all (Box, Jenkins and Reinsel, "Time series analysis", 2.1.5).
#[allow(clippy::cast_precision_loss)]
pub fn autocorrelations(values: &[f64], lags: usize) -> Option<Vec<f64>> {
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return None;
    }
    // Scaled, so that squares neither overflow nor vanish.
    let scaled: Vec<f64> = values.iter().map(|value| value / largest).collect();
    let mean = scaled.iter().sum::<f64>() / scaled.len() as f64;
    let centred: Vec<f64> = scaled.iter().map(|value| value - mean).collect();
    let variance: f64 = centred.iter().map(|value| value * value).sum();
    // What rounding leaves of values that are all the same is no variance.
    if variance <= centred.len() as f64 * f64::EPSILON * f64::EPSILON * 16.0 {
        return None;
    }
    let at = |lag: usize| {
        let later = centred.get(lag..).unwrap_or_default();
        centred.iter().zip(later).map(|(one, other)| one * other).sum::<f64>() / variance
    };
    Some((1..=lags).map(at).collect())
}

/// Whether a series without trend repeats itself every so many periods: its autocorrelation there exceeds what Bartlett's formula
/// allows for (Fiorucci et al., "Models for optimising the theta method", 2016, section 4). At least [`LEAST_SEASONS`] seasons are
/// needed.
#[allow(clippy::cast_precision_loss)]
pub fn is_seasonal(values: &[f64], season: usize) -> bool {
    if season < 2 || values.len() < season.saturating_mul(LEAST_SEASONS) {
        return false;
    }
    let Some(correlations) = autocorrelations(values, season) else { return false };
    let Some((last, before)) = correlations.split_last() else { return false };
    let squares: f64 = before.iter().map(|one| one * one).sum();
    *last > SEASONAL * ((1.0 + 2.0 * squares) / values.len() as f64).sqrt()
}

/// By how much the variance of a Mann-Kendall statistic is larger than that of independent values, at least 1, from the
/// autocorrelations of their ranks (Hamed and Rao, "A modified Mann-Kendall trend test for autocorrelated data", 1998), those that 5 %
/// of independent series exceed and no others. Serial correlation only ever makes a trend less certain here.
#[allow(clippy::cast_precision_loss)]
pub fn variance_inflation(ranks: &[f64]) -> f64 {
    let count = ranks.len();
    let n = count as f64;
    if count < 4 {
        return 1.0;
    }
    let Some(correlations) = autocorrelations(ranks, count - 1) else { return 1.0 };
    let limit = 1.959_963_984_540_054 / n.sqrt();
    let term = |(at, correlation): (usize, &f64)| {
        let rest = n - (at + 1) as f64;
        rest * (rest - 1.0) * (rest - 2.0) * correlation
    };
    let significant = correlations.iter().enumerate().filter(|(_, one)| one.abs() > limit);
    (1.0 + 2.0 / (n * (n - 1.0) * (n - 2.0)) * significant.map(term).sum::<f64>()).max(1.0)
}
