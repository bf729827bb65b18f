//! Words, and pairs of neighbouring words, that go with negative reviews, or with others.
//!
//! It must not know periods' changes: both periods count as one. Invariant: a word of a pair that goes with negative reviews as surely
//! as the pair does is told of by itself only.

use std::collections::{BTreeSet, HashMap};

use ecommerce_ml_metrics::discovery::benjamini_hochberg_of;
use ecommerce_ml_metrics::two_samples::shares;

use super::about::tells;
use super::{Negatives, When, read, reviews};
use crate::input::{Input, Settings, Text};
use crate::report::DriverRow;
use crate::words::words as words_of;

/// Reviews that a term has to be in, to be tested.
const LEAST_REVIEWS: u64 = 10;

/// Terms that are tested, the most frequent ones.
const MOST_TERMS: usize = 3000;

/// Part of a word's reviews that a pair has, from which on it is as good as the word.
const SAME: f64 = 0.8;

/// The surest terms of either kind, and how many were tested.
pub fn drivers(input: &Input, settings: &Settings) -> (Vec<DriverRow>, u64) {
    let (tallies, all) = count(input);
    let mut frequent: Vec<(String, Negatives)> =
        tallies.into_iter().filter(|(_, own)| own.read >= LEAST_REVIEWS).collect();
    frequent
        .sort_by(|(one, first), (other, second)| second.read.cmp(&first.read).then_with(|| one.cmp(other)));
    frequent.truncate(MOST_TERMS);
    let mut rows: Vec<DriverRow> = frequent.into_iter().map(|(term, own)| row(term, own, all)).collect();
    let p_values: Vec<Option<f64>> = rows.iter().map(|row| row.p_value).collect();
    for (row, q_value) in rows.iter_mut().zip(benjamini_hochberg_of(&p_values)) {
        row.q_value = q_value;
    }
    rows.retain(|row| row.q_value.is_some_and(|q| q <= settings.alpha));
    let p_value = |row: &DriverRow| row.p_value.unwrap_or(2.0);
    rows.sort_by(|one, other| {
        p_value(one).total_cmp(&p_value(other)).then_with(|| one.term.cmp(&other.term))
    });
    let mut told: Vec<DriverRow> = Vec::new();
    for sentiment in ["negative", "positive"] {
        let mut own: Vec<DriverRow> = Vec::new();
        for row in rows.iter().filter(|row| row.sentiment == sentiment) {
            if own.len() < settings.phrases && !own.iter().any(|other| are_same(row, other)) {
                own.push(row.clone());
            }
        }
        told.extend(own);
    }
    (told, p_values.iter().flatten().count() as u64)
}

/// Whether two terms are one in nearly all reviews that have either.
#[allow(clippy::cast_precision_loss)]
fn are_same(one: &DriverRow, other: &DriverRow) -> bool {
    let words = |row: &DriverRow| row.term.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    let (few, many) = (one.reviews.min(other.reviews) as f64, one.reviews.max(other.reviews) as f64);
    few >= many * SAME && !words(one).is_disjoint(&words(other))
}

fn count(input: &Input) -> (HashMap<String, Negatives>, Negatives) {
    let (mut tallies, mut all): (HashMap<String, Negatives>, _) = (HashMap::new(), Negatives::default());
    let both = reviews(input, When::Current).chain(reviews(input, When::Before));
    for (_, text, reading) in read(input, both) {
        all.add(reading.tone);
        for term in terms(text) {
            tallies.entry(term).or_default().add(reading.tone);
        }
    }
    (tallies, all)
}

/// Different words of a text that say something, and pairs of neighbours that both do.
fn terms(text: &Text) -> BTreeSet<String> {
    let mut terms = BTreeSet::new();
    let mut last: Option<String> = None;
    for word in words_of(&text.content) {
        if !tells(&word) {
            last = None;
            continue;
        }
        terms.extend(last.map(|last| format!("{last} {word}")));
        terms.insert(word.clone());
        last = Some(word);
    }
    terms
}

#[allow(clippy::cast_precision_loss)]
fn row(term: String, own: Negatives, all: Negatives) -> DriverRow {
    let others = Negatives { negative: all.negative - own.negative, read: all.read - own.read };
    let found = shares(own.counts(), others.counts());
    let share = |of: Negatives| (of.read > 0).then(|| of.negative as f64 / of.read as f64);
    let more = found.is_some_and(|found| found.difference > 0.0);
    DriverRow {
        term,
        sentiment: if more { "negative" } else { "positive" },
        reviews: own.read,
        negative_share: share(own),
        negative_share_without: share(others),
        test: found.map(|found| found.test.name()),
        p_value: found.map(|found| found.p_value),
        q_value: None,
    }
}
