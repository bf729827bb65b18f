//! Values of a series that are unlike what was expected of them a period before, and which part of it they differ in.
//!
//! A value beyond its interval is taken in as if it lay at the end of it, so that it doesn't disturb what is expected next (robust
//! exponential smoothing: Gelper, Fried and Croux, "Robust forecasting with exponential and Holt-Winters smoothing", 2010); the third in a
//! row on the same side is taken as it is. It must not know methods or keys. Invariant: scores are finite, and no expectation knows the
//! value that it is compared with.

use crate::forecaster::Forecaster;
use crate::selection::{Fitted, MOST_HISTORY};
use crate::series::Series;

/// Ends of the interval that a value is expected in: 99 % of all are.
const LEVELS: [f64; 2] = [0.005, 0.995];
/// The smaller side of an interval, as a part of the larger one, and the least of both as a part of the largest value: nothing is certain.
const LEAST_SIDE: f64 = 0.1;
const LEAST_PART: f64 = 1e-6;
/// Values beyond the interval on one side after which such a value is taken as it is.
const IN_A_ROW: i32 = 2;
/// Periods from which on it can be told which part of a series is different, and most that are looked at.
const FEWEST: usize = 3;
const MOST: usize = 60;
/// Fewest periods that are looked at, where there are so many.
const WINDOW: usize = 8;
/// What a part has to explain of the squares to be named.
const NAMED: f64 = 0.1;

/// A part of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// From here on all values differ by the same.
    Level,
    /// From here on they differ more and more.
    Trend,
    /// The season is stronger, weaker or another.
    Season,
    /// This value alone differs.
    Outlier,
}

impl Component {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Trend => "trend",
            Self::Season => "season",
            Self::Outlier => "outlier",
        }
    }
}

/// What a change of a part explains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reason {
    /// The part.
    pub component: Component,
    /// Of the squares of what this value and those after it differ by from what was expected of them before it, from 0 to 1.
    pub share: f64,
}

/// A value beside what was expected of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// The number of its period.
    pub period: i64,
    /// What came.
    pub observed: f64,
    /// What was expected.
    pub expected: f64,
    /// Lower end of the interval that 99 % of values are in.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// How far it is from what was expected, where the end of the interval is 1.
    pub score: f64,
    /// Parts that explain it, the one that explains most first; none where too few periods followed.
    pub reasons: Vec<Reason>,
}

impl Forecaster {
    /// The values of a series that are least like what was expected, those first, at most `count`; `end` is the first period that the
    /// forecaster doesn't know. Of a long series only the last 2,000 values are looked at.
    pub fn anomalies(&self, place: usize, end: i64, now: &Series, count: usize) -> Vec<Anomaly> {
        let Some(scan) = Scan::new(self, place, end, now) else { return Vec::new() };
        let mut found: Vec<(usize, Anomaly)> = Vec::new();
        scan.walk(|at, _, anomaly| found.extend(anomaly.map(|anomaly| (at, anomaly))));
        found.sort_by(|one, other| other.1.score.total_cmp(&one.1.score).then(one.0.cmp(&other.0)));
        found.truncate(count);
        // A second time, since what is expected of the values after one depends on what was known before it.
        scan.walk(|at, before, _| {
            if let Some((_, anomaly)) = found.iter_mut().find(|(place, _)| *place == at) {
                anomaly.reasons = scan.reasons(at, before);
            }
        });
        found.into_iter().map(|(_, anomaly)| anomaly).collect()
    }
}

/// A series and what is expected of it.
struct Scan<'a> {
    values: &'a [f64],
    first: i64,
    missing: Vec<usize>,
    start: Fitted,
    /// Quantiles of errors, in the unit of the values.
    errors: [f64; 2],
    season: usize,
    largest: f64,
}

impl<'a> Scan<'a> {
    fn new(forecaster: &Forecaster, place: usize, end: i64, now: &'a Series) -> Option<Self> {
        let fitted = forecaster.fitted(place)?;
        let skipped = now.values.len().saturating_sub(MOST_HISTORY);
        let values = now.values.get(skipped..)?;
        let first = now.first.saturating_add(i64::try_from(skipped).ok()?);
        let fitted_to = i64::try_from(fitted.length).ok()?;
        let fitted_from = forecaster.known_until(place, end).saturating_sub(fitted_to);
        let missing = now.missing.iter().filter_map(|at| usize::try_from(*at).ok()?.checked_sub(skipped));
        Some(Self {
            values,
            first,
            missing: missing.collect(),
            start: fitted.restarted(values, first.saturating_sub(fitted_from)),
            errors: LEVELS.map(|level| forecaster.first_error(place, level)),
            season: forecaster.season(place),
            largest: values.iter().fold(0.0, |largest, value| largest.max(value.abs())),
        })
    }

    /// Hands out each value with what was known before it; nothing can be said of one that is missing, or comes too early.
    fn walk(&self, mut take: impl FnMut(usize, &Fitted, Option<Anomaly>)) {
        let mut fitted = self.start.clone();
        let warm_up = fitted.warm_up().min(self.values.len() / 2);
        let mut in_a_row = 0_i32;
        for ((at, value), period) in self.values.iter().enumerate().zip(self.first..) {
            let found = self.compare(period, *value, &fitted);
            let Anomaly { lower, upper, .. } = found;
            let side = i32::from(*value > upper) - i32::from(*value < lower);
            in_a_row = if side == in_a_row.signum() { in_a_row + side } else { side };
            let is_known = self.missing.binary_search(&at).is_err();
            let Anomaly { expected, .. } = found;
            take(at, &fitted, (is_known && at >= warm_up).then_some(found));
            let settled = at >= warm_up && upper > lower && in_a_row.abs() <= IN_A_ROW;
            fitted.update(match (is_known, settled) {
                (false, _) => expected,
                (true, true) => value.clamp(lower, upper),
                (true, false) => *value,
            });
        }
    }

    fn compare(&self, period: i64, observed: f64, fitted: &Fitted) -> Anomaly {
        let expected = fitted.forecast(1).first().copied().unwrap_or_default();
        let [low, high] = self.errors;
        let least = LEAST_PART * self.largest;
        let (below, above) =
            ((-low).max(LEAST_SIDE * high).max(least), high.max(LEAST_SIDE * -low).max(least));
        let error = observed - expected;
        let side = if error < 0.0 { below } else { above };
        let score = if side > 0.0 { (error.abs() / side).min(f64::MAX) } else { 0.0 };
        Anomaly {
            period,
            observed,
            expected,
            lower: fitted.clamp(expected - below),
            upper: fitted.clamp(expected + above),
            score: if score.is_nan() { 0.0 } else { score },
            reasons: Vec::new(),
        }
    }

    /// What explains that values from here on differ from what was expected of them before.
    fn reasons(&self, from: usize, before: &Fitted) -> Vec<Reason> {
        let periods = (self.values.len() - from).min(self.season.max(WINDOW)).min(MOST);
        let expected = before.forecast(periods.max(self.season));
        let mean = mean(expected.iter().take(self.season).copied());
        let after = self.values.get(from..).unwrap_or_default().iter().zip(&expected).take(periods);
        let difference = |(at, (value, expected)): (usize, (&f64, &f64))| Difference {
            #[allow(clippy::cast_precision_loss)]
            after: at as f64,
            // So that squares are finite.
            error: (value - expected) / self.largest,
            season: if self.season > 1 { (expected - mean) / self.largest } else { 0.0 },
        };
        let is_known = |(at, _): &(usize, _)| self.missing.binary_search(&(from + at)).is_err();
        let rest: Vec<Difference> = after.enumerate().filter(is_known).map(difference).collect();
        let all = if rest.len() < FEWEST { Vec::new() } else { shares(&rest) };
        let mut named: Vec<Reason> = all.into_iter().filter(|reason| reason.share >= NAMED).collect();
        named.sort_by(|one, other| other.share.total_cmp(&one.share));
        named
    }
}

/// What a value differs by.
struct Difference {
    /// Periods after the first one.
    after: f64,
    error: f64,
    /// What the season adds.
    season: f64,
}

/// What each part explains of the squares, by least squares.
fn shares(rest: &[Difference]) -> Vec<Reason> {
    let total: f64 = rest.iter().map(|one| one.error * one.error).sum();
    let part = |component, shape: fn(&Difference) -> f64| {
        let product: f64 = rest.iter().map(|one| shape(one) * one.error).sum();
        let squares: f64 = rest.iter().map(|one| shape(one).powi(2)).sum();
        let share = if squares > 0.0 && total > 0.0 { product * product / (squares * total) } else { 0.0 };
        Reason { component, share: if share.is_nan() { 0.0 } else { share.min(1.0) } }
    };
    vec![
        part(Component::Outlier, |one| f64::from(u8::from(one.after == 0.0))),
        part(Component::Level, |_| 1.0),
        part(Component::Trend, |one| one.after + 1.0),
        part(Component::Season, |one| one.season),
    ]
}

#[allow(clippy::cast_precision_loss)]
fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count().max(1) as f64
}
