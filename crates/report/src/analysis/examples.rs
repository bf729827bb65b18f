//! The reviews that show it best.
//!
//! Invariant: which reviews are chosen depends on what they say and on nothing else, and a text is shown once for one thing.

use std::collections::BTreeSet;

use super::about::telling_words;
use super::whole::FAR_APART;
use super::{When, read, reviews};
use crate::input::{Input, Reading, Review, Settings, Text, Tone};
use crate::numbers;
use crate::report::{Example, Report};

/// Characters of a review that are shown.
const SHOWN: usize = 420;

/// Characters that a review has to have to show something.
const TELLING: usize = 25;

/// Products whose reviews are shown.
const PRODUCTS: usize = 5;

/// Topics and words whose reviews are shown.
const CHANGES: usize = 5;

/// A review with what was read in it.
type Read<'a> = (&'a Review, &'a Text, Reading);

/// Reviews of the products that come first, and of what changed.
pub fn examples(input: &Input, settings: &Settings, report: &Report, order: &[usize]) -> Vec<Example> {
    let current: Vec<Read<'_>> = read(input, reviews(input, When::Current)).collect();
    let rising = report.words.iter().filter(|row| row.reviews.is_up());
    let rising: BTreeSet<String> = rising.map(|row| row.word.clone()).collect();
    let mut choice = Choice { input, rising: &rising, shown: BTreeSet::new() };
    let mut found = Vec::new();
    let products = match input.source.product_column {
        Some(_) => PRODUCTS.min(report.products.len()),
        None => 1,
    };
    for product in order.iter().take(products) {
        let own = current.iter().filter(|(review, ..)| review.product == Some(*product));
        let negative = own.filter(|(.., reading)| reading.tone == Tone::Negative);
        let name = input.products.get(*product).and_then(|product| product.name.clone());
        found.extend(choice.best(negative, Tone::Negative, settings.examples, ("product", name.as_deref())));
    }
    let each = settings.examples.min(1);
    let topics = report.topics.iter().filter(|row| row.mentions.significant || row.negative.significant);
    for row in topics.take(CHANGES) {
        let bit = settings.topics.iter().position(|name| *name == row.topic).unwrap_or_default();
        // Most may praise it still: those that do not show what changed.
        let shows = |text: &Text| if row.negative.is_up() { text.negative_topics } else { text.topics };
        let own: Vec<_> =
            current.iter().filter(|(_, text, _)| shows(text) >> bit & 1 == 1).copied().collect();
        let tone = if row.negative.is_up() { Tone::Negative } else { majority(&own) };
        found.extend(choice.best(own.iter(), tone, each, ("topic", Some(&row.topic))));
    }
    for row in report.words.iter().filter(|row| row.reviews.is_up()).take(CHANGES) {
        let own: Vec<_> =
            current.iter().filter(|(_, text, _)| telling_words(text).contains(&row.word)).copied().collect();
        found.extend(choice.best(own.iter(), majority(&own), each, ("word", Some(&row.word))));
    }
    found
}

/// How most of them sound.
fn majority(reviews: &[Read<'_>]) -> Tone {
    let count = |tone| reviews.iter().filter(|(.., reading)| reading.tone == tone).count();
    [Tone::Negative, Tone::Neutral, Tone::Positive]
        .into_iter()
        .max_by_key(|tone| count(*tone))
        .unwrap_or(Tone::Neutral)
}

/// Which reviews are chosen, one after the other.
struct Choice<'a> {
    input: &'a Input,
    /// Words that come more often.
    rising: &'a BTreeSet<String>,
    /// Texts that were chosen.
    shown: BTreeSet<usize>,
}

impl Choice<'_> {
    /// Those that sound like this, with words that come more often, of a length that can be read, the strongest first.
    fn best<'a>(
        &mut self,
        reviews: impl Iterator<Item = &'a Read<'a>>,
        tone: Tone,
        most: usize,
        (shows, subject): (&'static str, Option<&str>),
    ) -> Vec<Example> {
        let rank = |text: &Text, reading: Reading| {
            let has_rising = telling_words(text).iter().any(|word| self.rising.contains(word));
            let length = text.content.chars().count();
            (reading.tone != tone, !has_rising, !(TELLING..=SHOWN * 2).contains(&length))
        };
        let strength = |reading: Reading| match tone {
            Tone::Negative => -reading.score,
            Tone::Neutral => -reading.score.abs(),
            Tone::Positive => reading.score,
        };
        let mut ranked: Vec<_> = reviews.map(|read| (rank(read.1, read.2), strength(read.2), read)).collect();
        ranked.sort_by(|(one, first, (review, text, _)), (other, second, (latter, content, _))| {
            one.cmp(other)
                .then_with(|| second.total_cmp(first))
                .then_with(|| text.content.cmp(&content.content))
                .then_with(|| (latter.day, latter.product).cmp(&(review.day, review.product)))
        });
        let mut found = Vec::new();
        for (.., read) in ranked {
            if found.len() >= most {
                break;
            }
            if self.shown.insert(read.0.text) {
                found.push(example(self.input, read, shows, subject.map(str::to_owned)));
            }
        }
        found
    }
}

/// Reviews where stars given and read differ most.
pub fn disagreements(input: &Input, settings: &Settings) -> Vec<Example> {
    let gap = |(review, _, reading): &Read<'_>| {
        review.stars.zip(reading.stars).map_or(0.0, |(given, was_read)| (given - was_read).abs())
    };
    let both = reviews(input, When::Current).chain(reviews(input, When::Before));
    let mut far: Vec<Read<'_>> = read(input, both).filter(|read| gap(read) >= FAR_APART).collect();
    far.sort_by(|one, other| {
        gap(other)
            .total_cmp(&gap(one))
            .then_with(|| one.1.content.cmp(&other.1.content))
            .then_with(|| (other.0.day, other.0.product).cmp(&(one.0.day, one.0.product)))
    });
    let mut seen = BTreeSet::new();
    far.retain(|(review, ..)| seen.insert(review.text));
    far.iter()
        .take(settings.examples.saturating_mul(3))
        .map(|read| example(input, read, "disagreement", None))
        .collect()
}

fn example(
    input: &Input,
    (review, text, reading): &Read<'_>,
    shows: &'static str,
    subject: Option<String>,
) -> Example {
    let product = review.product.and_then(|product| input.products.get(product));
    Example {
        shows,
        subject,
        product: product.and_then(|product| product.name.clone()),
        date: input.spans.and_then(|spans| spans.kind).map(|_| numbers::date(review.day)),
        stars_given: review.stars,
        stars_read: reading.stars,
        score: reading.score,
        sentiment: reading.tone.as_str(),
        text: excerpt(&text.content),
    }
}

/// The beginning of a text, up to a word, in one line.
fn excerpt(text: &str) -> String {
    let line = without_breaks(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((end, _)) = line.char_indices().nth(SHOWN) else { return line };
    let cut = line.get(..end).unwrap_or_default();
    let whole =
        cut.rfind(' ').filter(|space| space * 2 > end).and_then(|space| cut.get(..space)).unwrap_or(cut);
    format!("{}\u{2026}", whole.trim_end_matches([',', ';', ' ']))
}

/// Line breaks of HTML, which shops leave in reviews, as spaces; nothing else of a text is changed.
fn without_breaks(text: &str) -> String {
    ["<br />", "<br/>", "<br>"].iter().fold(text.to_owned(), |text, tag| text.replace(tag, " "))
}
