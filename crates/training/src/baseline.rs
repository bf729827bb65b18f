//! What it is worth to know nothing of a row: the same answer for each, as the labels to learn from suggest it.
//!
//! It must not know what models read. Invariant: it is measured on the rows that models are measured on, and learned from
//! rows alone: copies that make up for scarce classes don't change what is frequent.

use ecommerce_ml_metrics::baseline::{Numbers, of_classes};
use ecommerce_ml_metrics::report;
use ecommerce_ml_protocol::LabelScheme;
use ecommerce_ml_protocol::training::{Baseline, Metric};

use crate::targets::{Actual, Targets};

/// The baseline of rows to learn from, on rows that are held out; `None` if none are.
pub fn measure(targets: &Targets, learned: &[usize], held_out: &[usize]) -> Option<Baseline> {
    if learned.is_empty() || held_out.is_empty() {
        return None;
    }
    let labels = targets.labels();
    let counts = |rows: &[usize]| -> Vec<u64> {
        targets.counts(rows.iter().copied()).into_iter().map(|count| count as u64).collect()
    };
    let classes = of_classes(&counts(learned), &counts(held_out));
    let scheme = LabelScheme::of(&labels);
    let numbers =
        |rows: &[usize]| Numbers::of(rows.iter().filter_map(|&row| number(targets, scheme, row)).collect());
    let (known, wanted) = (numbers(learned), numbers(held_out));
    let metrics = report::of_class_baseline(classes).chain(report::of_number_baseline(&known, &wanted));
    Some(Baseline {
        method: None,
        label: classes.and_then(|baseline| labels.get(baseline.class).cloned()),
        mean: known.mean(),
        median: known.median(),
        metrics: metrics.map(|(name, class, value)| Metric { name, class, value }).collect(),
    })
}

/// The number that a row is labelled with, or the stars that its class means.
fn number(targets: &Targets, scheme: LabelScheme, row: usize) -> Option<f64> {
    match (targets.actual(row), scheme) {
        (Actual::Stars(number) | Actual::Number(number), _) => Some(number),
        (Actual::Class(class), LabelScheme::Stars(order)) => {
            order.iter().position(|&of| of == class).map(|at| (at + 1) as f64)
        }
        (Actual::Class(_), _) => None,
    }
}
