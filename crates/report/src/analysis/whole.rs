//! All reviews: the period against the one before, each period, the trend, stars given beside stars read.
//!
//! Invariant: stars given are those of all rows, what was read is of the reviews that were read.

use std::collections::BTreeMap;

use ecommerce_ml_forecast::trend::Series;
use ecommerce_ml_metrics::drivers::Sums;

use super::{Negatives, When, change, read, reviews};
use crate::input::{Cell, Input};
use crate::report::{Change, Disagreement, PeriodRow, TrendRow};

/// Stars between what was given and what was read, from which on they are far apart.
pub const FAR_APART: f64 = 2.0;

/// Reviews that a period has to have for its mean to be a point of a trend.
const LEAST_OF_POINT: u64 = 5;

/// Points of a trend: of fewer, hardly any order is rarer than alpha.
const LEAST_POINTS: usize = 6;

/// Of the interval of a slope.
const LEVEL: f64 = 0.95;

/// Where stars come from.
pub fn stars_source(input: &Input) -> Option<&'static str> {
    let given = input.source.rating_column.is_some();
    let is_read =
        || input.texts.iter().any(|text| text.reading.is_some_and(|reading| reading.stars.is_some()));
    given.then_some("given").or_else(|| is_read().then_some("read"))
}

/// Rows of a period.
pub fn rows(input: &Input, index: i64) -> u64 {
    let own = |spans: crate::spans::Spans, day: i64| spans.index(day) == index;
    input
        .days
        .iter()
        .filter(|day| input.spans.is_some_and(|spans| own(spans, day.day)))
        .map(|day| day.rows)
        .sum()
}

/// Mean stars now and before.
pub fn stars(input: &Input) -> Change {
    if input.source.rating_column.is_some() {
        let sum = |cell: fn(&crate::input::Product) -> Cell| {
            input.products.iter().map(cell).fold(Sums::default(), |all, one| plus(all, one.stars))
        };
        return change::of_means(sum(|product| product.current), sum(|product| product.before));
    }
    change::of_means(stars_read(input, When::Current), stars_read(input, When::Before))
}

fn stars_read(input: &Input, when: When) -> Sums {
    let mut sums = Sums::default();
    for stars in read(input, reviews(input, when)).filter_map(|(.., reading)| reading.stars) {
        change::add(&mut sums, stars);
    }
    sums
}

/// Sums of both.
pub fn plus(one: Sums, other: Sums) -> Sums {
    Sums { rows: one.rows + other.rows, sum: one.sum + other.sum, squares: one.squares + other.squares }
}

/// The share of negative reviews now and before.
pub fn negative(input: &Input) -> Change {
    change::of_shares(negatives(input, When::Current).counts(), negatives(input, When::Before).counts())
}

fn negatives(input: &Input, when: When) -> Negatives {
    let mut counts = Negatives::default();
    read(input, reviews(input, when)).for_each(|(.., reading)| counts.add(reading.tone));
    counts
}

#[derive(Default)]
struct Tally {
    reviews: u64,
    given: Sums,
    histogram: [u64; 5],
    negatives: Negatives,
    stars: Sums,
    score: f64,
}

/// Each whole period, in order, those without rows in between too.
pub fn periods(input: &Input) -> Vec<PeriodRow> {
    let Some(spans) = input.spans else { return Vec::new() };
    let mut tallies: BTreeMap<i64, Tally> = BTreeMap::new();
    for day in input.days.iter().filter(|day| spans.contains(spans.index(day.day))) {
        let tally = tallies.entry(spans.index(day.day)).or_default();
        tally.reviews += day.rows;
        tally.given = plus(tally.given, day.stars);
        tally.histogram.iter_mut().zip(day.histogram).for_each(|(all, one)| *all += one);
    }
    for (review, _, reading) in read(input, input.reviews.iter()) {
        let Some(tally) = tallies.get_mut(&spans.index(review.day)) else { continue };
        tally.negatives.add(reading.tone);
        tally.score += reading.score;
        if let Some(stars) = reading.stars {
            change::add(&mut tally.stars, stars);
        }
    }
    fill(&mut tallies);
    tallies.into_iter().map(|(index, tally)| row(&spans.span(index), &tally)).collect()
}

/// Adds periods without rows, as long as they are few beside those with some.
fn fill(tallies: &mut BTreeMap<i64, Tally>) {
    let (Some((first, _)), Some((last, _))) = (tallies.first_key_value(), tallies.last_key_value()) else {
        return;
    };
    let (first, last) = (*first, *last);
    let most = (tallies.len() as i64).saturating_mul(4).max(60);
    if last.saturating_sub(first) <= most {
        (first..=last).for_each(|index| _ = tallies.entry(index).or_default());
    }
}

#[allow(clippy::cast_precision_loss)]
fn row(span: &crate::spans::Span, tally: &Tally) -> PeriodRow {
    let mean = |sums: Sums| (sums.rows > 0).then(|| sums.sum / sums.rows as f64);
    let of_read = |sum: f64| (tally.negatives.read > 0).then(|| sum / tally.negatives.read as f64);
    PeriodRow {
        label: span.label.clone(),
        from: span.from.clone(),
        to: span.to.clone(),
        reviews: tally.reviews,
        stars_given: mean(tally.given),
        stars_given_n: tally.given.rows,
        stars_given_counts: tally.histogram,
        stars_read: mean(tally.stars),
        stars_read_n: tally.stars.rows,
        read: tally.negatives.read,
        negative: tally.negatives.negative,
        negative_share: of_read(tally.negatives.negative as f64),
        score: of_read(tally.score),
    }
}

/// A number of a period, and the reviews that it is of.
type PeriodMeasure = fn(&PeriodRow) -> (Option<f64>, u64);

/// What a trend is looked for in: a number of each period that has enough reviews.
pub fn trend_values(periods: &[PeriodRow]) -> Option<(&'static str, Vec<(i64, f64)>)> {
    let measures: [(&'static str, PeriodMeasure); 3] = [
        ("mean stars given", |period| (period.stars_given, period.stars_given_n)),
        ("mean stars read", |period| (period.stars_read, period.stars_read_n)),
        ("share of negative reviews", |period| (period.negative_share, period.read)),
    ];
    let has = |measure: &PeriodMeasure| periods.iter().any(|period| measure(period).0.is_some());
    let (name, measure) = measures.into_iter().find(|(_, measure)| has(measure))?;
    let point = |(at, period): (i64, &PeriodRow)| {
        let (value, rows) = measure(period);
        value.filter(|_| rows >= LEAST_OF_POINT).map(|value| (at, value))
    };
    Some((name, (0..).zip(periods).filter_map(point).collect()))
}

/// How these values go.
pub fn trend(measure: &'static str, points: &[(i64, f64)]) -> Option<TrendRow> {
    if points.len() < LEAST_POINTS {
        return None;
    }
    let (times, values): (Vec<i64>, Vec<f64>) = points.iter().copied().unzip();
    let found = Series::new(&times, &values).ok()?.trend(1, LEVEL).ok()??;
    Some(TrendRow {
        measure,
        periods: points.len() as u64,
        slope: found.slope,
        lower: found.lower,
        upper: found.upper,
        test: "Mann-Kendall test",
        p_value: found.p_value,
        q_value: 1.0,
        significant: false,
    })
}

/// Stars given beside stars read, of the two periods.
#[allow(clippy::cast_precision_loss)]
pub fn disagreement(input: &Input) -> Option<Disagreement> {
    let both = reviews(input, When::Current).chain(reviews(input, When::Before));
    let pairs: Vec<(f64, f64)> =
        read(input, both).filter_map(|(review, _, reading)| review.stars.zip(reading.stars)).collect();
    let n = pairs.len() as f64;
    if pairs.is_empty() {
        return None;
    }
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (given, was_read) = (mean(&|pair| pair.0), mean(&|pair| pair.1));
    let covariance = mean(&|pair| (pair.0 - given) * (pair.1 - was_read));
    let variances = mean(&|pair| (pair.0 - given).powi(2)) * mean(&|pair| (pair.1 - was_read).powi(2));
    let far_apart =
        pairs.iter().filter(|(given, was_read)| (given - was_read).abs() >= FAR_APART).count() as u64;
    Some(Disagreement {
        reviews: pairs.len() as u64,
        mean_given: given,
        mean_read: was_read,
        mean_absolute: mean(&|pair| (pair.0 - pair.1).abs()),
        correlation: (variances > 1e-18).then(|| (covariance / variances.sqrt()).clamp(-1.0, 1.0)),
        far_apart,
        far_apart_share: far_apart as f64 / n,
    })
}
