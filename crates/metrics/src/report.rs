//! Metrics as rows, under the names that SQL shows.
//!
//! It must not know who reads them. Invariant: a metric of all rows has no class, one of a class names it; what has no
//! value has no row.

use crate::baseline::{ClassBaseline, Numbers};
use crate::foretold::{Foretold, calibration_error, mean_error, tenths, total_error};
use crate::ranking::Rankings;
use crate::{ClassScores, Confidence, Confusion, Curve, Regression, Scored};

/// Name, class, value.
pub type Metric = (String, Option<String>, f64);

/// Actual class, predicted class, rows.
pub type Cell = (String, String, i64);

fn overall(name: &str, value: Option<f64>) -> Option<Metric> {
    value.map(|value| (name.to_owned(), None, value))
}

fn of_class(name: &str, class: &str, value: Option<f64>) -> Option<Metric> {
    value.map(|value| (name.to_owned(), Some(class.to_owned()), value))
}

#[allow(clippy::cast_precision_loss)]
fn counts(counted: u64, skipped: u64) -> [Option<Metric>; 2] {
    [overall("count", Some(counted as f64)), overall("skipped", Some(skipped as f64))]
}

fn average(kind: &str, scores: Option<ClassScores>) -> [Option<Metric>; 3] {
    let metric =
        |name: &str, read: fn(ClassScores) -> f64| overall(&format!("{kind}_{name}"), scores.map(read));
    [
        metric("precision", |scores| scores.precision),
        metric("recall", |scores| scores.recall),
        metric("f1", |scores| scores.f1),
    ]
}

#[allow(clippy::cast_precision_loss)]
fn scores(class: &str, scores: ClassScores) -> [Option<Metric>; 4] {
    [
        of_class("precision", class, Some(scores.precision)),
        of_class("recall", class, Some(scores.recall)),
        of_class("f1", class, Some(scores.f1)),
        of_class("support", class, Some(scores.support as f64)),
    ]
}

/// What follows from classes alone.
pub fn of_classes(names: &[String], confusion: &Confusion, skipped: u64) -> Vec<Metric> {
    let mut metrics = Vec::from(counts(confusion.total(), skipped));
    metrics.push(overall("accuracy", confusion.accuracy()));
    metrics.extend(average("macro", confusion.macro_average()));
    metrics.extend(average("weighted", confusion.weighted_average()));
    let per_class = confusion.occurring().flat_map(|class| scores(&names[class], confusion.class(class)));
    metrics.extend(per_class);
    metrics.into_iter().flatten().collect()
}

/// What takes the probabilities too. Of two classes, one has a curve: the other's has the same area.
pub fn of_probabilities(names: &[String], positive: Option<usize>, scored: &Scored) -> Vec<Metric> {
    let mut metrics = vec![
        overall("log_loss", scored.log_loss()),
        overall("calibration_error", scored.calibration_error()),
    ];
    metrics.extend(accuracies_at_coverage("", scored.confidence()));
    let classes = names.iter().enumerate();
    let classes = classes.filter(|(class, _)| positive.is_none_or(|positive| positive == *class));
    metrics.extend(classes.map(|(class, name)| of_class("roc_auc", name, scored.roc_auc(class))));
    if positive.is_none() {
        metrics.push(overall("macro_roc_auc", scored.macro_roc_auc()));
    }
    metrics.into_iter().flatten().collect()
}

/// What the sentiments are worth that several classes mean, such as four and five stars, and how sure they are.
pub fn of_sentiments(confidence: &Confidence) -> impl Iterator<Item = Metric> {
    let metrics = [
        overall("sentiment_accuracy", confidence.accuracy()),
        overall("sentiment_calibration_error", confidence.calibration_error()),
    ];
    metrics.into_iter().chain(accuracies_at_coverage("sentiment_", confidence)).flatten()
}

/// Accuracy of the surest half, and of the surest 80 and 90 %: what is left to people is the rest.
fn accuracies_at_coverage(of: &str, confidence: &Confidence) -> [Option<Metric>; 3] {
    ["0.5", "0.8", "0.9"].map(|coverage| {
        let accuracy = coverage.parse().ok().and_then(|part| confidence.accuracy_at(part));
        overall(&format!("{of}accuracy_at_coverage_{coverage}"), accuracy)
    })
}

/// Errors of expected stars.
pub fn of_rating(rating: &Regression) -> impl Iterator<Item = Metric> {
    [overall("mae", rating.mae()), overall("rmse", rating.rmse())].into_iter().flatten()
}

/// What follows from numbers.
pub fn of_numbers(numbers: &Regression, skipped: u64) -> Vec<Metric> {
    let mut metrics = Vec::from(counts(numbers.rows(), skipped));
    metrics.extend([
        overall("mae", numbers.mae()),
        overall("rmse", numbers.rmse()),
        overall("r2", numbers.r2()),
        overall("pearson_r", numbers.pearson()),
    ]);
    metrics.into_iter().flatten().collect()
}

/// What scores are worth that are to be high where something is true; the baseline is that of scores by chance.
#[allow(clippy::cast_precision_loss)]
pub fn of_anomalies(curve: &Curve, skipped: u64) -> Vec<Metric> {
    let (anomalies, others) = curve.counts();
    let rows = anomalies + others;
    let share = (rows > 0).then(|| anomalies as f64 / rows as f64);
    let mut metrics = Vec::from(counts(rows, skipped));
    metrics
        .extend([overall("average_precision", curve.average_precision()), overall("roc_auc", curve.area())]);
    let baseline = overall("average_precision", share).map(named_baseline);
    metrics.into_iter().chain([baseline]).flatten().collect()
}

/// What rankings for customers are worth, of so many pairs of customer and item; the baseline is that of the most popular items.
#[allow(clippy::cast_precision_loss)]
pub fn of_rankings(model: &Rankings, baseline: &Rankings, pairs: u64, skipped: u64) -> Vec<Metric> {
    let measures = |rankings: &Rankings| {
        [
            overall("ndcg", rankings.ndcg()),
            overall("recall", rankings.recall()),
            overall("coverage", rankings.coverage()),
            overall("novelty", rankings.novelty()),
        ]
    };
    let mut metrics = Vec::from(counts(pairs, skipped));
    metrics.push(overall("customers", Some(model.customers() as f64)));
    metrics.extend(measures(model));
    metrics.extend(measures(baseline).map(|metric| metric.map(named_baseline)));
    metrics.into_iter().flatten().collect()
}

/// What customers were expected to do, and what carrying their past rates on says, beside what they did: one each.
#[derive(Debug, Clone, Default)]
pub struct Lifetimes {
    /// Purchases.
    pub purchases: Vec<Foretold>,
    /// The same by past rates.
    pub past_purchases: Vec<Foretold>,
    /// What they are worth; none where amounts aren't known.
    pub values: Vec<Foretold>,
    /// The same by past rates.
    pub past_values: Vec<Foretold>,
    /// Customers of whom the interval held.
    pub within: u64,
    /// Customers who are not known.
    pub skipped: u64,
}

/// What expectations of customers are worth; the baseline is that of past rates. Means of tenths of the customers have the number of the tenth as their
/// class, that of whom least is expected first.
#[allow(clippy::cast_precision_loss)]
pub fn of_lifetimes(found: &Lifetimes) -> Vec<Metric> {
    let customers = found.purchases.len() as u64;
    let measures = |purchases: &[Foretold], values: &[Foretold]| {
        let main = if values.is_empty() { purchases } else { values };
        [
            overall("mae", mean_error(main)),
            overall("purchases_mae", mean_error(purchases)),
            overall("purchases_total_error", total_error(purchases)),
            overall("value_total_error", total_error(values)),
            overall("calibration_error", calibration_error(purchases)),
        ]
    };
    let mut metrics = Vec::from(counts(customers, found.skipped));
    metrics.extend(measures(&found.purchases, &found.values));
    metrics.push(overall("coverage", crate::ratio(found.within as f64, customers)));
    metrics
        .extend(measures(&found.past_purchases, &found.past_values).map(|metric| metric.map(named_baseline)));
    for (number, tenth) in (1..).zip(tenths(&found.purchases)) {
        let mean = |name: &str, value| Some((name.to_owned(), Some(number.to_string()), value));
        metrics.push(mean("expected_purchases", tenth.expected));
        metrics.push(mean("actual_purchases", tenth.actual));
    }
    metrics.into_iter().flatten().collect()
}

/// What always answering the most frequent class is worth.
pub fn of_class_baseline(baseline: Option<ClassBaseline>) -> impl Iterator<Item = Metric> {
    let metric = |name: &str, read: fn(ClassBaseline) -> f64| overall(name, baseline.map(read));
    [
        metric("accuracy", |baseline| baseline.accuracy),
        metric("macro_f1", |baseline| baseline.macro_f1),
        metric("log_loss", |baseline| baseline.log_loss),
    ]
    .into_iter()
    .flatten()
}

/// What always answering the same number is worth: the median of those learned from for one, their mean for the other.
pub fn of_number_baseline(learned: &Numbers, measured: &Numbers) -> impl Iterator<Item = Metric> {
    let mae = learned.median().and_then(|median| measured.mae(median));
    let rmse = learned.mean().and_then(|mean| measured.rmse(mean));
    [overall("mae", mae), overall("rmse", rmse)].into_iter().flatten()
}

/// Metrics of a baseline beside those of a model.
pub fn named_baseline((name, class, value): Metric) -> Metric {
    (format!("baseline_{name}"), class, value)
}

/// All pairs of the classes that occur.
pub fn of_matrix(names: &[String], confusion: &Confusion) -> Vec<Cell> {
    let pairs =
        confusion.occurring().flat_map(|actual| confusion.occurring().map(move |other| (actual, other)));
    let cell = |(actual, predicted): (usize, usize)| {
        let rows = i64::try_from(confusion.count(actual, predicted)).unwrap_or(i64::MAX);
        (names[actual].clone(), names[predicted].clone(), rows)
    };
    pairs.map(cell).collect()
}
