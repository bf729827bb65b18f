//! Topics and words: which come more often, and how reviews with them sound.
//!
//! Invariant: a review counts once for each topic and each word, however often it has it; for a topic it is negative if it speaks of that so,
//! whatever it says of others.

use std::collections::{BTreeSet, HashMap};

use ecommerce_ml_metrics::phrases::means_nothing;

use super::{Negatives, When, change, read, reviews};
use crate::input::{Input, MOST_TOPICS, Review, Settings, Text};
use crate::report::{ProductTopicRow, TopicRow, WordRow};
use crate::words::words as words_of;

/// Reviews of both periods that a word has to be in, to be tested.
const LEAST_REVIEWS: u64 = 10;

/// Words that are tested, the most frequent ones.
const MOST_WORDS: usize = 2000;

/// Topics that are told of each of the products.
const PRODUCTS_WITH_TOPICS: usize = 20;

/// Reviews with each topic, by whether they speak of it negatively.
type ByTopic = [Negatives; MOST_TOPICS];

/// Each topic that is mentioned, in the order of the settings; and how many tests were made.
pub fn topics(input: &Input, settings: &Settings) -> (Vec<TopicRow>, u64) {
    let (current, all_current) = of_period(input, When::Current, |_| true);
    let (before, all_before) = of_period(input, When::Before, |_| true);
    let mut rows: Vec<TopicRow> = settings
        .topics
        .iter()
        .zip(current.iter().zip(&before))
        .filter(|(_, (now, then))| now.read + then.read > 0)
        .map(|(topic, (now, then))| TopicRow {
            topic: topic.clone(),
            mentions: change::of_shares((now.read, all_current), (then.read, all_before)),
            negative: change::of_shares(now.counts(), then.counts()),
        })
        .collect();
    let family = rows.iter_mut().flat_map(|row| [&mut row.mentions, &mut row.negative]).collect();
    let tested = change::adjust(family, settings.alpha);
    rows.sort_by(|one, other| {
        let share = |row: &TopicRow| row.mentions.current.unwrap_or_default();
        share(other).total_cmp(&share(one)).then_with(|| one.topic.cmp(&other.topic))
    });
    (rows, tested)
}

fn of_period(input: &Input, when: When, wanted: impl Fn(&Review) -> bool) -> (ByTopic, u64) {
    let mut counts = [Negatives::default(); MOST_TOPICS];
    let mut all = 0;
    for (_, text, _) in read(input, reviews(input, when).filter(|review| wanted(review))) {
        all += 1;
        for (bit, count) in counts.iter_mut().enumerate() {
            count.read += text.topics >> bit & 1;
            count.negative += (text.topics & text.negative_topics) >> bit & 1;
        }
    }
    (counts, all)
}

/// The topics of the products that come first.
pub fn of_products(input: &Input, settings: &Settings, order: &[usize]) -> Vec<ProductTopicRow> {
    if input.source.product_column.is_none() {
        return Vec::new();
    }
    let shown = order.iter().take(settings.products.min(PRODUCTS_WITH_TOPICS));
    let rows = shown.flat_map(|product| {
        let own = |review: &Review| review.product == Some(*product);
        let (current, _) = of_period(input, When::Current, own);
        let (before, _) = of_period(input, When::Before, own);
        let name = input.products.get(*product).and_then(|product| product.name.clone());
        let mut rows: Vec<ProductTopicRow> = settings
            .topics
            .iter()
            .zip(current.into_iter().zip(before))
            .filter(|(_, (now, then))| now.read + then.read > 0)
            .map(|(topic, (now, then))| ProductTopicRow {
                product: name.clone(),
                topic: topic.clone(),
                reviews_current: now.read,
                reviews_before: then.read,
                negative_current: now.negative,
                negative_before: then.negative,
            })
            .collect();
        rows.sort_by_key(|row| (u64::MAX - row.negative_current, u64::MAX - row.reviews_current));
        rows
    });
    rows.collect()
}

/// Reviews with a word.
#[derive(Default)]
struct Tally {
    current: u64,
    before: u64,
    /// Of the current ones.
    score: f64,
}

/// The words whose frequency changed most surely, and how many were tested.
#[allow(clippy::cast_precision_loss)]
pub fn words(input: &Input, settings: &Settings) -> (Vec<WordRow>, u64) {
    let mut tallies: HashMap<String, Tally> = HashMap::new();
    let mut all = [0, 0];
    for (when, sum) in [When::Current, When::Before].into_iter().zip(&mut all) {
        for (_, text, reading) in read(input, reviews(input, when)) {
            *sum += 1;
            for word in telling_words(text) {
                let tally = tallies.entry(word).or_default();
                match when {
                    When::Current => {
                        (tally.current, tally.score) = (tally.current + 1, tally.score + reading.score)
                    }
                    When::Before => tally.before += 1,
                }
            }
        }
    }
    if all.contains(&0) {
        return (Vec::new(), 0);
    }
    let mut frequent: Vec<(String, Tally)> =
        tallies.into_iter().filter(|(_, tally)| tally.current + tally.before >= LEAST_REVIEWS).collect();
    frequent.sort_by(|(one, first), (other, second)| {
        (second.current + second.before).cmp(&(first.current + first.before)).then_with(|| one.cmp(other))
    });
    frequent.truncate(MOST_WORDS);
    let mut rows: Vec<WordRow> = frequent
        .into_iter()
        .map(|(word, tally)| WordRow {
            word,
            reviews: change::of_shares((tally.current, all[0]), (tally.before, all[1])),
            score: (tally.current > 0).then(|| tally.score / tally.current as f64),
        })
        .collect();
    let tested = change::adjust(rows.iter_mut().map(|row| &mut row.reviews).collect(), settings.alpha);
    let p_value = |row: &WordRow| row.reviews.p_value.unwrap_or(2.0);
    rows.sort_by(|one, other| {
        p_value(one).total_cmp(&p_value(other)).then_with(|| one.word.cmp(&other.word))
    });
    rows.truncate(settings.phrases);
    (rows, tested)
}

/// Different words of a text that say something by themselves.
pub(super) fn telling_words(text: &Text) -> BTreeSet<String> {
    words_of(&text.content).filter(|word| tells(word)).collect()
}

/// Whether a word says something by itself.
pub(super) fn tells(word: &str) -> bool {
    word.chars().count() > 2 && !means_nothing(word) && word.chars().any(char::is_alphabetic)
}
